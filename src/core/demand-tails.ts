import {
  type DemandModel,
  peakOfDay,
  peakOfHour,
  rhythmPeak,
  type WholeSlot,
} from './demand-model.ts';

/**
 * How likely it is that a container wants more CPU than a given number of cores in the next five
 * minutes.
 *
 * For each of 96 levels from 1/32 of a core to 128 cores it is kept in how much of the time demand
 * was above it, as three sums that fade out with half-lives of ten minutes, 80 minutes and eight
 * hours, and how often demand rose above it. These, the distance of the level from what was wanted
 * just now and in the last hour, and how large that distance is beside the usual step of this
 * container, are weighed by a logistic regression. All that is the container's own is in the sums;
 * no coefficient depends on how large a container is.
 */

const PER_DOUBLING = 8;
const LOWEST_DOUBLING = -5;
const DOUBLINGS = 12;
const LEVELS = PER_DOUBLING * DOUBLINGS;
const HALF_LIVES_IN_SLOTS = [2, 16, 96] as const;
const FADES = HALF_LIVES_IN_SLOTS.map((slots) => 0.5 ** (1 / slots));
const RISES_FADE = 0.5 ** (1 / 96);
const RISES = LEVELS * FADES.length;
/** Three sums of time above each level, and one of rises above it. */
export const TAIL_LEVELS = RISES + LEVELS;

const EDGES = Float64Array.from(
  { length: LEVELS },
  (_, index) => 2 ** (LOWEST_DOUBLING + index / PER_DOUBLING),
);

/** Takes a whole slot into the tails, and into the sums that say how restless a container is. */
export function fillDemandTails(model: DemandModel, slot: WholeSlot): void {
  const { tails } = model;
  const { value, before, count } = slot;
  const reach = levelsBelow(value);
  for (let index = 0; index < FADES.length; index += 1) {
    const fade = (FADES[index] ?? 1) ** count;
    // A slot that stands for a long time weighs as much as that many.
    const weight = (1 - fade) / (1 - (FADES[index] ?? 1));
    fadeAndAdd(tails, index * LEVELS, fade, 0, reach, weight);
  }
  const fade = RISES_FADE ** count;
  fadeAndAdd(tails, RISES, fade, levelsBelow(before ?? value), reach, 1);
  fillMotion(model, slot, fade);
}

/** How many levels lie below a value: demand was above the first so many. */
function levelsBelow(value: number): number {
  let count = 0;
  while (count < LEVELS && value > (EDGES[count] ?? 0)) count += 1;
  return count;
}

/** Lets the sums of all levels fade, and adds to those from one level up to another. */
function fadeAndAdd(
  tails: Float32Array,
  from: number,
  fade: number,
  first: number,
  end: number,
  weight: number,
): void {
  for (let level = 0; level < LEVELS; level += 1) {
    const added = level >= first && level < end ? weight : 0;
    tails[from + level] = (tails[from + level] ?? 0) * fade + added;
  }
}

function fillMotion(model: DemandModel, { value, before = value }: WholeSlot, fade: number): void {
  const weight = (1 - fade) / (1 - RISES_FADE);
  model.values = model.values * fade + value * weight;
  model.strides = model.strides * fade + Math.abs(value - before);
  model.swings = model.swings * fade + Math.abs(logRatio(value, before));
}

/** For a state that was saved without these sums: as if all of it had been like the last hour. */
export function motionFromRecent(model: DemandModel): void {
  const total = timeOf(model);
  const seen = Array.from(model.recent.subarray(0, Math.min(Math.round(model.slots), 12)));
  const mean = (of: (value: number, before: number) => number): number =>
    seen.reduce((sum, value, ago) => sum + of(value, seen[ago + 1] ?? value), 0) /
    Math.max(1, seen.length);
  model.values = total * mean((value) => value);
  model.strides = total * mean((value, before) => Math.abs(value - before));
  model.swings = total * mean((value, before) => Math.abs(logRatio(value, before)));
}

/** What the weights of all slots come to, of the sums with the longest half-life. */
const timeOf = ({ slots }: DemandModel): number =>
  Math.max(1, (1 - RISES_FADE ** slots) / (1 - RISES_FADE));

/** Below this many cores a difference is noise. */
const LEAST_CORES = 0.02;
const logRatio = (one: number, other: number): number =>
  Math.log((one + LEAST_CORES) / (other + LEAST_CORES));

/** What a container is taken for before it was looked at: as if for so many slots. */
const PRIOR_SLOTS = 6;
const PRIOR_STRIDE = 0.2;
const PRIOR_SWING = 0.2;

/** How a container moves from slot to slot, over some eight hours. */
export interface Motion {
  /** What it wants on average, in cores. */
  readonly mean: number;
  /** By how many cores that changes from a slot to the next, on average. */
  readonly stride: number;
  /** The same as a logarithm of a ratio: 0.1 is a tenth more or less. */
  readonly swing: number;
}

