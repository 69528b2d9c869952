import { type MonitorAnswer, machineMemory } from '../core/machine-memory.ts';
import type { CgroupSample, GuestConfig, MemoryCounters } from '../core/observation.ts';
import { knownMemory, type PvestatdFigure } from '../core/pvestatd-memory.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import { bytes, type Cores, cores, milliseconds, type Vmid } from '../core/units.ts';
import { parseMachineConfig } from '../node/guests/qemu.ts';
import { machineChange, qmArguments } from '../node/guests/qm.ts';
import { parseRrd } from '../node/local/pve/rrd-file.ts';
import { failureWords } from '../node/pct-words.ts';
import type { CommandOutcome, GuestFile, SetRequest } from '../node/port.ts';
import { ConfigLocks } from './config-locks.ts';
import { digestOf } from './guest-conf.ts';
import type { HalfDone } from './pct-context.ts';
import type { Plant, PlantVm } from './plant.ts';
import { qm } from './qm.ts';
import { sampleOf } from './virtual-samples.ts';
import { VmMachine } from './vm-machine.ts';
import { type VmSpec, vmText } from './vms.ts';

/** Virtual machines of a virtual node: the ports of the loop straight over the plant. */

/** As often as the program asks a monitor. */
const EVERY_MS = 30_000;
const MIB = 1024 * 1024;

export interface VirtualVmsParts {
  readonly plant: Plant;
  readonly sleep: (ms: number) => Promise<void>;
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  readonly commandMs: number;
  /** Whether the cluster has quorum. */
  readonly canWrite: () => boolean;
}

export class VirtualVms {
  readonly machine: VmMachine;
  /** One `qm set` each, as it was asked for, and when. */
  readonly sets: string[] = [];
  readonly setsAtMs: number[] = [];
  readonly #parts: VirtualVmsParts;
  readonly #contents = new Map<number, string>();
  #figures: ReadonlyMap<Vmid, PvestatdFigure> = new Map();
  readonly #answers = new Map<number, MonitorAnswer>();

  constructor(specs: readonly VmSpec[], parts: VirtualVmsParts) {
    this.#parts = parts;
    for (const spec of specs) this.#contents.set(spec.vmid, vmText(spec));
    this.machine = new VmMachine(specs, {
      plant: parts.plant,
      files: {
        readVm: (vmid) => this.#contents.get(vmid),
        writeVmText: (vmid, text) => void this.#contents.set(vmid, text),
      },
      kernel: { showVm: () => {}, limitsChanged: () => {} },
      rrd: {
        wallS: () => Math.floor(parts.wallMs() / 1000),
        write: (text) => {
          this.#figures = parseRrd(text, () => true);
        },
      },
      note: () => {},
    });
    for (const { vmid, running } of specs) if (running !== false) this.machine.start(vmid, true);
  }

  has(vmid: number): boolean {
    return this.#contents.has(vmid);
  }

