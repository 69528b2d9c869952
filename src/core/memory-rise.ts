import { MEMORY_QUANTUM_MIB } from './allocation.ts';
import { atMost, roundUp } from './guards.ts';
import type { Verdict } from './policies/threshold.ts';
import { MIN_ELAPSED_MS } from './usage.ts';

/**
 * Memory that rises so fast that the limit is reached before a cycle comes. The slope is that of
 * the working set from sample to sample, smoothed over some ten seconds. If it leads past the
 * limit within half a minute, the container is evaluated at once, and grows before the OOM killer
 * comes. Sample results, the most being 16384 MiB; the tests read this table.
 *
 * | has  | in use | MiB/s | becomes | why                                             |
 * | ---- | ------ | ----- | ------- | ----------------------------------------------- |
 * | 1024 | 700    | 5     | 1024    | 850 in half a minute                            |
 * | 1024 | 900    | 5     | 1280    | at least a quarter more                         |
 * | 1024 | 900    | 10    | 1504    | 1500 in a minute                                |
 * | 1024 | 900    | 60    | 2048    | at most twice what it has                       |
 * | 1024 | 1010   | 1     | 1024    | too slow: 30 MiB in half a minute               |
 */
export interface Rise {
  /** The working set of the last sample, in MiB. */
  readonly mib: number;
  /** Its smoothed slope. */
  readonly mibPerS: number;
  /** Samples in a row that rose so fast: a leap that is over by the next sample is one. */
  readonly samples: number;
}

const SMOOTHED_OVER_MS = 10_000;
/** `pct set` has to be done by then, also if it waits for a lock. */
const AHEAD_S = 30;
/** A slower rise than this share of the limit is what cycles are for. */
const LEAST_SHARE = 0.05;
/** What it is given lasts for so long. */
const PROVIDE_S = 60;
const LEAST_GROWTH = 1.25;
const MOST_GROWTH = 2;
/** A rise goes on. A leap is over, and what it took is there already. */
const LEAST_SAMPLES = 2;

/** The slope with one more sample. What is closer together says nothing of a slope. */
export function risen(before: Rise | undefined, mib: number, overMs: number): Rise {
  if (before === undefined) return { mib, mibPerS: 0, samples: 0 };
  if (overMs < MIN_ELAPSED_MS) return before;
  const slope = ((mib - before.mib) / overMs) * 1000;
  const weight = 1 - Math.exp(-overMs / SMOOTHED_OVER_MS);
  const mibPerS = before.mibPerS + (slope - before.mibPerS) * weight;
  const goesOn = slope > 0 && slope >= mibPerS / 2;
  return { mib, mibPerS, samples: goesOn ? before.samples + 1 : 0 };
}

/** Whether it passes its limit within so many seconds. */
const passes = ({ mib, mibPerS }: Rise, limitMib: number, withinS: number): boolean =>
  mibPerS * withinS > limitMib * LEAST_SHARE && mib + mibPerS * withinS > limitMib;

/** `watched`: the next sample should come soon. `urgent`: growth cannot wait for the cycle. */
export type RiseStage = 'calm' | 'watched' | 'urgent';

export function riseStage(rise: Rise | undefined, limitMib: number): RiseStage {
  if (rise === undefined || !passes(rise, limitMib, PROVIDE_S)) return 'calm';
  const isUrgent = rise.samples >= LEAST_SAMPLES && passes(rise, limitMib, AHEAD_S);
  return isUrgent ? 'urgent' : 'watched';
}

/** The limit that a rise asks for. */
export function wantedForRise({ mib, mibPerS }: Rise, limitMib: number): number {
  const wanted = Math.max(mib + mibPerS * PROVIDE_S, limitMib * LEAST_GROWTH);
  return roundUp(Math.min(wanted, limitMib * MOST_GROWTH), MEMORY_QUANTUM_MIB);
}

/** What a rise asks for, if that is more than what the policy answers. */
export function withRise(verdict: Verdict, rise: Rise | undefined): Verdict {
  const { measured } = verdict;
  const { before, max } = measured;
  if (rise === undefined || riseStage(rise, before) !== 'urgent' || before >= max) return verdict;
  const least = wantedForRise(rise, before);
  if (verdict.verdict === 'grow' && verdict.after >= Math.min(least, max)) return verdict;
  const { after, limits } = atMost({ after: least, limits: [] }, max, 'maximum');
  const measuredRise = { ...measured, mibPerS: rise.mibPerS };
  return { verdict: 'grow', after, rule: 'rising', limits, measured: measuredRise };
}
