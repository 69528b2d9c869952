import {
  cgroupEventsText,
  cpuStatText,
  type Files,
  limitsOf,
  liveFiles,
  memoryStatText,
  noLimits,
  quietFiles,
  settledFiles,
} from './cgroup-text.ts';
import { allCpus, cpuListText } from './cpusets.ts';
import type { Plant, PlantContainer, PlantVm } from './plant.ts';
import { type MemoryState, newMemory } from './plant-memory.ts';
import { pressureText } from './pressure.ts';
import {
  arcstatsText,
  bootId,
  loadavgText,
  meminfoText,
  procStatText,
  uptimeText,
  versionText,
} from './proc-text.ts';
import type { Tree } from './tree.ts';

/** Writes what the kernel of the node shows: `/proc`, `/sys` and the cgroups. */

const CGROUP = 'sys/fs/cgroup';
const CPU = 'sys/devices/system/cpu';
const CONTROLLERS = 'cpuset cpu io memory pids misc\n';
const MIB = 1024 * 1024;
/** A small Debian container: its processes, and the cgroups of its own that it makes. */
const PIDS = 11;
const INNER = { descendants: 14, controlled: 1, pids: PIDS };
const OUTER = { descendants: 15, controlled: 2, pids: PIDS };
const ALONE = { descendants: 0, controlled: 1, pids: 1 };

/** The outer cgroup of a container, below the root of the tree. */
export const outerCgroup = (vmid: number): string => `${CGROUP}/lxc/${vmid}`;

export interface KernelTreeOptions {
  readonly bootTimeS: number;
  /** How long the host had been up when the plant began. */
  readonly uptimeAtStartMs: number;
}

const addMemory = (sum: MemoryState, memory: MemoryState): void => {
  sum.anonBytes += memory.anonBytes;
  sum.shmemBytes += memory.shmemBytes;
  sum.unevictableBytes += memory.unevictableBytes;
  sum.swapBytes += memory.swapBytes;
  sum.kernelBytes += memory.kernelBytes;
  sum.activeFileBytes += memory.activeFileBytes;
  sum.inactiveFileBytes += memory.inactiveFileBytes;
  sum.slabBytes += memory.slabBytes;
  sum.peakBytes += memory.peakBytes;
  sum.counts.refaultFile += memory.counts.refaultFile;
  sum.counts.readBytes += memory.counts.readBytes;
};

/** The monitor process beside a container. */
function monitorMemory(): MemoryState {
  const memory = newMemory();
  memory.anonBytes = 188_416;
  memory.inactiveFileBytes = 245_760;
  memory.activeFileBytes = 471_040;
  memory.kernelBytes = 172_032;
  memory.peakBytes = 1_409_024;
  return memory;
}

export class KernelTree {
  readonly #tree: Tree;
  readonly #plant: Plant;
  readonly #options: KernelTreeOptions;
  /** Text of `ns/cpuset.cpus`: empty from a start until pvestatd comes by. */
  readonly #innerCpus = new Map<number, string>();
  readonly #stale = new Set<number>();
  /** CPU time of containers that are gone: it stays in the sum of their parent. */
  #formerUsageUs = 0;

  constructor(tree: Tree, plant: Plant, options: KernelTreeOptions) {
    this.#tree = tree;
    this.#plant = plant;
    this.#options = options;
    const { host } = plant;
    tree.write(CPU, 'present', `${cpuListText(allCpus(host.cpus))}\n`);
    tree.write('proc', 'version', versionText(host));
    tree.write('proc/sys/kernel/random', 'boot_id', `${bootId(options.bootTimeS)}\n`);
    tree.write(CGROUP, 'cgroup.controllers', CONTROLLERS);
    tree.write(CGROUP, 'cgroup.subtree_control', CONTROLLERS);
    this.cpusChanged(new Set());
    tree.makeDirectory(`${CGROUP}/lxc.monitor`);
  }

