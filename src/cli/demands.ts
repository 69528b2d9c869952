import type { ProcessContext } from '../app/context.ts';
import { plainText } from '../core/plain-text.ts';
import { milliseconds, type Vmid } from '../core/units.ts';
import type { UsageRecord } from '../core/usage-history.ts';
import { TRACE_HEADER, TraceSteps } from '../core/usage-steps.ts';
import type { Demand } from '../lab/demand.ts';
import { readTrace, TraceParser, type TraceResult, type TraceSeries } from '../sim/traces.ts';
import { USAGE_DIRECTORY } from '../store/usage-files.ts';
import type { Arguments } from './arguments.ts';
import { leftOutWords, readOwnUsage } from './own-usage.ts';

/** Demand to replay, from a trace file or from the daemon's own history of usage. */

export type Demands =
  | {
      readonly ok: true;
      readonly demands: readonly Demand[];
      readonly leftOut: number;
      /** What containers had at the end of the record; a trace does not say. */
      readonly had: ReadonlyMap<string, Had>;
    }
  /** Sentences for a person. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** What a container had at the end of the record; undefined: not known, or no limit. */
export interface Had {
  readonly cores: number | undefined;
  readonly memoryMib: number | undefined;
  /** The share of the time in which it had no more to use: it may have wanted more than is seen. */
  readonly coresShort: number;
  readonly memoryShort: number;
}

const MOST_CONTAINERS = 10_000;

export async function readDemands(given: Arguments, context: ProcessContext): Promise<Demands> {
  const { traceFile, vmid, guestName } = given;
  const limit = given.containers ?? MOST_CONTAINERS;
  const had = new LastHad();
  const read =
    traceFile === undefined
      ? await readHistory(context, limit, had)
      : await readTrace(traceFile, limit);
  if (!read.ok) return read;
  const all = read.trace.series.map(demandOf);
  const wanted = vmid === undefined ? guestName : String(vmid);
  const demands = wanted === undefined ? all : all.filter(({ name }) => name === wanted);
  if (demands.length > 0) {
    return { ok: true, demands, leftOut: read.trace.leftOut, had: had.all() };
  }
  return { ok: false, problems: [`there is nothing on container ${wanted}`] };
}

/** The history of usage, folded into the steps of a trace. */
async function readHistory(
  { paths, stderr }: ProcessContext,
  limit: number,
  had: LastHad,
): Promise<TraceResult> {
  const parser = new TraceParser(limit);
  const problems: string[] = [];
  const complain = (problem: string): void => {
    problems.push(`the usage history cannot be read as a whole: ${plainText(problem)}`);
  };
  const leftOut = (vmids: readonly Vmid[]): void => void stderr.write(`${leftOutWords(vmids)}\n`);
  const steps = new TraceSteps();
  let rows = 0;
  const put = (lines: readonly string[]): void => {
    if (lines.length > 0 && rows === 0) parser.push(`${TRACE_HEADER}\n`);
    rows += lines.length;
    for (const line of lines) parser.push(`${line}\n`);
  };
  for await (const record of readOwnUsage(paths, milliseconds(0), complain, leftOut)) {
    had.take(record);
    put(steps.take(record));
  }
  put(steps.finish());
  if (problems.length > 0) return { ok: false, problems };
  if (rows > 0) return parser.finish();
  const where = paths.at(USAGE_DIRECTORY);
  return {
    ok: false,
    problems: [
      `Not enough usage is recorded yet in ${where}: the daemon writes it every quarter of an ` +
        'hour; for a recorded trace: --trace FILE.csv',
    ],
  };
}

/** From this share of what is allowed on there was no more to be had. */
const AT_LIMIT = 0.98;

const isShort = (used: number | undefined, allowed: number | undefined): boolean =>
  used !== undefined && allowed !== undefined && used >= allowed * AT_LIMIT;

class LastHad {
  readonly #sums = new Map<
    string,
    { last: UsageRecord; rows: number; cpu: number; memory: number }
  >();

  take(record: UsageRecord): void {
    const { vmid, cpuCores, cpuAllowed, memoryPeakMib, memoryLimitMib } = record;
    const sum = this.#sums.get(String(vmid)) ?? { last: record, rows: 0, cpu: 0, memory: 0 };
    sum.last = record;
    sum.rows += 1;
    if (isShort(cpuCores, cpuAllowed)) sum.cpu += 1;
    if (isShort(memoryPeakMib, memoryLimitMib)) sum.memory += 1;
    this.#sums.set(String(vmid), sum);
  }

  all(): ReadonlyMap<string, Had> {
    const entries = [...this.#sums].map(([name, { last, rows, cpu, memory }]): [string, Had] => {
      const { cpuAllowed: cores, memoryLimitMib: memoryMib } = last;
      return [name, { cores, memoryMib, coresShort: cpu / rows, memoryShort: memory / rows }];
    });
    return new Map(entries);
  }
}

function demandOf({ name, timesS, cpuCores, memoryMib }: TraceSeries): Demand {
  return {
    ...{ name, stepS: usualStepS(timesS), cpu: Float64Array.from(cpuCores) },
    memory: memoryMib.length > 0 ? Float64Array.from(memoryMib) : undefined,
  };
}

const USUAL_STEP_S = 300;

/** The middle one: a container that was off for a week has one long step, and not longer ones. */
function usualStepS(timesS: readonly number[]): number {
  const steps = timesS.slice(1).map((timeS, index) => timeS - (timesS[index] ?? 0));
  return steps.sort((one, other) => one - other)[Math.floor(steps.length / 2)] ?? USUAL_STEP_S;
}
