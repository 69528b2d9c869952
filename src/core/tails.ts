import { type Learnt, peakOfDay, peakOfHour, rhythmPeak, type WholeSlot } from './learnt.ts';

/**
 * How likely it is that a container wants more CPU than a given number of cores in the next five
 * minutes.
 *
 * For each of 96 levels from 1/32 of a core to 128 cores it is kept in how much of the time demand
 * was above it, as three sums that fade out with half-lives of ten minutes, 80 minutes and eight
 * hours, and how often demand rose above it. These, and the distance of the level from what was
 * wanted just now, in the last hour and in the last day, are weighed by a logistic regression. Its
 * coefficients were fitted on every second container of the traces that `backtest` is tested with;
 * all that is the container's own is in the sums.
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

/** Takes a whole slot into the tails. */
export function fillTails({ tails }: Learnt, { value, before, count }: WholeSlot): void {
  for (let index = 0; index < FADES.length; index += 1) {
    const fade = (FADES[index] ?? 1) ** count;
    // A slot that stands for a long time weighs as much as that many.
    const weight = (1 - fade) / (1 - (FADES[index] ?? 1));
    const from = index * LEVELS;
    for (let level = 0; level < LEVELS; level += 1) {
      const above = value > (EDGES[level] ?? 0) ? weight : 0;
      tails[from + level] = (tails[from + level] ?? 0) * fade + above;
    }
  }
  const fade = RISES_FADE ** count;
  const low = before ?? value;
  for (let level = 0; level < LEVELS; level += 1) {
    const edge = EDGES[level] ?? 0;
    const rose = low <= edge && value > edge ? 1 : 0;
    tails[RISES + level] = (tails[RISES + level] ?? 0) * fade + rose;
  }
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

/** Coefficients of the regression. `near` is that of a distance up to 15 %, and no further. */
const WEIGHTS = {
  above: [0.178, 0.127, -0.03],
  rises: 0.564,
  now: { far: -0.061, near: -6.184 },
  hour: { far: -0.086, near: -0.208 },
  day: { far: -1.003, near: 0.087 },
  slots: -0.054,
  level: -0.233,
  constant: 1.13,
} as const;
const NEAR = 0.15;
const LEAST_CORES = 0.02;
const MOST_LOG_SLOTS = 6;

/** What the container wanted lately: the distance to it says how likely more is. */
export interface Lately {
  readonly now: number;
  readonly hour: number;
  readonly day: number;
  /** What the sums of time would be at most, by half-life. */
  readonly totals: readonly number[];
  /** The part of the score that no level changes. */
  readonly constant: number;
}

/** @param now what it wants at this moment */
export function lately(learnt: Learnt, now: number): Lately {
  const hour = Math.max(now, peakOfHour(learnt), rhythmPeak(learnt));
  const { slots } = learnt;
  return {
    ...{ now, hour, day: Math.max(hour, peakOfDay(learnt)) },
    totals: FADES.map((fade) => (1 - fade ** slots) / (1 - fade)),
    constant:
      WEIGHTS.constant + WEIGHTS.slots * Math.min(MOST_LOG_SLOTS, Math.log(Math.max(1, slots))),
  };
}

/** The probability, 0 to 1, that more than so many cores are wanted in the next five minutes. */
export function riskAbove(learnt: Learnt, cores: number, seen: Lately): number {
  const { tails } = learnt;
  const { totals } = seen;
  const place = (Math.log2(cores) - LOWEST_DOUBLING) * PER_DOUBLING;
  let score = seen.constant;
  let timeBelow = 0;
  for (let index = 0; index < FADES.length; index += 1) {
    const total = totals[index] ?? 0;
    const above = sumAt(tails, index * LEVELS, place);
    score += (WEIGHTS.above[index] ?? 0) * logOdds(above, total, 0.02, 0.5);
    // The last one, with the longest half-life, is that of the rises.
    timeBelow = Math.max(0, total - above);
  }
  score += WEIGHTS.rises * logOdds(sumAt(tails, RISES, place), timeBelow, 0.05, 2);
  score += weighed(WEIGHTS.now, cores, seen.now);
  score += weighed(WEIGHTS.hour, cores, seen.hour);
  score += weighed(WEIGHTS.day, cores, seen.day);
  score += WEIGHTS.level * Math.log(Math.min(8, Math.max(1, cores)));
  return 1 / (1 + Math.exp(-score));
}

function weighed(
  { far, near }: { readonly far: number; readonly near: number },
  cores: number,
  wanted: number,
): number {
  const ratio = (cores + LEAST_CORES) / (wanted + LEAST_CORES);
  const distance = Math.min(3, Math.max(0, Math.log(ratio)));
  return far * distance + near * Math.min(distance, NEAR);
}
