import type { CgroupLife, OwnEvents } from '../../../core/observation.ts';
import { wholeNumber } from '../../../os/byte-numbers.ts';
import { KeyedFile } from '../../../os/keyed-file.ts';

/**
 * The bytes of cgroup v2 files as numbers, all in the kernel's own units. A file that does not say
 * what it should gives undefined (or -1 if a single number is asked for), never a zero.
 * Source of the formats: the kernel's admin-guide/cgroup-v2.rst.
 */

const NEWLINE = 0x0a;

/** A file that holds one number and a newline. -1 if it is anything else, or cut off. */
export function parseSingleNumber(bytes: Uint8Array, length: number): number {
  return bytes[length - 1] === NEWLINE ? wholeNumber(bytes, 0, length - 1) : -1;
}

/** `max` and a newline: no limit. */
export function saysMax(bytes: Uint8Array, length: number): boolean {
  return length === 4 && bytes[0] === 0x6d && bytes[1] === 0x61 && bytes[2] === 0x78;
}

/**
 * `cpu.max`, a quota and its period in microseconds, as cores: Infinity for `max`, no limit. -1
 * where it is anything else.
 */
export function parseCpuMax(text: string): number {
  const match = /^(max|[1-9][0-9]{0,14}) ([1-9][0-9]{0,14})\n(?![\s\S])/.exec(text);
  if (match === null) return -1;
  return match[1] === 'max' ? Number.POSITIVE_INFINITY : Number(match[1]) / Number(match[2]);
}

export interface CpuStat {
  readonly usageUs: number;
  readonly throttledUs: number;
}

const cpuStat = new KeyedFile(['usage_usec', 'throttled_usec']);

export function parseCpuStat(bytes: Uint8Array, length: number): CpuStat | undefined {
  if (!cpuStat.scan(bytes, length) || cpuStat.value(0) < 0) return undefined;
  // The kernel leaves the throttling lines out where no CPU controller is enabled. Such a cgroup
  // has no bandwidth limit, so that zero is what its throttled time truly is.
  return { usageUs: cpuStat.value(0), throttledUs: Math.max(0, cpuStat.value(1)) };
}

const USAGE = Buffer.from('usage_usec ');

/** Its first line alone; -1 if that says no usage. */
export function parseCpuUsage(bytes: Uint8Array, length: number): number {
  let at = 0;
  while (at < USAGE.length && bytes[at] === USAGE[at]) at++;
  if (at < USAGE.length) return -1;
  let end = at;
  while (end < length && bytes[end] !== NEWLINE) end++;
  return end < length ? wholeNumber(bytes, at, end) : -1;
}

export interface MemoryStat {
  readonly anon: number;
  readonly shmem: number;
  readonly inactiveFile: number;
  readonly activeFile: number;
  readonly unevictable: number;
  readonly slabUnreclaimable: number;
  readonly slabReclaimable: number;
  readonly refaults: number;
}

const MEMORY_STAT_KEYS = [
  'anon',
  'shmem',
  'inactive_file',
  'active_file',
  'unevictable',
  'slab_unreclaimable',
  'workingset_refault_anon',
  'workingset_refault_file',
];
const SLAB_RECLAIMABLE = MEMORY_STAT_KEYS.length;
const memoryStat = new KeyedFile([...MEMORY_STAT_KEYS, 'slab_reclaimable']);

export function parseMemoryStat(bytes: Uint8Array, length: number): MemoryStat | undefined {
  if (!memoryStat.scan(bytes, length)) return undefined;
  for (let index = 0; index < MEMORY_STAT_KEYS.length; index++) {
    if (memoryStat.value(index) < 0) return undefined;
  }
  const refaults = memoryStat.value(6) + memoryStat.value(7);
  if (refaults > Number.MAX_SAFE_INTEGER) return undefined;
  return {
    anon: memoryStat.value(0),
    shmem: memoryStat.value(1),
    inactiveFile: memoryStat.value(2),
    activeFile: memoryStat.value(3),
    unevictable: memoryStat.value(4),
    slabUnreclaimable: memoryStat.value(5),
    // What is not said to be reclaimable counts as in use.
    slabReclaimable: Math.max(0, memoryStat.value(SLAB_RECLAIMABLE)),
    refaults,
  };
}

export interface MemoryEvents {
  readonly limitHits: number;
  readonly oomKills: number;
  readonly ooms: number | undefined;
}

const memoryEvents = new KeyedFile(['max', 'oom', 'oom_kill']);

export function parseMemoryEvents(bytes: Uint8Array, length: number): MemoryEvents | undefined {
  if (!memoryEvents.scan(bytes, length)) return undefined;
  const limitHits = memoryEvents.value(0);
  const ooms = memoryEvents.value(1);
  const oomKills = memoryEvents.value(2);
  if (limitHits < 0 || oomKills < 0) return undefined;
  return { limitHits, oomKills, ooms: ooms < 0 ? undefined : ooms };
}

const ownEvents = new KeyedFile(['high', 'max', 'oom']);

/** `memory.events.local`. */
export function parseOwnEvents(bytes: Uint8Array, length: number): OwnEvents | undefined {
  if (!ownEvents.scan(bytes, length)) return undefined;
  const highHits = ownEvents.value(0);
  const limitHits = ownEvents.value(1);
  const ooms = ownEvents.value(2);
  return highHits < 0 || limitHits < 0 || ooms < 0 ? undefined : { highHits, limitHits, ooms };
}

const cgroupEvents = new KeyedFile(['populated', 'frozen']);

/** `cgroup.events`. A kernel without the line `frozen` (before 5.2) freezes no cgroup. */
export function parseCgroupEvents(bytes: Uint8Array, length: number): CgroupLife | undefined {
  if (!cgroupEvents.scan(bytes, length)) return undefined;
  const populated = cgroupEvents.value(0);
  const frozen = cgroupEvents.value(1);
  if (populated < 0 || populated > 1 || frozen > 1) return undefined;
  return { populated: populated === 1, frozen: frozen === 1 };
}
