import { allCpus } from './cpusets.ts';
import {
  advanceCpu,
  type CpuLimits,
  type CpuState,
  cappedCores,
  newCpu,
  placeCores,
} from './plant-cpu.ts';
import { HostGauges, type HostMemoryUse } from './plant-host.ts';
import {
  countKill,
  currentBytes,
  dropCache,
  fileBytes,
  highForMax,
  kernelBytesFor,
  killAll,
  type MemoryLimits,
  type MemoryState,
  type MemoryWant,
  newMemory,
  settleMemory,
  unreclaimableBytes,
  wholePages,
} from './plant-memory.ts';
import { meetNestedLimits, type NestedDemand, nestedCpuStall, nestedUse } from './plant-nested.ts';
import {
  advancePressure,
  newPressure,
  noStall,
  type PressureState,
  type StallShares,
  worse,
} from './pressure.ts';
import { RESTART_DELAY_MS, vigourAt } from './restart.ts';
import type { VmGuest } from './vm-guest.ts';

/**
 * A host and its containers as physics: demand meets limits, and usage, throttling, pressure, page
 * cache and kills follow. Pure and deterministic: time only passes in `step`.
 */

const MIB = 1024 * 1024;

export interface HostSpec {
  readonly cpus: number;
  readonly memoryMib: number;
  readonly swapMib: number;
  /** What the host itself uses, without any container. */
  readonly baseCores: number;
  readonly baseMemoryMib: number;
  /** Whether the kernel was built with pressure stall information. */
  readonly pressure: boolean;
  readonly kernelRelease: string;
  /** The ZFS cache (ARC): so large where there is room, never below its minimum. */
  readonly arc?: { readonly sizeMib: number; readonly minMib: number };
}

export interface Demand {
  readonly cpuCores: number;
  /** Memory of processes. */
  readonly anonMib: number;
  /** Shared memory and tmpfs: charged as file, and not reclaimable. */
  readonly shmemMib?: number;
  /** Files in use: what the page cache would like to hold. */
  readonly fileSetMib?: number;
  /** The part of anon that is locked in memory. */
  readonly unevictableMib?: number;
  /** Directory entries and inodes that it comes by, such as a backup that walks all files. */
  readonly slabMib?: number;
  readonly nested?: NestedDemand;
}

/**
 * Demand over time. `demandTimeMs` is the demand's own clock, `processAgeMs` the time on that clock
 * since its process was last started (by a container start or after a kill).
 */
export type DemandAt = (demandTimeMs: number, processAgeMs: number) => Demand;

export interface Limits extends CpuLimits {
  readonly memoryMaxBytes: number;
  /** `memory.high` where it is not as Proxmox VE sets it with the limit. */
  readonly memoryHighBytes?: number | undefined;
  readonly swapMaxBytes: number;
}

export type PlantEvent =
  | { readonly kind: 'oom-kill'; readonly vmid: number; readonly scope: 'container' | 'host' }
  | { readonly kind: 'died'; readonly vmid: number; readonly usageUs: number };

/** A running container. Read it freely; only the plant changes it. */
export interface PlantContainer {
  readonly vmid: number;
  limits: Limits;
  readonly demand: DemandAt;
  readonly startedAtMs: number;
  readonly cpu: CpuState;
  readonly memory: MemoryState;
  readonly cpuPressure: PressureState;
  readonly memoryPressure: PressureState;
  readonly ioPressure: PressureState;
  /** Its main process runs from this host time on; later than now after a kill. */
  processFromMs: number;
  processSinceDemandMs: number;
  /** All of it stands still, by `cgroup.freeze`. */
  frozen: boolean;
  /** Set once init was killed: the container is gone at that host time. */
  diesAtMs: number | undefined;
}

/** A running virtual machine: the cgroup of QEMU, and the guest in it. */
export interface PlantVm extends PlantContainer {
  readonly guest: VmGuest;
}

