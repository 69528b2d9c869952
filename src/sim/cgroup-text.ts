import { cpuListText } from './cpusets.ts';
import type { PlantContainer } from './plant.ts';
import { currentBytes, fileBytes, highForMax, type MemoryState } from './plant-memory.ts';
import { newPressure, pressureText } from './pressure.ts';

/** The text of a container's cgroup files, as a kernel 6.x of Proxmox VE 8 prints them. */

export type Files = ReadonlyArray<readonly [name: string, text: string]>;

export interface CpuNumbers {
  readonly usageUs: number;
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledUs: number;
}

/** A part of usage_usec counts as system time; the two add up. */
const SYSTEM_SHARE = 0.2;

export function cpuStatText(cpu: CpuNumbers): string {
  const usage = Math.floor(cpu.usageUs);
  const system = Math.floor(usage * SYSTEM_SHARE);
  return [
    `usage_usec ${usage}`,
    `user_usec ${usage - system}`,
    `system_usec ${system}`,
    'nice_usec 0',
    `nr_periods ${Math.floor(cpu.periods)}`,
    `nr_throttled ${Math.floor(cpu.throttledPeriods)}`,
    `throttled_usec ${Math.floor(cpu.throttledUs)}`,
    'nr_bursts 0',
    'burst_usec 0\n',
  ].join('\n');
}

/** All keys in the kernel's order. `lessKernelBytes` is what the inner cgroup has less. */
export function memoryStatText(memory: MemoryState, lessKernelBytes = 0): string {
  const kernel = Math.max(0, Math.floor(memory.kernelBytes - lessKernelBytes));
  const slab = Math.floor(memory.slabBytes);
  const part = (share: number) => Math.floor(kernel * share);
  const anonLists = memory.anonBytes + memory.shmemBytes - memory.unevictableBytes;
  const activeAnon = Math.min(anonLists, 65_536);
  const { counts } = memory;
  const pairs: Array<readonly [string, number]> = [
    ['anon', memory.anonBytes],
    ['file', fileBytes(memory) + memory.shmemBytes],
    ['kernel', kernel + slab],
    ['kernel_stack', part(0.03)],
    ['pagetables', part(0.15)],
    ['sec_pagetables', 0],
    ['percpu', part(0.04)],
    ['sock', 0],
    ['vmalloc', part(0.06)],
    ['shmem', memory.shmemBytes],
    ['file_mapped', Math.floor(memory.activeFileBytes * 0.4)],
    ['file_dirty', 0],
    ['file_writeback', 0],
    ['swapcached', 0],
    ['inactive_anon', anonLists - activeAnon],
    ['active_anon', activeAnon],
    ['inactive_file', memory.inactiveFileBytes],
    ['active_file', memory.activeFileBytes],
    ['unevictable', memory.unevictableBytes],
    ['slab_reclaimable', slab],
    ['slab_unreclaimable', part(0.2)],
    ['slab', slab + part(0.2)],
    ['workingset_refault_anon', counts.refaultAnon],
    ['workingset_refault_file', counts.refaultFile],
    ['workingset_activate_anon', 0],
    ['workingset_activate_file', counts.activateFile],
    ['workingset_restore_anon', 0],
    ['workingset_restore_file', 0],
  ];
  const lines = pairs.map(([key, value]) => `${key} ${Math.floor(value)}`);
  return `${lines.join('\n')}\n${reclaimText(memory)}`;
}

function reclaimText(memory: MemoryState): string {
  const { counts } = memory;
  const scanned = Math.floor(counts.scanned);
  const stolen = Math.floor(counts.stolen);
  return [
    'workingset_nodereclaim 0',
    'pgdemote_kswapd 0',
    'pgdemote_direct 0',
    'pgdemote_khugepaged 0',
    'pgdemote_proactive 0',
    'pgsteal_kswapd 0',
    `pgsteal_direct ${stolen}`,
    'pgsteal_khugepaged 0',
    'pgsteal_proactive 0',
    'pgscan_kswapd 0',
    `pgscan_direct ${scanned}`,
    'pgscan_khugepaged 0',
    'pgscan_proactive 0',
    `pgrefill ${scanned}`,
    `pgscan ${scanned}`,
    `pgsteal ${stolen}`,
    `pswpin ${Math.floor(counts.swappedIn)}`,
    `pswpout ${Math.floor(counts.swappedOut)}`,
    `pgfault ${Math.floor(counts.faults)}`,
    `pgmajfault ${Math.floor(counts.majorFaults)}`,
    `pgactivate ${Math.floor(counts.activateFile)}`,
    'pgdeactivate 0',
    'pglazyfree 0',
    'pglazyfreed 0',
    'swpin_zero 0',
    'swpout_zero 0\n',
  ].join('\n');
}

