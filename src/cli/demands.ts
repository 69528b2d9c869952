import type { ProcessContext } from '../app/context.ts';
import { plainText } from '../core/plain-text.ts';
import { milliseconds, type Vmid } from '../core/units.ts';
import { type Demand, usualStepS } from '../lab/demand.ts';
import type { Had } from '../lab/had.ts';
import { RecordedDemand } from '../lab/recorded-demand.ts';
import { readTrace, type TraceSeries } from '../sim/traces.ts';
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
  const read =
    traceFile === undefined ? await readHistory(context, limit) : await ofTrace(traceFile, limit);
  if (!read.ok) return read;
  const wanted = vmid === undefined ? guestName : String(vmid);
  const demands = read.demands.filter(({ name }) => wanted === undefined || name === wanted);
  if (demands.length > 0) return { ...read, demands };
  return { ok: false, problems: [`there is nothing on guest ${wanted}`] };
}

async function ofTrace(traceFile: string, limit: number): Promise<Demands> {
  const read = await readTrace(traceFile, limit);
  if (!read.ok) return read;
  const { series, leftOut } = read.trace;
  return { ok: true, demands: series.map(demandOf), leftOut, had: new Map() };
}

/** The history of usage, folded into the steps of a trace. */
async function readHistory({ paths, stderr }: ProcessContext, limit: number): Promise<Demands> {
  const problems: string[] = [];
  const complain = (problem: string): void => {
    problems.push(`the usage history cannot be read as a whole: ${plainText(problem)}`);
  };
  const leftOut = (vmids: readonly Vmid[]): void => void stderr.write(`${leftOutWords(vmids)}\n`);
  const recorded = new RecordedDemand(limit);
  for await (const record of readOwnUsage(paths, milliseconds(0), complain, leftOut)) {
    recorded.take(record);
  }
  const demands = [...recorded.finish()];
  if (problems.length > 0) return { ok: false, problems };
  if (demands.length > 0) {
    return { ok: true, demands, leftOut: recorded.leftOut, had: recorded.had };
  }
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