const DYING_MS = 1500;
/** A container's init and services, what is left when its main process was killed. */
const SYSTEM_ANON_BYTES = 8 * MIB;
/** How long a container that is there from the beginning has been up. */
const WARM_UPTIME_MS = 3_600_000;

const memoryLimits = (limits: Limits): MemoryLimits => ({
  maxBytes: limits.memoryMaxBytes,
  highBytes: limits.memoryHighBytes ?? highForMax(limits.memoryMaxBytes),
  swapMaxBytes: limits.swapMaxBytes,
});

const isVm = (one: PlantContainer | PlantVm): one is PlantVm => 'guest' in one;

/** The guest sees as many CPUs as are plugged in, and QEMU has no other threads to speak of. */
const coresOf = ({ guest, frozen }: PlantVm): number =>
  frozen ? 0 : Math.min(guest.wantedCores, guest.vcpus);

export interface PlantOptions {
  /** How much faster than the host's clock the demand's clock runs. */
  readonly demandSpeed: number;
  readonly demandStartMs: number;
}

export class Plant {
  readonly host: HostSpec;
  readonly gauges: HostGauges;
  /** CPUs that nobody, or no container, can use though they are in cpusets: offline, say. */
  unusableCpus: ReadonlySet<number> = new Set();
  /** What virtual machines hold of the host's memory in which nothing goes on. */
  vmBytes = 0;
  /** The others, by id. */
  readonly vms = new Map<number, PlantVm>();
  readonly #speed: number;
  readonly #containers = new Map<number, PlantContainer>();
  #events: PlantEvent[] = [];
  #hostMs = 0;
  #demandMs: number;

  constructor(host: HostSpec, options: PlantOptions) {
    this.host = host;
    this.gauges = new HostGauges(host.cpus);
    this.#speed = options.demandSpeed;
    this.#demandMs = options.demandStartMs;
  }

  /** Milliseconds since the plant was made, on the host's clock. */
  get hostMs(): number {
    return this.#hostMs;
  }

  get demandMs(): number {
    return this.#demandMs;
  }

  /** `cpuset.cpus.effective` of a cpuset; one that is left with nothing may use what others may. */
  usable(cpus: readonly number[]): readonly number[] {
    if (this.unusableCpus.size === 0) return cpus;
    const rest = cpus.filter((cpu) => !this.unusableCpus.has(cpu));
    return rest.length > 0 ? rest : this.usable(allCpus(this.host.cpus));
  }

  container(vmid: number): PlantContainer | undefined {
    return this.#containers.get(vmid);
  }

  containers(): IterableIterator<PlantContainer> {
    return this.#containers.values();
  }

