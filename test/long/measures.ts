import { readdirSync, readFileSync } from 'node:fs';

/** What a process holds and has used, as the kernel tells it. */
export interface ProcessMeasure {
  readonly residentMb: number;
  /** What it has written itself: not the pages of Node's own file, which others may share. */
  readonly privateMb: number;
  readonly descriptors: number;
  /** Of the process itself, without its children. */
  readonly cpuMs: number;
  /** How often it has gone to sleep and was woken. */
  readonly wakeUps: number;
  /** To files, pipes and sockets. */
  readonly writtenBytes: number;
}

/** Sources: proc(5); Documentation/filesystems/proc.rst, smaps_rollup. */
export function measureProcess(pid: number): ProcessMeasure {
  const rollup = textOf(`/proc/${pid}/smaps_rollup`);
  const kib = (key: string): number => numberAfter(rollup, `${key}:`);
  return {
    residentMb: kib('Rss') / 1024,
    privateMb: kib('Private_Dirty') / 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    cpuMs: cpuMsOf(pid),
    wakeUps: sum(threadsOf(pid), (path) => numberAfter(textOf(`${path}/status`), SWITCHES)),
    writtenBytes: numberAfter(textOf(`/proc/${pid}/io`), 'wchar:'),
  };
}

const SWITCHES = '\nvoluntary_ctxt_switches:';

/** Exact, where the ticks of `stat` are 10 ms. Source: Documentation/scheduler/sched-stats.rst. */
export function cpuMsOf(pid: number): number {
  return sum(threadsOf(pid), (path) => Number.parseInt(textOf(`${path}/schedstat`), 10)) / 1e6;
}

const threadsOf = (pid: number): readonly string[] =>
  readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`);

const textOf = (path: string): string => readFileSync(path, 'utf8');

/** A thread that has ended meanwhile takes its share with it: the engine's own live on. */
const sum = (threads: readonly string[], figure: (path: string) => number): number =>
  threads.reduce((total, path) => total + figure(path), 0);

function numberAfter(text: string, label: string): number {
  const at = text.indexOf(label);
  if (at < 0) throw new Error(`the kernel says nothing of ${label.trim()}`);
  return Number.parseInt(text.slice(at + label.length), 10);
}

/** A line through points by least squares, and how sure its slope is. */
export interface Trend {
  readonly slope: number;
  /** The standard error of the slope. */
  readonly error: number;
}

/** Source: Draper and Smith, Applied Regression Analysis, 1.4; residuals taken as independent. */
export function trend(points: ReadonlyArray<readonly [x: number, y: number]>): Trend {
  const count = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count;
  const sxx = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const sxy = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const slope = sxy / sxx;
  const left = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  return { slope, error: Math.sqrt(left / (count - 2) / sxx) };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
