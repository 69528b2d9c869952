import { plainText } from '../core/plain-text.ts';
import { milliseconds } from '../core/units.ts';
import { TRACE_HEADER, TraceSteps } from '../core/usage-steps.ts';
import { readUsage, USAGE_DIRECTORY } from '../host/usage-files.ts';
import type { Demand } from '../lab/demand.ts';
import { readTrace, TraceParser, type TraceResult, type TraceSeries } from '../simulator/traces.ts';
import type { Arguments } from './arguments.ts';
import type { Surroundings } from './world.ts';

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

/** undefined: not known, or no limit. */
export interface Had {
  readonly cores: number | undefined;
  readonly memoryMib: number | undefined;
}

const MOST_CONTAINERS = 10_000;

export async function readDemands(given: Arguments, around: Surroundings): Promise<Demands> {
  const { traceFile, vmid } = given;
  const limit = given.containers ?? MOST_CONTAINERS;
  const had = new Map<string, Had>();
  const read =
    traceFile === undefined
      ? await readHistory(around, limit, had)
      : await readTrace(traceFile, limit);
  if (!read.ok) return read;
  const all = read.trace.series.map(demandOf);
  const demands = vmid === undefined ? all : all.filter(({ name }) => name === String(vmid));
  if (demands.length > 0) return { ok: true, demands, leftOut: read.trace.leftOut, had };
  return { ok: false, problems: [`there is nothing on container ${vmid}`] };
}

/** The history of usage, folded into the steps of a trace. */
async function readHistory(
  { paths }: Surroundings,
  limit: number,
  had: Map<string, Had>,
): Promise<TraceResult> {
  const parser = new TraceParser(limit);
  const problems: string[] = [];
  const complain = (problem: string): void => {
    problems.push(`the history of usage cannot be read as a whole: ${plainText(problem)}`);
  };
  const steps = new TraceSteps();
  let rows = 0;
  const put = (lines: readonly string[]): void => {
    if (lines.length > 0 && rows === 0) parser.push(`${TRACE_HEADER}\n`);
    rows += lines.length;
    for (const line of lines) parser.push(`${line}\n`);
  };
  for await (const record of readUsage(paths, milliseconds(0), complain)) {
    const { vmid, cpuAllowed: cores, memoryLimitMib: memoryMib } = record;
    had.set(String(vmid), { cores, memoryMib });
    put(steps.take(record));
  }
  put(steps.finish());
  if (problems.length > 0) return { ok: false, problems };
  if (rows > 0) return parser.finish();
  const where = paths.at(USAGE_DIRECTORY);
  return {
    ok: false,
    problems: [`there is no history of usage in ${where}; --trace FILE.csv takes a recorded one`],
  };
}

const USUAL_STEP_S = 300;

function demandOf({ name, timesS, cpuCores, memoryMib }: TraceSeries): Demand {
  const [first = 0] = timesS;
  const spanS = (timesS.at(-1) ?? first) - first;
  return {
    name,
    stepS: timesS.length > 1 ? spanS / (timesS.length - 1) : USUAL_STEP_S,
    cpu: Float64Array.from(cpuCores),
    memory: memoryMib.length > 0 ? Float64Array.from(memoryMib) : undefined,
  };
}
