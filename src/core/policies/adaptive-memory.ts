import type { Forecast } from '../decision.ts';
import { roundUp } from '../guards.ts';
import { type Learnt, peakOfDay, rhythmPeak, SLOTS_AN_HOUR } from '../learnt.ts';
import { priceFactor, type Range } from './learnt-verdict.ts';

/**
 * Mode `adaptive` for memory: as for CPU, only that an OOM kill destroys work where a missing core
 * delays it, and costs as much as a heap of idle memory.
 */

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
