import { RESTART_DELAY_MS, vigourAt } from './restart.ts';

/**
 * What goes on inside a virtual machine: a guest kernel that fills its memory with page cache, a
 * balloon that takes memory from it, and the OOM killer where neither leaves enough. Pure: time
 * only passes in `step`.
 */

/** What is to be done in it, as `Demand` of a container. */
interface VmDemand {
  readonly cpuCores: number;
  readonly anonMib: number;
  /** Left out: it reads so much that the cache fills all that is free. */
  readonly fileSetMib?: number;
}

/** How the balloon driver of the guest behaves. */
export type BalloonDriver =
  | 'prompt'
  /** It gives up 2 MiB a second. */
  | 'slow'
  /** The target is accepted and nothing moves, and no statistics are told. */
  | 'absent'
  /** It moves, and does not know how much memory is available, as older drivers. */
  | 'plain';

export interface VmGuestSpec {
  readonly demand: (demandTimeMs: number, processAgeMs: number) => VmDemand;
  /** Default: prompt. */
  readonly driver?: BalloonDriver;
  /** It does not give a CPU or a memory module back. */
  readonly refusesUnplug?: boolean;
}

/** What QEMU is started with. */
export interface VmHardware {
  readonly memoryMib: number;
  readonly vcpus: number;
  readonly mostCpus: number;
  /** undefined: no balloon device. */
  readonly balloonMib: number | undefined;
}

const MIB_PER_S: Readonly<Record<BalloonDriver, number>> = {
  prompt: 512,
  plain: 512,
  slow: 2,
  absent: 0,
};
/** Of what it has, a kernel keeps for itself. */
const KERNEL_SHARE = 0.03;
const KERNEL_LEAST_MIB = 40;
const ALWAYS_FREE_MIB = 24;
const IDLE_MIB = 60;
/** What QEMU needs besides the guest's memory. */
const QEMU_MIB = 60;
/** Cache that was used lately is not what a kernel calls available. */
const AVAILABLE_SHARE = 0.9;

export class VmGuest {
  readonly spec: VmGuestSpec;
  readonly mostCpus: number;
  readonly hasBalloon: boolean;
  vcpus: number;
  /** What the machine has, with plugged modules. */
  memoryMib: number;
  targetMib: number;
  /** What the balloon leaves it. */
  actualMib: number;
  anonMib = 0;
  cacheMib = 0;
  /** What QEMU holds of the host's memory. */
  heldMib = 0;
  oomKills = 0;
  /** Milliseconds in which it had less memory than it wanted. */
  starvedMs = 0;
  #runsFromMs: number;
  #nowMs: number;

  constructor(spec: VmGuestSpec, hardware: VmHardware, demandMs: number, warm: boolean) {
    this.spec = spec;
    this.vcpus = hardware.vcpus;
    this.mostCpus = hardware.mostCpus;
    this.memoryMib = hardware.memoryMib;
    this.hasBalloon = hardware.balloonMib !== undefined;
    this.targetMib = hardware.balloonMib ?? hardware.memoryMib;
    this.actualMib = warm && this.#isDriven ? this.targetMib : this.memoryMib;
    this.#nowMs = demandMs;
    this.#runsFromMs = warm ? demandMs - 3_600_000 : demandMs;
    if (warm) this.step(1000, demandMs);
  }

