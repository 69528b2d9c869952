import type { Forecast } from '../decision.ts';
import {
  DAY_MS,
  type DemandModel,
  observedMs,
  peakOfDay,
  peakOfHour,
  peakOfWeek,
  rhythmPeak,
  SLOTS_AN_HOUR,
} from '../demand-model.ts';
import { roundUp } from '../guards.ts';
import { roomFactor } from '../memory-step.ts';
import type { Range } from './forecast-verdict.ts';

/**
 * Mode `adaptive` for memory. An OOM kill destroys work where a missing core delays it, and nothing
 * announces the first jump of a container that has been calm. So all pay for room: over what was
 * wanted in the last hour, over the peak of the last day, and for one leap. Jumps do not grow as
 * containers do: a process more takes much the same of a small one and of a large one. So the room
 * is a smaller share of a large container.
 *
 * Over the hour:  575 MiB x (hour / 2500 MiB) ** 0.6
 * Over the peak:  550 MiB x (peak / 2500 MiB) ** 0.3 x (300 x rate) ** 0.4, and a share of the
 *                 largest rise. The rate is that of its own jumps: it falls the longer it is calm.
 * For a leap:     twice the hour, 800 MiB at most; 2400 MiB before a day was seen.
 *
 * `behaviour: conservative` takes 1.5 times these rooms, `aggressive` two thirds of them. Their
 * leap is to four times the hour and 1600 MiB at most, and to twice the hour and 400 MiB. What is
 * given to a container that never wants more, as a multiple of that; the tests read this table.
 *
 *     calm for     6 h    1 day
 *     1 GiB       3.06     1.84
 *     2 GiB       2.20     1.42
 *     8 GiB       1.30     1.14
 */

/** The size at which the rooms are what their constants say. */
const USUAL_MIB = 2500;
const OVER_HOUR_MIB = 575;
const OVER_HOUR_GROWTH = 0.6;
const OVER_PEAK_MIB = 550;
const OVER_PEAK_GROWTH = 0.3;
/** How the room over the peak follows the rate of jumps: about jumps a day, of 288 slots. */
const BY_RATE = 0.4;
const RATE_UNIT = 300;
/** Jumps that a container is taken to have had before it was looked at, and in how many slots. */
const PRIOR_JUMPS = 0.3;
const PRIOR_SLOTS = 30;
/** What has risen once, by a process more, rises again by another. */
const NEXT_RISE = 0.35;
/** The peak of a usual week counts less than that of the last day. */
const USUAL_WEEK = 0.6;
const LEAST_MARGIN = 1.04;
/** A change of less than this share is not worth it, as long as the least margin is kept. */
const LEAST_CHANGE = 0.04;

/** How far the rooms follow `behaviour`: 1.5, 1 and two thirds. */
const careOf = (stepFactor: number): number => stepFactor ** -0.6;

/** The largest leap that always fits: so many times the hour, up to so much. */
const LEAP_MIB = 800;
/** Before a day was seen a leap may be so many times as large. */
const FIRST_DAY = 3;
/** Beside the leap: what the kernel holds for the container grows with it. */
const LEAP_HEADROOM_MIB = 64;

/** The tail of jumps: of each room, so much more makes a jump beyond it e times rarer. */
const TAIL_SHARE = 0.24;
/** What ends in swap is slow, and costs a twentieth of a kill. */
const SWAP_PRICE = 0.05;

/** The room in which the next MiB costs what it spares, if so much swap is free beside it. */
export function roomBeside(roomMib: number, swapMib: number): number {
  const tail = roomMib * TAIL_SHARE;
  return roomMib + tail * Math.log(SWAP_PRICE + (1 - SWAP_PRICE) * Math.exp(-swapMib / tail));
}

/**
 * The memory with the lowest cost.
 *
 * @param wantedMib the most that it wanted since the cycle before
 * @param swapMib what its swap can still take
 */
export function forecastMemory(
  model: DemandModel,
  hasMib: number,
  wantedMib: number,
  { min, max, quantum }: Range,
  stepFactor: number,
  swapMib: number,
): Forecast {
  const { slots, jumps, rise } = model;
  const hour = Math.max(wantedMib, peakOfHour(model), rhythmPeak(model), 1);
  const day = Math.max(hour, peakOfDay(model));
  const peak = Math.max(day, peakOfWeek(model) * USUAL_WEEK);
  const rate = (PRIOR_JUMPS + jumps) / (slots + PRIOR_SLOTS);
  const care = careOf(stepFactor);
  const overHour = care * OVER_HOUR_MIB * (hour / USUAL_MIB) ** OVER_HOUR_GROWTH;
  const usual = OVER_PEAK_MIB * (peak / USUAL_MIB) ** OVER_PEAK_GROWTH;
  const overPeak = care * (usual * (rate * RATE_UNIT) ** BY_RATE + NEXT_RISE * rise);
  const leapMib = (LEAP_MIB / stepFactor) * (observedMs(model) < DAY_MS ? FIRST_DAY : 1);
  const leap = Math.min(hour * roomFactor(stepFactor), leapMib);
  const wanted = Math.max(
    ...[hour * LEAST_MARGIN, hour + leap + LEAP_HEADROOM_MIB, hour + roomBeside(overHour, swapMib)],
    peak + roomBeside(overPeak, swapMib),
  );
  const best = Math.min(max, Math.max(min, roundUp(wanted, quantum)));
  const isNear = Math.abs(best - hasMib) <= hasMib * LEAST_CHANGE;
  const least = Math.min(best, Math.max(peak, hour * LEAST_MARGIN));
  const target = isNear && hasMib >= least && hasMib <= max ? hasMib : best;
  // How likely a jump is does not depend on how careful `behaviour` is.
  const tail = (overHour / care) * TAIL_SHARE;
  const riskAt = (mib: number): number => Math.min(1, rate * Math.exp((hour - mib) / tail));
  return {
    target,
    riskNow: riskAt(hasMib),
    riskThen: riskAt(target),
    hoursLearnt: slots / SLOTS_AN_HOUR,
    peakOfDay: day,
  };
}
