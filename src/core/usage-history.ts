import { type GuestIdentity, parseGuestIdentity } from './identity.ts';
import type { CgroupSample, ContainerUsage, GuestConfig } from './observation.ts';
import type { Reading } from './reading.ts';
import { parseVmid, type Vmid } from './units.ts';
import { cpuUsage, memoryUsage } from './usage.ts';

/**
 * The history of usage: one line of CSV per container and cycle, in files of a day (UTC). A line
 * begins with the four columns of a usage trace, so that the files can be read as one. Pure.
 */

/** What one line says. undefined: that was not known, which is not zero. */
export interface UsageRecord {
  /** Seconds since 1970: the end of the time that the line is about. */
  readonly timeS: number;
  readonly vmid: Vmid;
  /** Used since the line before, on average, in cores. */
  readonly cpuCores: number | undefined;
  /** Working set, in MiB. */
  readonly memoryMib: number | undefined;
  /** What would have been used if nothing had held it back, in cores; see `cpuDemand`. */
  readonly cpuDemand: number | undefined;
  /** The most that any sample since the line before saw, in cores and in MiB. */
  readonly cpuPeak: number | undefined;
  readonly memoryPeakMib: number | undefined;
  readonly cpuAllowed: number | undefined;
  /** undefined even if there is no limit. */
  readonly memoryLimitMib: number | undefined;
  /** Share of the time in which a task waited for a CPU, and for memory, in percent. */
  readonly cpuWaitPercent: number | undefined;
  readonly memoryWaitPercent: number | undefined;
  /** Which guest this and the following lines of the id are about; see `readUsage`. */
  readonly guest?: GuestIdentity;
}

export const USAGE_HEADER =
  'time_s,container,cpu_cores,memory_mb,cpu_demand,cpu_peak,cpu_allowed,' +
  'memory_peak_mb,memory_limit_mb,cpu_wait_percent,memory_wait_percent,guest';

/** A number with at most so many thousandths or tenths, in as few characters as it takes. */
const rounded = (value: number | undefined, parts: number): string =>
  value === undefined ? '' : `${Math.round(value * parts) / parts}`;

/** The line without its newline. Cores to a thousandth, memory to a MiB, waiting to 0.1 %. */
export function encodeUsage(one: UsageRecord): string {
  return (
    `${one.timeS},${one.vmid},${rounded(one.cpuCores, 1000)},${rounded(one.memoryMib, 1)},` +
    `${rounded(one.cpuDemand, 1000)},${rounded(one.cpuPeak, 1000)},` +
    `${rounded(one.cpuAllowed, 1000)},${rounded(one.memoryPeakMib, 1)},` +
    `${rounded(one.memoryLimitMib, 1)},${rounded(one.cpuWaitPercent, 10)},` +
    rounded(one.memoryWaitPercent, 10) +
    // One in a thousand lines has it. Its commas would be columns.
    (one.guest === undefined ? '' : `,${one.guest.replaceAll(',', '+')}`)
  );
}

const NUMBER = /^(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,3})?$/;
const WHOLE = /^[1-9][0-9]{0,11}$/;

const COLUMNS_OF_NUMBERS = 9;

/** undefined for what is no such line: a header, one that was cut short, or damaged. */
export function parseUsage(line: string): UsageRecord | undefined {
  const [time = '', container = '', ...fields] = line.split(',');
  const vmid = parseVmid(container);
  if (!WHOLE.test(time) || vmid === undefined) return undefined;
  const named = fields.splice(COLUMNS_OF_NUMBERS);
  if (fields.length !== COLUMNS_OF_NUMBERS || named.length > 1) return undefined;
  const guest = parseGuestIdentity(named[0]?.replaceAll('+', ','));
  if (guest === undefined && named.length > 0) return undefined;
  if (fields.some((field) => field !== '' && !NUMBER.test(field))) return undefined;
  const [used, memory, demand, peak, allowed, memoryPeak, limit, wait, memoryWait] = fields.map(
    (field) => (field === '' ? undefined : Number(field)),
  );
  return {
    timeS: Number(time),
    vmid,
    cpuCores: used,
    memoryMib: memory,
    cpuDemand: demand,
    cpuPeak: peak,
    cpuAllowed: allowed,
    memoryPeakMib: memoryPeak,
    memoryLimitMib: limit,
    cpuWaitPercent: wait,
    memoryWaitPercent: memoryWait,
    ...(guest && { guest }),
  };
}

