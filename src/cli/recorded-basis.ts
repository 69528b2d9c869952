import type { ProcessContext } from '../app/context.ts';
import type { Measured, MeasuredHost } from '../config/proposal.ts';
import { cores, mib, parseVmid, type Vmid } from '../core/units.ts';
import { boundsOfHost, type Demand } from '../lab/demand.ts';
import { type Advice, type Recommendation, recommendationOf } from '../lab/recommend.ts';
import type { Arguments } from './arguments.ts';
import { nowhere } from './ask.ts';
import { readDemands } from './demands.ts';

/** What the daemon has recorded of the containers, and what comes of it for `configure`. */

/** Less than that does not show what a night or a backup needs. */
const DAY_HOURS = 24;

export interface Basis {
  /** Of the container that was recorded longest. */
  readonly hours: number;
  /** What mode `adaptive` would keep by it, in sentences; undefined: there is less than a day. */
  readonly adaptive: string | undefined;
  /** The containers with the use that was recorded in place of what was measured just now. */
  readonly measured: readonly Measured[];
}

/** undefined: nothing is recorded of any of them. */
export async function recordedBasis(
  measured: readonly Measured[],
  host: MeasuredHost,
  given: Arguments,
  context: ProcessContext,
): Promise<Basis | undefined> {
  const whole = { traceFile: undefined, containers: undefined, vmid: undefined };
  const own = { ...given, ...whole, guestName: undefined };
  const read = await readDemands(own, { ...context, stderr: nowhere() });
  if (!read.ok) return undefined;
  const bounds = boundsOfHost(host.cpus, host.memoryMib);
  const demands = new Map<Vmid | undefined, Demand>(
    read.demands.map((demand) => [parseVmid(demand.name), demand]),
  );
  const known = measured.flatMap((one): Known[] => {
    const demand = demands.get(one.vmid);
    if (demand === undefined || demand.cpu.length === 0) return [];
    return [{ one, demand, advice: recommendationOf(demand, bounds) }];
  });
  if (known.length === 0) return undefined;
  const byId = new Map(known.map((each) => [each.one.vmid, each]));
  return {
    hours: Math.max(...known.map(({ advice }) => advice.hours)),
    adaptive: adaptiveWords(known.filter(({ advice }) => advice.hours >= DAY_HOURS)),
    measured: measured.map((one) => withRecord(one, byId.get(one.vmid))),
  };
}

interface Known {
  readonly one: Measured;
  readonly demand: Demand;
  readonly advice: Recommendation;
}

/** A minute says nothing against a day; less than a day only raises what was seen. */
function withRecord(one: Measured, known: Known | undefined): Measured {
  if (known === undefined) return one;
  const { demand, advice } = known;
  const isLong = advice.hours >= DAY_HOURS;
  const { cpu, memory } = one;
  const memoryPeak = advice.memory?.peak ?? 0;
  return {
    ...one,
    cpu: cpu && {
      mean: cores(isLong ? meanOf(demand.cpu) : cpu.mean),
      peak: cores(Math.max(cpu.peak, advice.cores.peak)),
      allowed: cpu.allowed,
    },
    memory: memory && {
      mean: mib(isLong && demand.memory !== undefined ? meanOf(demand.memory) : memory.mean),
      peak: mib(Math.max(memory.peak, memoryPeak)),
    },
  };
}

const meanOf = (values: Float64Array): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function adaptiveWords(known: readonly Known[]): string | undefined {
  if (known.length === 0) return undefined;
  const sum = (of: (each: Known) => number): number =>
    known.reduce((total, each) => total + of(each), 0);
  const hours = sum(({ advice }) => advice.hours);
  const short = (of: (advice: Recommendation) => Advice | undefined): string => {
    const lost = sum(({ advice }) => (of(advice)?.shortShare ?? 0) * advice.hours);
    return `${Number(((100 * lost) / hours).toPrecision(2))} %`;
  };
  const had = sum(({ one }) => one.cores ?? one.cpu?.allowed ?? 0);
  const kept = sum(({ advice }) => advice.cores.amount);
  const withMemory = ({ advice }: Known): number => advice.memory?.amount ?? 0;
  const hadMib = sum(({ one, advice }) => (advice.memory === undefined ? 0 : one.memoryMib));
  const times = `CPU ${short(({ cores: all }) => all)}, memory ${short(({ memory }) => memory)}`;
  const who = known.length === 1 ? 'one container' : `${known.length} containers`;
  return (
    `By the use that was recorded of ${who}, mode adaptive would keep for them ` +
    `${kept} of ${had} cores and ${Math.round(sum(withMemory))} of ${Math.round(hadMib)} MB; ` +
    `so much would have been too little in these shares of the time: ${times}.`
  );
}

/** `36 h`, `10 days`. */
export const hoursWords = (hours: number): string => {
  if (hours < 1) return `${Math.floor(hours * 60)} min`;
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} days`;
};