export const cgroupEventsText = ({ populated = true, frozen = false }): string =>
  `populated ${populated ? 1 : 0}\nfrozen ${frozen ? 1 : 0}\n`;

const limitText = (bytes: number): string => (Number.isFinite(bytes) ? `${bytes}\n` : 'max\n');

interface EventCounts {
  readonly high: number;
  readonly max: number;
  readonly oom: number;
  readonly oomKill: number;
}

function eventsText({ high, max, oom, oomKill }: EventCounts): string {
  const hits = `low 0\nhigh ${Math.floor(high)}\nmax ${Math.floor(max)}\n`;
  const kills = `oom ${Math.floor(oom)}\noom_kill ${Math.floor(oomKill)}\noom_group_kill 0\n`;
  return `${hits}${kills}sock_throttled 0\n`;
}

/**
 * `memory.events` counts all cgroups below as well, `memory.events.local` its own alone; a kill
 * counts where its victim was, which is never the outermost cgroup.
 */
function eventFiles({ events, nestedEvents }: MemoryState, inner: boolean): Files {
  const own = inner ? { high: 0, max: 0, oom: 0 } : events;
  const all = {
    high: own.high,
    max: own.max + nestedEvents.max,
    oom: own.oom + nestedEvents.oom,
    oomKill: events.oomKill + nestedEvents.oomKill,
  };
  return [
    ['memory.events.local', eventsText({ ...own, oomKill: 0 })],
    ['memory.events', eventsText(all)],
  ];
}

function ioStatText(memory: MemoryState): string {
  const bytes = Math.floor(memory.counts.readBytes / 4096) * 4096;
  const reads = Math.ceil(bytes / 131_072);
  return `254:1 rbytes=${bytes} wbytes=0 rios=${reads} wios=0 dbytes=0 dios=0\n`;
}

/** What the inner cgroup `ns` holds less than the outer one around it. */
const OUTER_ONLY_BYTES = 16_384;

/** The files that change by themselves, of the outer cgroup or of `ns` inside it. */
export function liveFiles(container: PlantContainer, inner: boolean, pressure: boolean): Files {
  const { cpu, memory } = container;
  const less = inner ? OUTER_ONLY_BYTES : 0;
  const unthrottled = { ...cpu, periods: 0, throttledPeriods: 0, throttledUs: 0 };
  const files: Array<readonly [string, string]> = [
    ['cpu.stat', cpuStatText(inner ? unthrottled : cpu)],
    ['io.stat', ioStatText(memory)],
    ['memory.current', `${Math.max(0, currentBytes(memory) - less)}\n`],
    ...eventFiles(memory, inner),
    ['memory.peak', `${Math.max(0, memory.peakBytes - less)}\n`],
    ['memory.stat', memoryStatText(memory, less)],
    ['memory.swap.current', `${memory.swapBytes}\n`],
  ];
  if (!pressure) return files;
  files.push(
    ['cpu.pressure', pressureText(container.cpuPressure)],
    ['io.pressure', pressureText(container.ioPressure)],
    ['memory.pressure', pressureText(container.memoryPressure)],
  );
  return files;
}

const CONTROLLERS = 'cpuset cpu io memory pids misc\n';

/** Which cgroups are below one: with all controllers, and with memory and pids only. */
export interface Population {
  readonly descendants: number;
  /** Itself and those below it that have all controllers. */
  readonly controlled: number;
  readonly pids: number;
}