/** The most that the samples between two lines saw; undefined: none saw anything. */
export interface UsagePeaks {
  readonly cores: number | undefined;
  readonly mib: number | undefined;
}

export interface UsageSeen {
  readonly timeS: number;
  readonly config: GuestConfig;
  /** What the cycle made of its samples. */
  readonly usage: ContainerUsage;
  /** The sample of the line before; undefined: there was none, so what the cycle says counts. */
  readonly before: CgroupSample | undefined;
  readonly now: CgroupSample;
  readonly peaks: UsagePeaks;
  readonly hostCpus: Reading<number>;
}

/**
 * What is to be remembered of a container. Rates count from the line before, even if the cycle
 * measured from a later sample, since a decision was brought forward in between.
 */
export function usageRecord(seen: UsageSeen): UsageRecord {
  const { timeS, config, usage, before, now, peaks } = seen;
  const isWhole =
    before === undefined ||
    // What it was frozen for is no time in which it used little.
    (!usage.cpu.ok && usage.cpu.why === 'frozen') ||
    (usage.cpu.ok && Math.abs(usage.cpu.value.overMs - (now.atMs - before.atMs)) < 1);
  const cpu = isWhole ? usage.cpu : cpuUsage(before, now, config, seen.hostCpus);
  const memory = isWhole ? usage.memory : memoryUsage(before, now);
  const cores = cpu.ok ? cpu.value : undefined;
  // Page cache that counts as used is no need.
  const counts = memory.ok && memory.value.countsCache === undefined;
  const mib = counts ? memory.value : undefined;
  // One of many in each cycle: put together without a spread, which takes ten times as long.
  return {
    timeS,
    vmid: config.vmid,
    cpuCores: cores?.used,
    memoryMib: mib?.workingSetMib,
    cpuDemand: cores?.demand,
    cpuPeak: greater(peaks.cores, cores?.used),
    memoryPeakMib: mib && greater(peaks.mib, mib.workingSetMib),
    cpuAllowed: cores?.allowed,
    memoryLimitMib: mib?.limitMib,
    cpuWaitPercent: percent(cores?.pressure),
    memoryWaitPercent: percent(mib?.pressure),
  };
}

const percent = (share: number | undefined): number | undefined =>
  share === undefined ? undefined : share * 100;

/** The greater of the two, as far as they are known. */
export function greater(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.max(one, other);
}

/** A file of the history: a day, in one part or more, packed (gzip) when it is finished. */
export interface UsageFile {
  /** `2026-11-22`, in UTC. */
  readonly day: string;
  /** Counts from 1. */
  readonly part: number;
  readonly packed: boolean;
  readonly bytes: number;
}

export const dayOf = (timeS: number): string => new Date(timeS * 1000).toISOString().slice(0, 10);

export const MOST_PARTS = 999;

/** `2026-11-22.001.csv`, and `.gz` after it when it is packed: the names sort as the times do. */
export const usageFileName = ({ day, part, packed }: Omit<UsageFile, 'bytes'>): string =>
  `${day}.${String(part).padStart(3, '0')}.csv${packed ? '.gz' : ''}`;

const FILE_NAME = /^([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9]{3})\.csv(\.gz)?$/;

/** undefined for what is no file of the history. */
export function parseUsageFileName(name: string): Omit<UsageFile, 'bytes'> | undefined {
  const [, day, part, gz] = FILE_NAME.exec(name) ?? [];
  if (day === undefined || part === undefined) return undefined;
  return { day, part: Number(part), packed: gz !== undefined };
}

export interface UsageBounds {
  /** The day that is written now counts as one of them. */
  readonly days: number;
  readonly bytes: number;
}

/**
 * The files that have to go, of files sorted from the oldest to the newest. Days are counted, and
 * not measured against the clock, which on a small machine may start far off.
 */
export function surplusFiles(
  files: readonly UsageFile[],
  bounds: UsageBounds,
): readonly UsageFile[] {
  const days = [...new Set(files.map(({ day }) => day))].sort().reverse();
  const oldest = days.slice(0, bounds.days).at(-1) ?? '';
  let total = 0;
  return [...files].reverse().filter(({ day, bytes }) => {
    // Of those that go too: what is older than one of them goes, so the history has no holes.
    total += bytes;
    return total > bounds.bytes || day < oldest;
  });
}
