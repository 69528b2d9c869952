import type { Forecast } from '../decision.ts';
import { roundUp } from '../guards.ts';
import { type Learnt, SLOTS_AN_HOUR } from '../learnt.ts';
import { lately, riskAbove } from '../tails.ts';
import { priceFactor, type Range } from './learnt-verdict.ts';

/**
 * Mode `adaptive` for CPU: gives what costs least, where being wrong has a price. Pure; what it
 * rests on is in `Learnt`. What an allocation costs is weighed against the probability that it is
 * too small in the next five minutes, times the price of that: a core that is missing delays work.
 */

/**
 * A short starve costs this many times what the first core does. Cores cost as their square root:
 * the second one is a larger part of what a small container has than the ninth of a large one.
 */
const STARVE_PRICE = 15;
/** A change for less than this is not worth it; 0.3 times what the second core costs. */
const LEAST_SAVING = 0.3 * (Math.SQRT2 - 1);

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