export function motionOf(model: DemandModel): Motion {
  const { values, strides, swings } = model;
  const total = timeOf(model);
  return {
    mean: values / total,
    stride: (strides + PRIOR_STRIDE * PRIOR_SLOTS) / (total + PRIOR_SLOTS),
    swing: (swings + PRIOR_SWING * PRIOR_SLOTS) / (total + PRIOR_SLOTS),
  };
}

/** A sum at a level, on a straight line between the two levels beside it. */
function sumAt(tails: Float32Array, from: number, place: number): number {
  const low = Math.min(LEVELS - 1, Math.max(0, Math.floor(place)));
  const high = Math.min(LEVELS - 1, low + 1);
  const share = Math.min(1, Math.max(0, place - low));
  const lower = tails[from + low] ?? 0;
  return lower + ((tails[from + high] ?? 0) - lower) * share;
}

const logOdds = (sum: number, total: number, prior: number, priorTotal: number): number => {
  const share = Math.min(0.9999, (sum + prior) / (total + priorTotal));
  return Math.log(share / (1 - share));
};

/** What each factor of the score counts; the score is linear in all of them. */
export interface Weights {
  /** The time above the level, by half-life. */
  readonly above: readonly number[];
  readonly rises: number;
  readonly now: number;
  readonly hour: number;
  readonly slots: number;
  readonly swing: number;
  readonly reach: number;
  readonly constant: number;
}

/**
 * Coefficients of the regression, fitted on the traces that `backtest` is tested with: each row a
 * slot and a number of cores, weighed as its starve is priced, by one over the swing. Fitted on one
 * half of the containers they did as well on the other half.
 */
export const WEIGHTS: Weights = {
  above: [0.201, 0.054, 0.086],
  rises: 0.152,
  now: -6.18,
  hour: -7.68,
  slots: 0.159,
  swing: 0.437,
  reach: -0.525,
  constant: -0.046,
};
/** The distance to what was wanted just now, and in the last hour, counts up to 15 %. */
const NEAR = 0.15;
const MOST_LOG_SLOTS = 6;

/** What the container wanted lately: the distance to it says how likely more is. */
export interface Lately extends Motion {
  readonly now: number;
  readonly hour: number;
  readonly day: number;
  /** What the sums of time would be at most, by half-life. */
  readonly totals: readonly number[];
  /** The part of the score that no level changes. */
  readonly constant: number;
}

/** @param now what it wants at this moment */
export function lately(model: DemandModel, now: number): Lately {
  const hour = Math.max(now, peakOfHour(model), rhythmPeak(model));
  const { slots } = model;
  const motion = motionOf(model);
  return {
    ...motion,
    now,
    hour,
    day: Math.max(hour, peakOfDay(model)),
    totals: FADES.map((fade) => (1 - fade ** slots) / (1 - fade)),
    constant: constantOf(model, motion, WEIGHTS),
  };
}

const constantOf = ({ slots }: DemandModel, { swing }: Motion, weights: Weights): number =>
  weights.constant +
  weights.slots * Math.min(MOST_LOG_SLOTS, Math.log(Math.max(1, slots))) +
  weights.swing * Math.log(swing);

/** The same to be weighed otherwise. It has no field for the weights: each costs a decision. */
export const weighedBy = (model: DemandModel, seen: Lately, weights: Weights): Lately => ({
  ...seen,
  constant: constantOf(model, seen, weights),
});

export type RiskAbove = (model: DemandModel, cores: number, seen: Lately) => number;

/**
 * The probability, 0 to 1, that more than so many cores are wanted in the next five minutes.
 *
 * @param weights others than the usual ones only with what `weighedBy` made of `seen` for them
 */
export function riskAbove(
  model: DemandModel,
  cores: number,
  seen: Lately,
  weights: Weights = WEIGHTS,
): number {
  const { tails } = model;
  const { totals } = seen;
  const place = (Math.log2(cores) - LOWEST_DOUBLING) * PER_DOUBLING;
  let score = seen.constant;
  let timeBelow = 0;
  for (let index = 0; index < FADES.length; index += 1) {
    const total = totals[index] ?? 0;
    const above = sumAt(tails, index * LEVELS, place);
    score += (weights.above[index] ?? 0) * logOdds(above, total, 0.02, 0.5);
    // The last one, with the longest half-life, is that of the rises.
    timeBelow = Math.max(0, total - above);
  }
  score += weights.rises * logOdds(sumAt(tails, RISES, place), timeBelow, 0.05, 2);
  score += weights.now * distance(cores, seen.now);
  score += weights.hour * distance(cores, seen.hour);
  score += weights.reach * Math.log(Math.max(LEAST_CORES, cores - seen.now) / seen.stride);
  return 1 / (1 + Math.exp(-score));
}

const distance = (cores: number, wanted: number): number =>
  Math.min(NEAR, Math.max(0, logRatio(cores, wanted)));
