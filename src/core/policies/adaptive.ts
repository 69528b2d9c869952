import type { Forecast } from '../decision.ts';
import { roundUp } from '../guards.ts';
import { type Learnt, peakOfDay, rhythmPeak } from '../learnt.ts';
import { lately, riskAbove } from '../tails.ts';

/**
 * Mode `adaptive`: gives what costs least, where being wrong has a price. Pure; what it rests on is
 * in `Learnt`.
 *
 * Both resources weigh what an allocation costs against the probability that it is too small in the
 * next five minutes, times the price of that. A core that is missing for a while delays work; an
 * OOM kill destroys it, and costs as much as a heap of idle memory.
 */

/** What an allocation may be. */
export interface Range {
  readonly min: number;
  readonly max: number;
  readonly quantum: number;
}

const SLOTS_AN_HOUR = 12;

/**
 * A short starve costs this many times what the first core does. Cores cost as their square root:
 * the second one is a larger part of what a small container has than the ninth of a large one.
 */
const STARVE_PRICE = 15;
/** A change for less than this is not worth it; 0.3 times what the second core costs. */
const LEAST_SAVING = 0.3 * (Math.SQRT2 - 1);

/** How a price follows `behaviour`: eight times for conservative, an eighth for aggressive. */
const priceFactor = (stepFactor: number): number => stepFactor ** -3;

/**
 * The number of cores, or cpulimit, with the lowest cost; what it has stays if that is nearly as
 * good.
 *
 * @param wanted what it wants at this moment; never is it given less
 */
export function forecastCores(
  learnt: Learnt,
  has: number,
  wanted: number,
  { min, max, quantum }: Range,
  stepFactor: number,
): Forecast {
  const seen = lately(learnt, wanted);
  const price = STARVE_PRICE * priceFactor(stepFactor);
  const costOf = (cores: number): number =>
    Math.sqrt(cores) + (cores >= max ? 0 : price * riskAbove(learnt, cores, seen));
  const least = Math.min(max, Math.max(min, quantum, roundUp(wanted, quantum)));
  let target = least;
  let cost = costOf(least);
  for (let cores = next(least, quantum); cores < max && Math.sqrt(cores) < cost; ) {
    const candidate = costOf(cores);
    if (candidate < cost) {
      target = cores;
      cost = candidate;
    }
    cores = next(cores, quantum);
  }
  if (Math.sqrt(max) < cost) target = max;
  const stays =
    has >= least && has <= max && costOf(has) - cost < (has > target ? LEAST_SAVING : 0);
  if (stays) target = has;
  return {
    target,
    riskNow: riskAbove(learnt, has, seen),
    riskThen: riskAbove(learnt, target, seen),
    hoursLearnt: learnt.slots / SLOTS_AN_HOUR,
    peakOfDay: seen.day,
  };
}

/** By a tenth, so that a cpulimit on a large host does not take hundreds of tries. */
const next = (cores: number, quantum: number): number =>
  roundUp(cores + Math.max(quantum, cores * 0.05), quantum);

/** An OOM kill costs as much as so many MiB that lie idle for five minutes: 51 GiB for a day. */
const OOM_PRICE_MIB = 1.5e7;
/** Jumps that a container is taken to have had before it was looked at, and in how many slots. */
const PRIOR_JUMPS = 0.155;
const PRIOR_SLOTS = 12;
/** How much a jump of its own counts beside those. */
const OWN_JUMPS = 0.25;
/** The larger a jump, the rarer: to x times the day's peak with probability x ** -8. */
const JUMP_TAIL = 8;
const LEAST_MARGIN = 1.06;
/** A change of less than this share is not worth it, as long as the least margin is kept. */
const LEAST_CHANGE = 0.1;

/**
 * The memory with the lowest cost. Demand creeps within a margin of the day's peak or jumps far
 * beyond it; jumps come the more rarely the longer none has come. With a rate r of jumps, the
 * idle memory and the price p of a kill cost the least at the peak times
 * (p x r x 8 / peak) ** (1 / 9): that is where one more MiB costs what it spares.
 */
export function forecastMemory(
  learnt: Learnt,
  hasMib: number,
  wantedMib: number,
  { min, max, quantum }: Range,
  stepFactor: number,
): Forecast {
  const peak = Math.max(wantedMib, peakOfDay(learnt), rhythmPeak(learnt), 1);
  const { slots, jumps } = learnt;
  const rate = (PRIOR_JUMPS + OWN_JUMPS * jumps) / (slots + PRIOR_SLOTS);
  const price = OOM_PRICE_MIB * priceFactor(stepFactor);
  const margin = ((price * rate * JUMP_TAIL) / peak) ** (1 / (1 + JUMP_TAIL));
  const wanted = roundUp(peak * Math.max(LEAST_MARGIN, margin), quantum);
  const best = Math.min(max, Math.max(min, wanted));
  const isNear = Math.abs(best - hasMib) <= hasMib * LEAST_CHANGE;
  const isEnough = hasMib >= Math.min(best, peak * LEAST_MARGIN) && hasMib <= max;
  const target = isNear && isEnough ? hasMib : best;
  const riskAt = (mib: number): number => Math.min(1, rate * (mib / peak) ** -JUMP_TAIL);
  return {
    target,
    riskNow: riskAt(hasMib),
    riskThen: riskAt(target),
    hoursLearnt: slots / SLOTS_AN_HOUR,
    peakOfDay: peak,
  };
}