function cgroupStatText({ descendants, controlled }: Population): string {
  const kinds = ['cpuset', 'cpu', 'io', 'memory', 'pids', 'misc'];
  const count = (kind: string): number =>
    kind === 'memory' || kind === 'pids' ? descendants + 1 : controlled;
  return [
    `nr_descendants ${descendants}`,
    ...kinds.map((kind) => `nr_subsys_${kind} ${count(kind)}`),
    'nr_dying_descendants 0',
    ...kinds.map((kind) => `nr_dying_subsys_${kind} 0`),
    '',
  ].join('\n');
}

export interface SettledLimits {
  readonly cpuMax: string;
  readonly cpuWeight: number;
  readonly cpus: string;
  readonly effectiveCpus: string;
  readonly memoryHighBytes: number;
  readonly memoryMaxBytes: number;
  readonly swapMaxBytes: number;
  readonly frozen: boolean;
}

export const noLimits = (effectiveCpus: string, cpus = '', frozen = false): SettledLimits => ({
  frozen,
  cpuMax: 'max 100000',
  cpuWeight: 100,
  cpus,
  effectiveCpus,
  memoryHighBytes: Number.POSITIVE_INFINITY,
  memoryMaxBytes: Number.POSITIVE_INFINITY,
  swapMaxBytes: Number.POSITIVE_INFINITY,
});

export function limitsOf(container: PlantContainer, usableCpus: readonly number[]): SettledLimits {
  const { limits } = container;
  const quota = limits.cpuLimit;
  const cpus = cpuListText(limits.cpus);
  return {
    cpuMax: quota === undefined ? 'max 100000' : `${Math.round(quota * 100_000)} 100000`,
    cpuWeight: limits.cpuWeight,
    cpus,
    effectiveCpus: cpuListText(usableCpus),
    memoryHighBytes: limits.memoryHighBytes ?? highForMax(limits.memoryMaxBytes),
    memoryMaxBytes: limits.memoryMaxBytes,
    swapMaxBytes: limits.swapMaxBytes,
    frozen: container.frozen,
  };
}

/** The files that only change when someone sets something. */
export function settledFiles(limits: SettledLimits, population: Population): Files {
  return [
    ['cgroup.controllers', CONTROLLERS],
    ['cgroup.events', cgroupEventsText({ frozen: limits.frozen })],
    ['cgroup.freeze', limits.frozen ? '1\n' : '0\n'],
    ['cgroup.procs', ''],
    ['cgroup.stat', cgroupStatText(population)],
    ['cgroup.type', 'domain\n'],
    ['cpu.max', `${limits.cpuMax}\n`],
    ['cpu.weight', `${limits.cpuWeight}\n`],
    ['cpuset.cpus', `${limits.cpus}\n`],
    ['cpuset.cpus.effective', `${limits.effectiveCpus}\n`],
    ['memory.high', limitText(limits.memoryHighBytes)],
    ['memory.low', '0\n'],
    ['memory.max', limitText(limits.memoryMaxBytes)],
    ['memory.min', '0\n'],
    ['memory.oom.group', '0\n'],
    ['memory.swap.max', limitText(limits.swapMaxBytes)],
    ['pids.current', `${population.pids}\n`],
    ['pids.max', 'max\n'],
  ];
}

/** The live files of a cgroup that does nothing to speak of, such as `lxc.monitor/ID`. */
export function quietFiles(memory: MemoryState, usageUs: number, pressure: boolean): Files {
  const cpu = { usageUs, periods: 0, throttledPeriods: 0, throttledUs: 0 };
  const files: Array<readonly [string, string]> = [
    ['cpu.stat', cpuStatText(cpu)],
    ['io.stat', ioStatText(memory)],
    ['memory.current', `${currentBytes(memory)}\n`],
    ...eventFiles(memory, false),
    ['memory.peak', `${memory.peakBytes}\n`],
    ['memory.stat', memoryStatText(memory)],
    ['memory.swap.current', `${memory.swapBytes}\n`],
  ];
  const still = pressureText(newPressure());
  if (pressure) {
    files.push(['cpu.pressure', still], ['io.pressure', still], ['memory.pressure', still]);
  }
  return files;
}