  list(): readonly (readonly [Vmid, Reading<GuestConfig>])[] {
    return [...this.#contents.keys()].map((id) => {
      const file = this.read(id as Vmid);
      return [id as Vmid, file.ok ? present(file.value.config) : file] as const;
    });
  }

  read(vmid: Vmid): Reading<GuestFile> {
    const text = this.#contents.get(vmid);
    if (text === undefined) return missing('absent', `${vmid}.conf: not there`);
    const config = parseMachineConfig(vmid, text, digestOf(text));
    return config.ok ? present({ config: config.value, content: Buffer.from(text) }) : config;
  }

  cpuLimit(vmid: Vmid): Reading<Cores | undefined> {
    const vm = this.machine.running(vmid);
    if (vm === undefined) return missing('absent', `${vmid}: not running`);
    const { cpuLimit } = vm.limits;
    return present(cpuLimit === undefined ? undefined : cores(cpuLimit));
  }

  sample(vmid: Vmid, atMs: number): Reading<CgroupSample> {
    const vm = this.machine.running(vmid);
    if (vm === undefined) return missing('absent', `${vmid}: not running`);
    const { pressure, cpus } = this.#parts.plant.host;
    const real = sampleOf(vm, { atMs, identity: vmid, pressure, usableCpus: cpus });
    const answer = this.#answers.get(vmid) ?? this.#ask(vm);
    return present({
      ...real,
      cpu: real.cpu.ok
        ? present({ ...real.cpu.value, cpusetCpus: vm.guest.vcpus, effectiveCpus: undefined })
        : real.cpu,
      memory: this.#memory(vmid, answer),
      heldBytes: bytes(vm.memory.anonBytes),
      memoryPressure: missing('absent', 'a virtual machine does not tell'),
    });
  }

  #memory(vmid: Vmid, answer: MonitorAnswer): Reading<MemoryCounters> {
    const file = this.read(vmid);
    if (!file.ok) return machineMemory(answer);
    const figure = this.#figures.get(vmid);
    const told = figure === undefined ? missing('absent', 'nothing of it') : present(figure);
    return knownMemory(answer, file.value.config, told, milliseconds(this.#parts.wallMs()));
  }

  /** Asks the monitors that are due; in between, what they said last is all that is known. */
  look(): void {
    const nowMs = this.#parts.nowMs();
    for (const vm of this.#parts.plant.vms.values()) {
      const known = this.#answers.get(vm.vmid);
      if (known === undefined || nowMs - known.atMs >= EVERY_MS) this.#ask(vm);
    }
  }

  inspect(vmid: number): void {
    const vm = this.machine.running(vmid);
    if (vm !== undefined) this.#ask(vm);
  }

  #ask(vm: PlantVm): MonitorAnswer {
    const answer = answerOf(vm, this.#parts.nowMs());
    this.#answers.set(vm.vmid, answer);
    return answer;
  }

  /** @param half that it is killed in the middle */
  async apply(request: SetRequest, half?: HalfDone): Promise<CommandOutcome> {
    const file = this.read(request.vmid);
    if (!file.ok) return { kind: 'not-started', message: file.detail };
    const asked = machineChange(file.value.config, request);
    if (!asked.ok) return { kind: 'not-started', message: asked.why };
    const args = qmArguments(request.vmid, asked.settings);
    this.sets.push(args.join(' '));
    this.setsAtMs.push(this.#parts.nowMs());
    await this.#parts.sleep(this.#parts.commandMs);
    const files = {
      readVm: (vmid: number) => this.#contents.get(vmid),
      relativeVmPath: (vmid: number) => `nodes/pve1/qemu-server/${vmid}.conf`,
      canWrite: this.#parts.canWrite(),
      remove: (vmid: number) => void this.#contents.delete(vmid),
      takenIds: () => new Set(this.#contents.keys()),
    };
    const context = {
      machine: { vms: this.machine, files, wallS: 0, showVmLock: () => {} },
      locks: new ConfigLocks(),
      lockTimeoutMs: 0,
      utf8: true,
      aborted: () => false,
      ...(half !== undefined && { half }),
    };
    const { exit, stderr } = await qm(context, args);
    if (exit === 0) return { kind: 'done' };
    return { kind: 'failed', exitCode: exit, ...failureWords(exit, stderr) };
  }
}

/** What QEMU would say of it, without the socket in between. */
function answerOf({ guest, frozen }: PlantVm, nowMs: number): MonitorAnswer {
  const { stats } = guest;
  const of = (key: string): ReturnType<typeof bytes> | undefined => {
    const value = stats?.[key] ?? -1;
    return value < 0 ? undefined : bytes(value);
  };
  const none = missing('absent', 'no balloon driver answers in it');
  return {
    hardwareBytes: bytes(guest.memoryMib * MIB),
    atMs: milliseconds(nowMs),
    isRunning: !frozen,
    vcpus: guest.vcpus,
    actualBytes: guest.hasBalloon ? present(bytes(Math.floor(guest.actualMib) * MIB)) : none,
    stats:
      stats === undefined
        ? none
        : present({
            totalBytes: of('stat-total-memory') ?? bytes(0),
            freeBytes: of('stat-free-memory') ?? bytes(0),
            availableBytes: of('stat-available-memory'),
            swappedInBytes: of('stat-swap-in'),
            oomKills: undefined,
            allocationStalls: undefined,
          }),
  };
}