  /** The cgroups of a container that was just started; `innerCpus` is set for one long running. */
  create(container: PlantContainer, innerCpus: string): void {
    const { vmid } = container;
    this.#innerCpus.set(vmid, innerCpus);
    const { pressure } = this.#plant.host;
    const monitor = `${CGROUP}/lxc.monitor/${vmid}`;
    const settled = settledFiles(noLimits(cpuListText(allCpus(this.#plant.host.cpus))), ALONE);
    this.#writeAll(monitor, settled);
    this.#writeAll(monitor, quietFiles(monitorMemory(), 45_000, pressure));
    this.#stale.add(vmid);
    this.#writeContainer(container);
  }

  /** CPUs went off or came back: all cgroups are written anew with the next sync. */
  cpusChanged(offline: ReadonlySet<number>): void {
    const online = allCpus(this.#plant.host.cpus).filter((cpu) => !offline.has(cpu));
    const text = `${cpuListText(online)}\n`;
    this.#tree.write(CPU, 'online', text);
    this.#tree.write(CGROUP, 'cpuset.cpus.effective', text);
    for (const { vmid } of this.#plant.containers()) this.#stale.add(vmid);
  }

  /** The directory of a container that has stopped, with nothing in it. */
  leaveBehind(vmid: number): void {
    this.#innerCpus.delete(vmid);
    for (const directory of [outerCgroup(vmid), `${outerCgroup(vmid)}/ns`]) {
      this.#tree.write(directory, 'cgroup.events', cgroupEventsText({ populated: false }));
    }
  }

  remove(vmid: number, usageUs: number): void {
    this.#formerUsageUs += usageUs;
    this.#innerCpus.delete(vmid);
    this.#tree.remove(outerCgroup(vmid));
    this.#tree.remove(`${CGROUP}/lxc.monitor/${vmid}`);
  }

  /** The scope of a virtual machine. Where nothing goes on in it, all there is is the scope. */
  showVm(vmid: number, runs: boolean): void {
    const scope = `${CGROUP}/qemu.slice/${vmid}.scope`;
    this.#stale.add(vmid);
    if (runs) this.#tree.write(scope, 'cgroup.procs', '');
    else this.#tree.remove(scope);
  }

  #writeVm(vm: PlantVm): void {
    const scope = `${CGROUP}/qemu.slice/${vm.vmid}.scope`;
    if (this.#stale.delete(vm.vmid)) {
      // The slice does not hand the controller of CPUs on, and QEMU's memory has no limit.
      const files = settledFiles(limitsOf(vm, []), ALONE).filter(([name]) => !/^cpuset/.test(name));
      this.#writeAll(scope, files);
    }
    this.#writeAll(scope, liveFiles(vm, false, this.#plant.host.pressure));
  }

  /** Someone set a limit: its file is written with the next sync. */
  limitsChanged(vmid: number): void {
    this.#stale.add(vmid);
  }

  /** pvestatd has dealt with this container: the inner cpuset follows the outer one. */
  adoptInnerCpus(container: PlantContainer): void {
    this.#innerCpus.set(container.vmid, cpuListText(container.limits.cpus));
    this.#stale.add(container.vmid);
  }

  /** Brings every file to the state of the plant; files whose text stays are not touched. */
  sync(): void {
    for (const container of this.#plant.containers()) this.#writeContainer(container);
    for (const vm of this.#plant.vms.values()) this.#writeVm(vm);
    this.#writeParent();
    this.#writeHost();
  }

  /** The files of one container only. */
  syncContainer(container: PlantContainer): void {
    this.#writeContainer(container);
  }

  #writeAll(directory: string, files: Files): void {
    for (const [name, text] of files) this.#tree.write(directory, name, text);
  }

  #writeContainer(container: PlantContainer): void {
    const outer = outerCgroup(container.vmid);
    const inner = `${outer}/ns`;
    const { pressure } = this.#plant.host;
    if (this.#stale.delete(container.vmid)) {
      const limits = limitsOf(container, this.#plant.usable(container.limits.cpus));
      const innerCpus = this.#innerCpus.get(container.vmid) ?? '';
      this.#writeAll(outer, settledFiles(limits, OUTER));
      const noInnerLimits = noLimits(limits.effectiveCpus, innerCpus, container.frozen);
      this.#writeAll(inner, settledFiles(noInnerLimits, INNER));
    }
    this.#writeAll(outer, liveFiles(container, false, pressure));
    this.#writeAll(inner, liveFiles(container, true, pressure));
  }

  #writeParent(): void {
    const sum = newMemory();
    let usageUs = this.#formerUsageUs;
    let count = 0;
    for (const { memory, cpu } of this.#plant.containers()) {
      addMemory(sum, memory);
      usageUs += cpu.usageUs;
      count += 1;
    }
    const parent = `${CGROUP}/lxc`;
    const usable = this.#plant.usable(allCpus(this.#plant.host.cpus));
    const limits = noLimits(cpuListText(usable));
    const below = {
      descendants: count * (OUTER.descendants + 1),
      controlled: 1 + count * OUTER.controlled,
      pids: count * PIDS,
    };
    this.#writeAll(parent, settledFiles(limits, below));
    this.#writeAll(parent, quietFiles(sum, usageUs, this.#plant.host.pressure));
  }

  #writeHost(): void {
    const { gauges, host, hostMs } = this.#plant;
    const use = this.#plant.memoryUse();
    const uptimeMs = this.#options.uptimeAtStartMs + hostMs;
    this.#tree.write('proc', 'meminfo', meminfoText(use));
    if (host.arc !== undefined) {
      this.#tree.write('proc/spl/kstat/zfs', 'arcstats', arcstatsText(use, host.arc.sizeMib));
    }
    this.#tree.write('proc', 'stat', procStatText(gauges, this.#options.bootTimeS));
    this.#tree.write('proc', 'loadavg', loadavgText(gauges));
    this.#tree.write('proc', 'uptime', uptimeText(uptimeMs, gauges));
    const usageUs = gauges.busyMs.reduce((sum, ms) => sum + ms, 0) * 1000;
    const idle = { periods: 0, throttledPeriods: 0, throttledUs: 0 };
    this.#tree.write(CGROUP, 'cpu.stat', cpuStatText({ usageUs, ...idle }));
    const all = newMemory();
    for (const { memory } of this.#plant.containers()) addMemory(all, memory);
    all.anonBytes += host.baseMemoryMib * MIB * 0.6;
    all.inactiveFileBytes += host.baseMemoryMib * MIB * 0.3;
    this.#tree.write(CGROUP, 'memory.stat', memoryStatText(all));
    if (!host.pressure) return;
    const kinds = [
      ['cpu', gauges.cpuPressure],
      ['memory', gauges.memoryPressure],
      ['io', gauges.ioPressure],
    ] as const;
    for (const [kind, state] of kinds) {
      this.#tree.write('proc/pressure', kind, pressureText(state));
      this.#tree.write(CGROUP, `${kind}.pressure`, pressureText(state));
    }
  }
}
