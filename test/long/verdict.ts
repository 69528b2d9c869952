import {
  BACKUPS_KEEP,
  HISTORY_DAYS,
  LOG_KEEP,
  LOG_MAX_MIB,
  type LongRun,
  type Measured,
} from './long-run.ts';
import { median, type Trend, trend } from './measures.ts';

/** What a long run says, in numbers, and what of it is not as it should be. */
export interface Verdict {
  readonly lines: readonly string[];
  readonly faults: readonly string[];
}

/** What is left out at the beginning: caches fill, what is rarely used is loaded. */
const WARM_UP = 0.15;
const MIB = 1024 * 1024;
const HISTORY_MOST_BYTES = 50_000_000;
const STATE_MOST_BYTES = 1_000_000;

export interface Bounds {
  /** What memory may gain in a day, as far as that can be told from noise. */
  readonly mbPerDay: number;
  /** CPU of a cycle in the last part, as a multiple of that in the first part. */
  readonly cycleDrift: number;
  /** What the fewest open descriptors may gain: those of containers just gone stay for an hour. */
  readonly descriptors: number;
}

export function verdict(run: LongRun, bounds: Bounds): Verdict {
  const days = run.measured.at(-1)?.day ?? 0;
  const warm = run.measured.filter(({ day }) => day >= days * WARM_UP);
  const memory = trend(warm.map(({ day, privateMb }) => [day, privateMb]));
  const descriptors = parts(warm).map((part) => Math.min(...part.map((each) => each.descriptors)));
  const drift = cycleDrift(run.measured);
  const faults = [
    ...memoryFaults(memory, bounds),
    ...descriptorFaults(descriptors, bounds.descriptors),
    ...(drift.ratio <= bounds.cycleDrift ? [] : [`a cycle costs ${fixed(drift.ratio, 2)} x`]),
    ...fileFaults(run),
    ...lifeFaults(run),
  ];
  const lines = [...told(run, warm, memory), ...toldLater(run, descriptors, drift)];
  return { lines: [...lines, ...toldByTenths(run)], faults };
}

function toldByTenths({ tenths, visits, clones, errors }: LongRun): readonly string[] {
  const visited = Object.values(visits.answered).reduce((sum, count) => sum + count, 0);
  const group = `clones made ${clones.made}, taken away ${clones.gone}`;
  return [
    ...(visited === 0 ? [] : [`requests over HTTP answered: ${visited}; ${group}`]),
    ...errors.slice(0, 10).map((line) => `the log has: ${line}`),
    ...tenths.map(
      (each) =>
        `day ${fixed(each.day, 1)}: private ${fixed(each.privateMb, 1)} MB, resident ` +
        `${fixed(each.residentMb, 1)} MB, ${each.descriptors} descriptors, state ` +
        `${fixed(each.stateBytes / 1e6, 2)} MB, logs ${fixed(each.logBytes / 1e6, 2)} MB, ` +
        `${each.sets} changes`,
    ),
  ];
}

function told(run: LongRun, warm: readonly Measured[], memory: Trend): readonly string[] {
  const days = run.measured.at(-1)?.day ?? 0;
  const factor = Math.round((days * 86_400_000) / run.realMs);
  const held = warm.map(({ privateMb }) => privateMb);
  const resident = warm.map(({ residentMb }) => residentMb);
  return [
    `${fixed(days, 2)} days in ${fixed(run.realMs / 60_000, 1)} minutes: ${factor} x real time`,
    `${run.cycles} cycles, ${run.sets} calls of pct set, ${run.exchanged} containers exchanged`,
    `${run.messages} messages received, metrics read ${run.scrapes} times`,
    `private memory: median ${fixed(median(held), 1)}, at most ${fixed(Math.max(...held), 1)} MB`,
    `resident memory: median ${fixed(median(resident), 1)}, at most ` +
      `${fixed(Math.max(...resident), 1)} MB`,
    `private memory after the warm-up: ${signed(memory.slope, 3)} MB a day, ` +
      `standard error ${fixed(memory.error, 3)} (${warm.length} measurements)`,
  ];
}

function toldLater(run: LongRun, descriptors: readonly number[], drift: Drift): readonly string[] {
  const bytes = (start: string): string => {
    const found = run.files.filter(({ path }) => path.startsWith(start));
    return `${fixed(found.reduce((sum, each) => sum + each.bytes, 0) / 1e6, 2)} MB`;
  };
  const lib = 'var/lib/lxc_autoscale';
  return [
    `descriptors: at least ${descriptors.join(', ')} in the quarters of the run`,
    `CPU of a cycle: ${fixed(drift.firstMs, 1)} ms in the first quarter, ` +
      `${fixed(drift.lastMs, 1)} in the last: ${fixed(drift.ratio, 2)} x`,
    `files: logs ${bytes('var/log')}, backups ${bytes(`${lib}/backups`)}, ` +
      `history ${bytes(`${lib}/usage`)}, all of ${lib} ${bytes(lib)}, ${run.files.length} in all`,
  ];
}

