import type { HoldReason, Rule } from '../decision.ts';
import { roundUp } from '../guards.ts';
import type { Boost } from '../guest-record.ts';
import type { BoostPolicy } from '../policy.ts';
import type { Milliseconds } from '../units.ts';
import type { Verdict } from './threshold.ts';

/**
 * Mode `boost`: what a container has is its norm. Saturated in so many samples in a row it gets a
 * multiple of that for a while, and then its norm again. Minimum, maximum and the OOM killer are
 * answered as the threshold policy answers them, and those answers are for good.
 *
 * | has | factor | fallback | maximum | becomes               |
 * | --- | ------ | -------- | ------- | --------------------- |
 * | 2   | 1.5    | 1.25     | 8       | 3                     |
 * | 4   | 1.5    | 1.25     | 8       | 6, else 5             |
 * | 1   | 1.5    | 1.25     | 8       | 2                     |
 * | 4   | 1.5    | 1.25     | 5       | 5                     |
 * | 4   | 1.5    | 1.25     | 4       | 4: at its maximum     |
 */

export interface Saturation {
  /** Samples in a row in which it was saturated. */
  readonly samples: number;
  readonly quantum: number;
}

/** @param judged what the threshold policy says of the same readings */
export function boosted(judged: Verdict, saturation: Saturation, policy: BoostPolicy): Verdict {
  const { measured } = judged;
  const hold = (because: HoldReason): Verdict => ({ verdict: 'hold', because, measured });
  const { samples, quantum } = saturation;
  const held = judged.verdict === 'grow' && judged.rule === 'limit-hit';
  // It would be saturated all the same: its cpulimit binds before its cores do.
  if (judged.verdict === 'hold' && judged.because.kind === 'cpulimit') return judged;
  if (samples < policy.consecutiveSamples && !held) {
    if (samples === 0 && judged.verdict === 'hold') return judged;
    return hold({ kind: 'not-saturated', samples, of: policy.consecutiveSamples });
  }
  const { before, max } = measured;
  if (before >= max) return hold({ kind: 'at-maximum' });
  const whole = roundUp(before * policy.factor, quantum);
  const times = (factor: number): number => Math.min(max, roundUp(before * factor, quantum));
  const after = times(policy.factor);
  const fallback = times(policy.fallbackFactor);
  return {
    verdict: 'grow',
    after,
    rule: 'saturated',
    measured,
    limits: after < whole ? ['maximum'] : [],
    ...(fallback < after && { fallback }),
    boostMs: policy.durationMs,
  };
}

/** What the threshold policy answers, in mode `boost` too. */
export const isForGood = (judged: Verdict): boolean =>
  judged.verdict !== 'hold' && ['oom-kill', 'below-minimum', 'above-maximum'].includes(judged.rule);

/** More than the boost is needed, and for good: the kernel says so. */
const STARVED: ReadonlySet<Rule> = new Set(['oom-kill', 'limit-hit']);

/**
 * What becomes of a boost that is on. undefined: it is none of ours any more, since the value is no
 * longer the boosted one.
 */
export function whileBoosted(
  judged: Verdict,
  boost: Boost,
  nowMs: Milliseconds,
): Verdict | undefined {
  const { measured } = judged;
  if (measured.before !== boost.boosted) return undefined;
  if (judged.verdict === 'grow' && STARVED.has(judged.rule)) return judged;
  const leftMs = boost.endMs - nowMs;
  if (leftMs > 0) {
    const because: HoldReason = { kind: 'boosted', until: boost.before, leftMs };
    return { verdict: 'hold', because, measured };
  }
  // The minimum may have been raised meanwhile.
  const after = Math.max(boost.before, measured.min);
  if (after >= measured.before) return undefined;
  return { verdict: 'shrink', after, rule: 'boost-end', limits: [], measured };
}
