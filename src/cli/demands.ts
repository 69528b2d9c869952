import type { ProcessContext } from '../app/context.ts';
import { plainText } from '../core/plain-text.ts';
import { milliseconds, type Vmid } from '../core/units.ts';
import { TRACE_HEADER, TraceSteps } from '../core/usage-steps.ts';
import { type Demand, usualStepS } from '../lab/demand.ts';
import { type Had, LastHad } from '../lab/had.ts';
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

function demandOf({ name, timesS, cpuCores, memoryMib }: TraceSeries): Demand {
  return {
    name,
    stepS: usualStepS(timesS),
    cpu: Float64Array.from(cpuCores),
    memory: memoryMib.length > 0 ? Float64Array.from(memoryMib) : undefined,
  };
}