  /** Hands over what happened since the last call, oldest first. */
  takeEvents(): PlantEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /**
   * Starts a container: counters at zero, nothing in memory. A warm one has been up for an hour
   * and has filled its cache.
   */
  start(vmid: number, limits: Limits, demand: DemandAt, warm = false): PlantContainer {
    const container: PlantContainer = {
      vmid,
      limits,
      demand,
      startedAtMs: this.#hostMs - (warm ? WARM_UPTIME_MS : 0),
      cpu: newCpu(),
      memory: newMemory(),
      cpuPressure: newPressure(),
      memoryPressure: newPressure(),
      ioPressure: newPressure(),
      processFromMs: this.#hostMs - (warm ? WARM_UPTIME_MS : 0),
      processSinceDemandMs: warm ? Number.NEGATIVE_INFINITY : this.#demandMs,
      frozen: false,
      diesAtMs: undefined,
    };
    this.#containers.set(vmid, container);
    if (warm) {
      this.#settle(container, 600_000);
      const wanted = cappedCores(this.#demandOf(container).cpuCores, limits);
      container.cpu.usageUs = wanted * WARM_UPTIME_MS * 1000;
    } else this.#settle(container, 0);
    return container;
  }

  stop(vmid: number): void {
    this.#containers.delete(vmid);
  }

  /** Starts a virtual machine: QEMU's cgroup has a quota, and no limit of its memory. */
  startVm(vmid: number, limits: Pick<Limits, 'cpuLimit' | 'cpuWeight'>, guest: VmGuest): PlantVm {
    const unlimited = { memoryMaxBytes: Number.POSITIVE_INFINITY, swapMaxBytes: Infinity };
    const vm: PlantVm = {
      vmid,
      guest,
      demand: guest.spec.demand,
      startedAtMs: this.#hostMs,
      limits: { ...limits, ...unlimited, cpus: allCpus(this.host.cpus) },
      cpu: newCpu(),
      memory: newMemory(),
      cpuPressure: newPressure(),
      memoryPressure: newPressure(),
      ioPressure: newPressure(),
      processFromMs: this.#hostMs,
      processSinceDemandMs: this.#demandMs,
      frozen: false,
      diesAtMs: undefined,
    };
    this.vms.set(vmid, vm);
    return vm;
  }

  /**
   * Changes limits at once, as a write to the cgroup does. A memory limit below what neither
   * reclaim nor swap can free kills every process, and with its init the container stops
   * (recorded on two kernels, three of three times).
   */
  setLimits(vmid: number, change: Partial<Limits>): void {
    const container = this.#containers.get(vmid);
    if (container === undefined) return;
    container.limits = { ...container.limits, ...change };
    if (container.diesAtMs !== undefined) return;
    const { memory, limits } = container;
    const swapRoom = Math.min(limits.swapMaxBytes, memory.swapBytes + this.#swapFreeBytes());
    const held = unreclaimableBytes(memory) + memory.swapBytes;
    const locked = memory.kernelBytes + memory.unevictableBytes;
    const least = held - Math.min(swapRoom, held - locked);
    if (least > limits.memoryMaxBytes) this.#die(container);
    else this.#settle(container, 0);
  }

  /** What a write to `memory.high` does: more than that is reclaimed at once, and nobody killed. */
  setHigh(vmid: number, memoryHighBytes: number | undefined): void {
    const container = this.#containers.get(vmid);
    if (container === undefined) return;
    container.limits = { ...container.limits, memoryHighBytes };
    if (container.diesAtMs === undefined) this.#settle(container, 0);
  }

  /**
   * What a write to `memory.reclaim` does: file cache first, then swap. Returns the bytes that it
   * got; fewer than asked for is the kernel's EAGAIN.
   */
  reclaim(vmid: number, asked: number): number {
    const container = this.#containers.get(vmid);
    if (container === undefined) return 0;
    const bytes = wholePages(asked);
    const { memory, limits } = container;
    const files = fileBytes(memory);
    const cache = dropCache(memory, bytes);
    memory.givenUpBytes += files - fileBytes(memory);
    const swapRoom = Math.min(limits.swapMaxBytes - memory.swapBytes, this.#swapFreeBytes());
    const anon = memory.anonBytes - memory.unevictableBytes;
    const swapped = Math.max(0, Math.min(bytes - cache, swapRoom, anon));
    memory.anonBytes -= swapped;
    memory.swapBytes += swapped;
    return cache + swapped;
  }

  /** Lets so much time pass. Steps of up to a second keep the curves smooth. */
  step(elapsedMs: number): void {
    this.#hostMs += elapsedMs;
    this.#demandMs += elapsedMs * this.#speed;
    const stalls = new Map<number, StallShares>();
    for (const container of [...this.#containers.values()]) {
      if (container.diesAtMs !== undefined) this.#bury(container);
      else if (container.frozen) stalls.set(container.vmid, noStall);
      else stalls.set(container.vmid, this.#settle(container, elapsedMs));
    }
    for (const vm of this.vms.values()) this.#stepVm(vm, elapsedMs);
    this.#relieveHost();
    this.#stepCpu(elapsedMs);
    for (const container of this.#containers.values()) {
      const stall = stalls.get(container.vmid) ?? noStall;
      advancePressure(container.memoryPressure, stall, elapsedMs);
      const io = { some: stall.some * 0.8, full: stall.full * 0.8 };
      advancePressure(container.ioPressure, io, elapsedMs);
    }
    this.gauges.advanceMemory([...stalls.values()], this.memoryUse(), elapsedMs);
  }

  /** What all containers and the host hold together. */
  memoryUse(): HostMemoryUse {
    const use = { anonBytes: 0, shmemBytes: 0, kernelBytes: 0, fileBytes: 0, swapBytes: 0 };
    for (const { memory } of this.#containers.values()) {
      use.anonBytes += memory.anonBytes;
      use.shmemBytes += memory.shmemBytes;
      use.kernelBytes += memory.kernelBytes;
      // The host counts slab that can be reclaimed as available too.
      use.fileBytes += fileBytes(memory) + memory.slabBytes;
      use.swapBytes += memory.swapBytes;
    }
    const totalBytes = this.host.memoryMib * MIB;
    const swapTotalBytes = this.host.swapMib * MIB;
    const baseBytes = this.host.baseMemoryMib * MIB;
    const vmBytes = this.#heldByVms();
    const guests = use.anonBytes + use.shmemBytes + use.kernelBytes + use.fileBytes + vmBytes;
    const { sizeMib = 0, minMib = 0 } = this.host.arc ?? {};
    const arcMinBytes = minMib * MIB;
    const room = totalBytes - baseBytes - guests;
    const arcBytes = Math.max(arcMinBytes, Math.min(sizeMib * MIB, room));
    return { ...use, totalBytes, swapTotalBytes, baseBytes, vmBytes, arcBytes, arcMinBytes };
  }

  #stepVm({ vmid, guest, memory, frozen }: PlantVm, elapsedMs: number): void {
    if (!frozen && guest.step(elapsedMs, this.#demandMs)) {
      this.#events.push({ kind: 'oom-kill', vmid, scope: 'container' });
    }
    memory.anonBytes = Math.floor(guest.heldMib) * MIB;
    memory.peakBytes = Math.max(memory.peakBytes, memory.anonBytes);
  }

  #heldByVms(): number {
    let sum = this.vmBytes;
    for (const { guest } of this.vms.values()) sum += guest.heldMib * MIB;
    return sum;
  }

  #swapFreeBytes(): number {
    let used = 0;
    for (const { memory } of this.#containers.values()) used += memory.swapBytes;
    return Math.max(0, this.host.swapMib * MIB - used);
  }

  #demandOf(container: PlantContainer): Demand {
    return container.demand(this.#demandMs, this.#demandMs - container.processSinceDemandMs);
  }

  /** 0 while the process is dead, rising to 1 while it warms up. */
  #vigour(container: PlantContainer): number {
    return vigourAt(this.#hostMs - container.processFromMs);
  }

  #wantOf(container: PlantContainer): MemoryWant {
    const demand = this.#demandOf(container);
    const anon = Math.max(0, demand.anonMib) * MIB;
    const vigour = this.#vigour(container);
    const nested = nestedUse(demand.nested);
    return {
      anonBytes: Math.max(Math.min(SYSTEM_ANON_BYTES, anon), anon * vigour) + nested.anonMib * MIB,
      shmemBytes: (demand.shmemMib ?? 0) * MIB * (container.memory.shmemBytes > 0 ? 1 : vigour),
      fileSetBytes: ((demand.fileSetMib ?? 0) + nested.fileMib) * MIB,
      unevictableBytes: Math.min(anon, (demand.unevictableMib ?? 0) * MIB) * vigour,
      slabBytes: (demand.slabMib ?? 0) * MIB,
    };
  }

  #settle(container: PlantContainer, elapsedMs: number): StallShares {
    const { memory } = container;
    const limits = memoryLimits(container.limits);
    const swapFree = this.#swapFreeBytes();
    const stall = settleMemory(memory, this.#wantOf(container), limits, swapFree, elapsedMs);
    if (stall !== undefined) {
      return worse(stall, meetNestedLimits(memory, this.#demandOf(container).nested, elapsedMs));
    }
    this.#kill(container, 'container');
    const afterKill = settleMemory(memory, this.#wantOf(container), limits, swapFree, elapsedMs);
    if (afterKill === undefined) this.#die(container);
    return { some: 0.5, full: 0.5 };
  }

  /** The killer ends the main process; its supervisor starts it again a little later. */
  #kill(container: PlantContainer, scope: 'container' | 'host'): void {
    countKill(container.memory, scope === 'container');
    container.processFromMs = this.#hostMs + RESTART_DELAY_MS;
    container.processSinceDemandMs = this.#demandMs + RESTART_DELAY_MS * this.#speed;
    this.#events.push({ kind: 'oom-kill', vmid: container.vmid, scope });
  }

  #die(container: PlantContainer): void {
    killAll(container.memory);
    container.diesAtMs = this.#hostMs + DYING_MS;
    this.#events.push({ kind: 'oom-kill', vmid: container.vmid, scope: 'container' });
  }

  #bury(container: PlantContainer): void {
    if (container.diesAtMs === undefined || this.#hostMs < container.diesAtMs) return;
    this.#containers.delete(container.vmid);
    const { vmid, cpu } = container;
    this.#events.push({ kind: 'died', vmid, usageUs: cpu.usageUs });
  }

  /** When the host itself runs out: cache of all containers, then the largest process. */
  #relieveHost(): void {
    const { memoryMib, baseMemoryMib, arc } = this.host;
    const room = (memoryMib - baseMemoryMib - (arc?.minMib ?? 0)) * MIB - this.#heldByVms();
    let over = -room;
    let cache = 0;
    for (const { memory } of this.#containers.values()) {
      over += currentBytes(memory);
      cache += fileBytes(memory) + memory.slabBytes;
    }
    if (over <= 0) return;
    const share = cache > 0 ? Math.min(1, over / cache) : 0;
    for (const { memory } of this.#containers.values()) {
      over -= dropCache(memory, Math.ceil((fileBytes(memory) + memory.slabBytes) * share));
    }
    while (over > 0) {
      const byAnon = [...this.#containers.values()].sort(
        (a, b) => b.memory.anonBytes - a.memory.anonBytes,
      );
      const largest = byAnon[0];
      if (largest === undefined || largest.memory.anonBytes <= SYSTEM_ANON_BYTES) return;
      const before = currentBytes(largest.memory);
      this.#kill(largest, 'host');
      largest.memory.kernelBytes = kernelBytesFor(0);
      over -= before - currentBytes(largest.memory);
    }
  }

  #stepCpu(elapsedMs: number): void {
    const containers = [...this.#containers.values(), ...this.vms.values()];
    const wanted = containers.map((container) =>
      isVm(container)
        ? coresOf(container)
        : container.diesAtMs !== undefined ||
            container.frozen ||
            this.#hostMs < container.processFromMs
          ? 0
          : Math.max(0, this.#demandOf(container).cpuCores) +
            nestedUse(this.#demandOf(container).nested).cpuCores,
    );
    const limitsOf = containers.map(({ limits }) => ({
      ...limits,
      cpus: this.usable(limits.cpus),
    }));
    const claims = limitsOf.map((limits, index) => ({
      capCores: cappedCores(wanted[index] ?? 0, limits),
      weight: limits.cpuWeight,
      cpus: limits.cpus,
    }));
    const { granted, perCpu } = placeCores(claims, this.host.cpus, this.host.baseCores);
    for (const [index, container] of containers.entries()) {
      const cores = granted[index] ?? 0;
      const { cpu, frozen } = container;
      const limits = limitsOf[index] ?? container.limits;
      const stall = advanceCpu(cpu, limits, wanted[index] ?? 0, cores, elapsedMs);
      const inside = frozen ? noStall : nestedCpuStall(this.#demandOf(container).nested);
      advancePressure(container.cpuPressure, worse(stall, inside), elapsedMs);
    }
    this.gauges.advanceCpu(containers, perCpu, this.host.baseCores, elapsedMs);
  }
}
