import type { Forecast, Repeats } from '../decision.ts';
import { type DemandModel, peakOfSlots, SLOTS_AN_HOUR } from '../demand-model.ts';
import { type Lately, lately, type RiskAbove, riskAbove } from '../demand-tails.ts';
import { roundUp } from '../guards.ts';
import { repeatsOf } from '../repeats.ts';
import { priceFactor, type Range } from './forecast-verdict.ts';

/**
 * Mode `adaptive` for CPU: gives what costs least, where being wrong has a price. Pure; what it
 * rests on is in `DemandModel`. Each core costs the same; against that stands the
 * probability that they are too few in the next five minutes, times the price of that. Demand
 * that comes again by the clock is followed instead.
 */

/** A starve costs what so many cores do in five minutes, of a container with a swing of one. */
const STARVE_PRICE = 18;
/** The mean demand at which a container counts for nothing must not make its price nothing. */
const LEAST_MEAN = 0.05;
/** It is given less only if that suits what it wanted in so many slots: 40 minutes. */
const CALM_SLOTS = 8;
/** A change of less than this share is not worth it: tenths of a cpulimit would go to and fro. */
const LEAST_CHANGE = 0.1;
/** Nor is one that saves less than this share of the least step, by its cost and its risk. */
const LEAST_GAIN = 0.7;

/**
 * What a starve of this container costs. One whose demand is steady is built upon, and protecting
 * it costs little; one that leaps all day is used to a delay of minutes, and sparing it each of
 * them would take a multiple of what it uses. So the price falls as the average leap grows, and it
 * rises with the size of a container as its square root does.
 */
const priceOf = ({ swing, mean }: Lately, stepFactor: number): number =>
  ((STARVE_PRICE * priceFactor(stepFactor)) / swing) * Math.sqrt(mean + LEAST_MEAN);

/**
 * The number of cores, or cpulimit, with the lowest cost; what it has stays if that is nearly as
 * good.
 *
 * @param wanted what it wants at this moment; never is it given less
 * @param risk how likely more is wanted; the lab tries others in its place
 */
export function forecastCores(
  model: DemandModel,
  has: number,
  wanted: number,
  range: Range,
  stepFactor: number,
  risk: RiskAbove = riskAbove,
): Forecast {
  const seen = lately(model, wanted);
  const price = priceOf(seen, stepFactor);
  const repeats = repeatsOf(model);
  const target =
    repeats === undefined
      ? weighed(model, { has, wanted, seen, price, range, risk })
      : following(repeats, has, wanted, range);
  return {
    target,
    riskNow: risk(model, has, seen),
    riskThen: risk(model, target, seen),
    hoursLearnt: model.slots / SLOTS_AN_HOUR,
    peakOfDay: seen.day,
    repeats,
  };
}

interface Weighing {
  readonly has: number;
  readonly wanted: number;
  readonly seen: Lately;
  readonly price: number;
  readonly range: Range;
  readonly risk: RiskAbove;
}

/** What costs least, by itself and by its risk. */
function weighed(model: DemandModel, weighing: Weighing): number {
  const { has, wanted, seen, range } = weighing;
  const { min, max, quantum } = range;
  const costOf = costAt(model, seen, weighing);
  let target = cheapest(costOf, seen, range);
  if (target < has) {
    // The peak of the hour holds that of the last slots already.
    const calm = { ...seen, now: Math.max(wanted, peakOfSlots(model, CALM_SLOTS)) };
    target = Math.max(target, Math.min(has, cheapest(costAt(model, calm, weighing), calm, range)));
  }
  const least = Math.min(max, Math.max(min, roundUp(wanted, quantum)));
  const isNear = Math.abs(target - has) < has * LEAST_CHANGE;
  const gains = target === has ? 0 : costOf(has) - costOf(target);
  const isKept = (isNear || gains < LEAST_GAIN * quantum) && has >= least && has <= max;
  return isKept ? has : target;
}

/**
 * What suits demand that comes again. A step half way would be followed by another one: growth is
 * by all that the next minutes want, and a fall is waited out. A single step is not worth it.
 */
function following(
  { now, soon }: Repeats,
  has: number,
  wanted: number,
  { min, max, quantum }: Range,
): number {
  const suits = (cores: number): number => Math.min(max, Math.max(min, roundUp(cores, quantum)));
  const suitsNow = suits(Math.max(wanted, now));
  const suitsSoon = suits(soon);
  if (suitsNow > has) return Math.max(suitsNow, suitsSoon);
  const falls = suitsSoon < suitsNow || has - suitsNow < 2 * quantum;
  return falls && has <= max ? has : Math.min(has, Math.max(suitsNow, suitsSoon));
}

type CostOf = (cores: number) => number;

/** What so many cores cost by themselves, and by the risk that they are too few. */
const costAt =
  (model: DemandModel, seen: Lately, { price, risk }: Weighing): CostOf =>
  (cores) =>
    cores + price * risk(model, cores, seen);

function cheapest(costOf: CostOf, seen: Lately, { min, max, quantum }: Range): number {
  let best = Math.max(min, quantum, roundUp(seen.now, quantum));
  if (best >= max) return max;
  let cost = costOf(best);
  // What costs more by itself than the best one with its risk need not be tried.
  for (let cores = next(best, quantum); cores < max && cores < cost; ) {
    const candidate = costOf(cores);
    if (candidate < cost) {
      best = cores;
      cost = candidate;
    }
    cores = next(cores, quantum);
  }
  // At its maximum there is no more to give, so that no risk is left to weigh.
  return max < cost ? max : best;
}

/** By a twentieth, so that a cpulimit on a large host does not take hundreds of tries. */
const next = (cores: number, quantum: number): number =>
  roundUp(cores + Math.max(quantum, cores * 0.05), quantum);
