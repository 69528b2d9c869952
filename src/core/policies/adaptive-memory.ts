import type { Forecast } from '../decision.ts';
import { roundUp } from '../guards.ts';
import { type Learnt, peakOfDay, peakOfHour, rhythmPeak, SLOTS_AN_HOUR } from '../learnt.ts';
import { priceFactor, type Range } from './learnt-verdict.ts';

/**
 * Mode `adaptive` for memory: as for CPU, only that an OOM kill destroys work where a missing core
 * delays it, and costs as much as a heap of idle memory.
 *
 * What nothing announces is the first jump of a container that has been calm: so all pay a margin
 * for it, over what was wanted in the last hour, and the less the longer they have been calm. What
 * has been seen in the last day is kept besides, and over it a share of the largest rise so far:
 * what has risen once, by a process more, rises again by another.
 *
 * The constants were fitted on one half of the containers of a recorded trace, chosen by a hash of
 * their names; `test/lab/cross-validation.test.ts` has the figures of either half. What they give
 * for a calm container, as a multiple of the last hour's peak:
 *
 *     calm for   30 min   1 h    6 h   1 day  1 week  4 weeks
 *     1 GiB        2.17  2.10   1.84    1.63    1.39     1.31
 *     8 GiB        1.77  1.72   1.50    1.33    1.13     1.07
 */

/** An OOM kill costs as much as so many MiB that lie idle for five minutes: 6.8 GiB for a day. */
const OOM_PRICE_MIB = 2e6;
/** Jumps that a container is taken to have had before it was looked at, and in how many slots. */
const PRIOR_JUMPS = 2.35;
const PRIOR_SLOTS = 8.5;
/** For how many of those a jump of its own counts. */
const OWN_JUMPS = 9.4;
/** The larger a jump, the rarer: to x times the hour's peak with probability rate x x ** -9.3. */
const JUMP_TAIL = 9.3;
/** What is kept free over the day's peak, as a share of the largest rise. */
const NEXT_RISE = 0.55;
const LEAST_MARGIN = 1.06;
/** A change of less than this share is not worth it, as long as the least margin is kept. */
const LEAST_CHANGE = 0.1;

/**
 * The memory with the lowest cost. With a rate r of jumps, the idle memory and the price p of a
 * kill cost the least at the hour's peak times (9.3 x p x r / peak) ** (1 / 10.3): that is where
 * one more MiB costs what it spares.
 *
 * @param wantedMib the most that it wanted since the cycle before
 */
export function forecastMemory(
  learnt: Learnt,
  hasMib: number,
  wantedMib: number,
  { min, max, quantum }: Range,
  stepFactor: number,
): Forecast {
  const lately = Math.max(wantedMib, peakOfHour(learnt), rhythmPeak(learnt), 1);
  const peak = Math.max(lately, peakOfDay(learnt));
  const { slots, jumps, rise } = learnt;
  const rate = (PRIOR_JUMPS + OWN_JUMPS * jumps) / (slots + PRIOR_SLOTS);
  const price = OOM_PRICE_MIB * priceFactor(stepFactor);
  const margin = ((price * rate * JUMP_TAIL) / peak) ** (1 / (1 + JUMP_TAIL));
  const forJump = lately * Math.max(LEAST_MARGIN, margin);
  const wanted = roundUp(Math.max(forJump, peak + NEXT_RISE * rise), quantum);
  const best = Math.min(max, Math.max(min, wanted));
  const isNear = Math.abs(best - hasMib) <= hasMib * LEAST_CHANGE;
  const least = Math.min(best, Math.max(peak, lately * LEAST_MARGIN));
  const target = isNear && hasMib >= least && hasMib <= max ? hasMib : best;
  const riskAt = (mib: number): number => Math.min(1, rate * (mib / lately) ** -JUMP_TAIL);
  return {
    target,
    riskNow: riskAt(hasMib),
    riskThen: riskAt(target),
    hoursLearnt: slots / SLOTS_AN_HOUR,
    peakOfDay: peak,
  };
}