function memoryFaults({ slope, error }: Trend, { mbPerDay }: Bounds): readonly string[] {
  if (slope - 2 * error <= mbPerDay) return [];
  return [`private memory grows by ${fixed(slope, 3)} MB a day`];
}

function descriptorFaults(fewest: readonly number[], most: number): readonly string[] {
  const [first = 0] = fewest;
  const last = fewest.at(-1) ?? 0;
  return last <= first + most ? [] : [`descriptors go from ${first} to ${last}`];
}

interface Drift {
  readonly firstMs: number;
  readonly lastMs: number;
  readonly ratio: number;
}

function cycleDrift(measured: readonly Measured[]): Drift {
  const quarters = parts(measured);
  const [firstMs = Number.NaN, lastMs = Number.NaN] = [quarters[0], quarters.at(-1)].map(costOf);
  return { firstMs, lastMs, ratio: lastMs / firstMs };
}

function costOf(part: readonly Measured[] = []): number {
  const [first, last] = [part[0], part.at(-1)];
  if (first === undefined || last === undefined) return Number.NaN;
  return (last.cpuMs - first.cpuMs) / (last.cycles - first.cycles);
}

function parts(measured: readonly Measured[]): ReadonlyArray<readonly Measured[]> {
  const size = Math.ceil(measured.length / 4);
  return [0, 1, 2, 3].map((part) => measured.slice(part * size, (part + 1) * size));
}

function fileFaults({ files, clones }: LongRun): readonly string[] {
  const faults: string[] = [];
  const logs = files.filter(({ path }) => path.startsWith('var/log/'));
  if (logs.length > 2 * (LOG_KEEP + 1)) faults.push(`${logs.length} log files`);
  for (const { path, bytes } of logs) {
    if (bytes > LOG_MAX_MIB * MIB) faults.push(`${path} has ${bytes} bytes`);
  }
  for (const [directory, names] of backupsByContainer(files)) {
    // The first copy of each guest that has had the id stays beside those.
    const guests = clones.ofId.get(directory.split('/').at(-1) ?? '') ?? 1;
    const most = 2 * (BACKUPS_KEEP + guests);
    if (names.length > most) faults.push(`${names.length} files in ${directory}`);
  }
  const history = files.filter(({ path }) => path.startsWith('var/lib/lxc_autoscale/usage/'));
  const historyBytes = history.reduce((sum, { bytes }) => sum + bytes, 0);
  if (historyBytes > HISTORY_MOST_BYTES) faults.push(`the history has ${historyBytes} bytes`);
  const days = new Set(history.map(({ path }) => /\d{4}-\d\d-\d\d/.exec(path)?.[0]));
  if (days.size > HISTORY_DAYS + 1) faults.push(`the history has ${days.size} days`);
  for (const { path, bytes } of files) {
    if (path.endsWith('.json') && !path.includes('/backups/') && bytes > STATE_MOST_BYTES) {
      if (!path.startsWith('var/log')) faults.push(`${path} has ${bytes} bytes`);
    }
    if (/\.tmp|\.partial/.test(path)) faults.push(`${path} was left behind`);
  }
  return faults;
}

function backupsByContainer(files: LongRun['files']): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const { path } of files) {
    const directory = /^var\/lib\/lxc_autoscale\/backups\/\d+/.exec(path)?.[0];
    if (directory === undefined) continue;
    const names = found.get(directory) ?? [];
    names.push(path);
    found.set(directory, names);
  }
  return found;
}

function lifeFaults(run: LongRun): readonly string[] {
  const faults: string[] = [];
  if (run.exitCode !== 0) faults.push(`it ended with ${run.exitCode}: ${run.stderr}`);
  if (run.stderr !== '') faults.push(`it complained: ${run.stderr}`);
  if (run.remembered.length > 0) faults.push(`it still speaks of ${run.remembered.join(', ')}`);
  if (run.sets === 0) faults.push('nothing was changed: the run shows nothing');
  if (run.messages === 0) faults.push('no message went out');
  if (run.scrapes === 0) faults.push('nobody could read the metrics');
  for (const refused of run.visits.refused.slice(0, 10)) faults.push(`over HTTP: ${refused}`);
  return faults;
}

const fixed = (value: number, digits: number): string => value.toFixed(digits);
const signed = (value: number, digits: number): string =>
  `${value < 0 ? '' : '+'}${value.toFixed(digits)}`;