  get #driver(): BalloonDriver {
    return this.spec.driver ?? 'prompt';
  }

  get #isDriven(): boolean {
    return this.hasBalloon && this.#driver !== 'absent';
  }

  /** Memory that the guest's kernel counts. */
  get totalMib(): number {
    return this.actualMib - Math.max(KERNEL_LEAST_MIB, this.memoryMib * KERNEL_SHARE);
  }

  get freeMib(): number {
    return Math.max(0, this.totalMib - this.anonMib - this.cacheMib);
  }

  get availableMib(): number {
    return Math.min(this.totalMib, this.freeMib + this.cacheMib * AVAILABLE_SHARE);
  }

  /** What its driver tells; undefined: it tells nothing. */
  get stats(): Readonly<Record<string, number>> | undefined {
    if (!this.#isDriven) return undefined;
    const bytes = (mib: number): number => Math.floor(mib) * 1024 * 1024;
    const isPlain = this.#driver === 'plain';
    return {
      'stat-htlb-pgalloc': 0,
      'stat-swap-out': 0,
      'stat-available-memory': isPlain ? -1 : bytes(this.availableMib),
      'stat-htlb-pgfail': 0,
      'stat-free-memory': bytes(this.freeMib),
      'stat-minor-faults': Math.floor(this.#nowMs / 10),
      'stat-major-faults': 120,
      'stat-total-memory': bytes(this.totalMib),
      'stat-swap-in': 0,
      'stat-disk-caches': isPlain ? -1 : bytes(this.cacheMib),
    };
  }

  /** What pvestatd takes for its use: all that is not free, or else what QEMU holds. */
  get usedMib(): number {
    return this.#isDriven ? this.totalMib - this.freeMib : this.heldMib + QEMU_MIB;
  }

  demand(): VmDemand {
    return this.spec.demand(this.#nowMs, this.#nowMs - this.#runsFromMs);
  }

  get wantedCores(): number {
    return this.#nowMs < this.#runsFromMs ? 0 : Math.max(0, this.demand().cpuCores);
  }

  /** Returns whether its OOM killer struck. */
  step(elapsedMs: number, demandMs: number): boolean {
    this.#nowMs = demandMs;
    this.#moveBalloon(elapsedMs);
    const wanted = this.#wantedMib();
    const room = this.totalMib - ALWAYS_FREE_MIB;
    const isKilled = wanted > room;
    if (isKilled) {
      this.oomKills += 1;
      this.#runsFromMs = demandMs + RESTART_DELAY_MS;
    }
    if (isKilled || demandMs < this.#runsFromMs) this.starvedMs += elapsedMs;
    this.anonMib = isKilled ? Math.min(IDLE_MIB, room) : wanted;
    const files = this.demand().fileSetMib ?? Number.POSITIVE_INFINITY;
    this.cacheMib = Math.max(0, Math.min(files, room - this.anonMib));
    const kernelMib = this.actualMib - this.totalMib;
    const inUse = this.anonMib + this.cacheMib + kernelMib;
    this.heldMib = Math.min(this.actualMib, Math.max(this.heldMib, inUse));
    return isKilled;
  }

  #wantedMib(): number {
    const anon = Math.max(IDLE_MIB, this.demand().anonMib);
    return Math.max(IDLE_MIB, anon * vigourAt(this.#nowMs - this.#runsFromMs));
  }

  /** A driver takes what is free and what is cache, and never what processes hold. */
  #moveBalloon(elapsedMs: number): void {
    if (!this.#isDriven) return;
    const mostMib = (MIB_PER_S[this.#driver] * elapsedMs) / 1000;
    const target = Math.min(this.targetMib, this.memoryMib);
    if (target >= this.actualMib) this.actualMib = Math.min(target, this.actualMib + mostMib);
    else {
      const spare = Math.max(0, this.freeMib + this.cacheMib - ALWAYS_FREE_MIB);
      const taken = Math.min(mostMib, spare, this.actualMib - target);
      this.actualMib -= taken;
      this.cacheMib = Math.max(0, this.cacheMib - taken);
    }
  }

  /** QEMU keeps how much is taken away, so a target beyond what there is takes nothing. */
  setTarget(mib: number): void {
    this.targetMib = Math.min(mib, this.memoryMib);
  }

  /** Plugs memory in, or takes the last module out. The balloon stays as large as it is. */
  setMemory(memoryMib: number): void {
    const more = memoryMib - this.memoryMib;
    this.actualMib += more;
    this.targetMib += more;
    this.memoryMib = memoryMib;
  }
}
