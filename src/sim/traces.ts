import { createReadStream } from 'node:fs';

/**
 * Recorded usage traces: `time_s,container,cpu_cores,memory_mb`, one row per container and step,
 * `memory_mb` empty if the source has none.
 */

export interface TraceSeries {
  readonly name: string;
  /** Rising, seconds from the start of the trace. */
  readonly timesS: readonly number[];
  readonly cpuCores: readonly number[];
  /** As long as the times, or empty if the trace has no memory for this container. */
  readonly memoryMib: readonly number[];
}

export interface Trace {
  /** In the order of their first rows. */
  readonly series: readonly TraceSeries[];
  /** Containers of the file that are not among them. */
  readonly leftOut: number;
  /** From the first sample to the last, of all series. */
  readonly spanS: number;
}

export type TraceResult =
  | { readonly ok: true; readonly trace: Trace }
  /** Sentences for a person, each with the line that it is about. */
  | { readonly ok: false; readonly problems: readonly string[] };

export const MOST_TRACE_CONTAINERS = 300;
const MOST_PROBLEMS = 10;
const LONGEST_LINE = 1000;
const TOO_LONG = `longer than ${LONGEST_LINE} characters: this is no trace`;
const HEADER = 'time_s,container,cpu_cores,memory_mb';

interface OpenSeries {
  readonly name: string;
  readonly timesS: number[];
  readonly cpuCores: number[];
  readonly memoryMib: number[];
}

/** A number as a CSV gives it: no blanks, not negative. */
function plainNumber(text: string): number | undefined {
  if (!/^(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** Takes the text of a trace in pieces of any size. */
export class TraceParser {
  readonly #limit: number;
  readonly #series = new Map<string, OpenSeries>();
  readonly #leftOut = new Set<string>();
  readonly #problems: string[] = [];
  #line = 0;
  #rest = '';

  /** Reads the first `limit` containers; the others are only counted. */
  constructor(limit = MOST_TRACE_CONTAINERS) {
    this.#limit = limit;
  }

  /** Whether there is any use in reading on. */
  get failed(): boolean {
    return this.#problems.length >= MOST_PROBLEMS;
  }

  push(chunk: string): void {
    const text = this.#rest + chunk;
    let from = 0;
    for (let end = text.indexOf('\n'); end >= 0 && !this.failed; end = text.indexOf('\n', from)) {
      this.#take(text.slice(from, end));
      from = end + 1;
    }
    this.#rest = text.slice(from);
    if (this.#rest.length > LONGEST_LINE && !this.failed) {
      this.#line += 1;
      this.#complain(TOO_LONG);
      this.#rest = '';
    }
  }

  finish(): TraceResult {
    if (this.#rest !== '' && !this.failed) this.#take(this.#rest);
    this.#rest = '';
    if (this.#line === 0) this.#problems.push(`the file is empty; a trace begins with ${HEADER}`);
    const series = [...this.#series.values()];
    if (series.length === 0 && this.#problems.length === 0) {
      this.#problems.push('there is a header, and no row after it');
    }
    if (this.#problems.length > 0) return { ok: false, problems: this.#problems };
    const first = Math.min(...series.map(({ timesS }) => timesS[0] ?? 0));
    const last = Math.max(...series.map(({ timesS }) => timesS.at(-1) ?? 0));
    const leftOut = this.#leftOut.size;
    return { ok: true, trace: { series, leftOut, spanS: last - first } };
  }

  #complain(text: string): void {
    this.#problems.push(`line ${this.#line}: ${text}`);
  }

  #take(raw: string): void {
    this.#line += 1;
    if (raw.length > LONGEST_LINE) {
      this.#complain(TOO_LONG);
      return;
    }
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (this.#line === 1) {
      const header = line.replace(/^\uFEFF/, '').trim();
      if (header !== HEADER) this.#complain(`expected the header ${HEADER}`);
      return;
    }
    if (line.trim() === '') return;
    const problem = this.#row(line.split(','));
    if (problem !== undefined) this.#complain(problem);
  }

  /** Takes a row in, or says what is wrong with it. */
  #row(fields: readonly string[]): string | undefined {
    const [time = '', name = '', cpu = '', memory = ''] = fields;
    if (fields.length !== 4) return `${fields.length} fields where there must be 4 (${HEADER})`;
    if (!/^[\w.:@-]{1,64}$/.test(name)) {
      return 'container must be 1 to 64 letters, digits or . : @ _ -';
    }
    const timeS = plainNumber(time);
    const cores = plainNumber(cpu);
    const mib = memory === '' ? undefined : plainNumber(memory);
    if (timeS === undefined) return 'time_s must be a number of seconds, 0 or more';
    if (cores === undefined) return 'cpu_cores must be a number, 0 or more';
    if (memory !== '' && mib === undefined) {
      return 'memory_mb must be a number, 0 or more, or empty';
    }
    const series = this.#seriesOf(name);
    if (series === undefined) return undefined;
    const before = series.timesS.at(-1);
    if (before !== undefined && timeS <= before) {
      return `time_s of ${name} must rise, and comes after ${before}`;
    }
    if (before !== undefined && series.memoryMib.length > 0 !== (mib !== undefined)) {
      return `memory_mb of ${name} is given in some rows and not in others`;
    }
    series.timesS.push(timeS);
    series.cpuCores.push(cores);
    if (mib !== undefined) series.memoryMib.push(mib);
    return undefined;
  }

  /** Undefined for a container beyond the limit, which is only counted. */
  #seriesOf(name: string): OpenSeries | undefined {
    const known = this.#series.get(name);
    if (known !== undefined) return known;
    if (this.#series.size >= this.#limit) {
      this.#leftOut.add(name);
      return undefined;
    }
    const series = { name, timesS: [], cpuCores: [], memoryMib: [] };
    this.#series.set(name, series);
    return series;
  }
}

/**
 * Reads a trace file piece by piece. A file that cannot be read is a problem like any other.
 * `limit`: how many containers, 300 where it is left out.
 */
export async function readTrace(path: string, limit?: number): Promise<TraceResult> {
  const parser = new TraceParser(limit);
  try {
    for await (const chunk of createReadStream(path, { encoding: 'utf8' })) {
      parser.push(String(chunk));
      if (parser.failed) break;
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const why =
      code === 'ENOENT' ? 'does not exist; check the path' : `could not be read (${code})`;
    return { ok: false, problems: [`${path}: ${why}`] };
  }
  return parser.finish();
}
