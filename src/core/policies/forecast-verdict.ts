import type { Forecast, HoldReason } from '../decision.ts';
import { atLeast, atMost, roundUp } from '../guards.ts';
import { isForGood } from './boost.ts';
import { AFTER_SHORTAGE, type Verdict } from './threshold.ts';

/** What an allocation may be. */
export interface Range {
  readonly min: number;
  readonly max: number;
  readonly quantum: number;
}

/** How a price follows `behaviour`: eight times for conservative, an eighth for aggressive. */
export const priceFactor = (stepFactor: number): number => stepFactor ** -3;

/**
 * What mode `adaptive` makes of a forecast. Minimum, maximum and the OOM killer are answered as the
 * threshold policy answers them, only that a limit that holds it back is answered as a kill is.
 *
 * @param now what the threshold policy says of the present readings
 * @param least what it needs now, which no shrink goes below
 */
export function forecastVerdict(
  now: Verdict,
  forecast: Forecast,
  least: number,
  quantum: number,
): Verdict {
  const measured = { ...now.measured, forecast };
  const { before, min, max } = measured;
  if (now.verdict === 'grow' && (now.rule === 'oom-kill' || now.rule === 'limit-hit')) {
    const doubled = roundUp(Math.max(now.after, before * AFTER_SHORTAGE['oom-kill']), quantum);
    const { after, limits } = atMost({ after: doubled, limits: [] }, max, 'maximum');
    return { ...now, after, limits, measured };
  }
  if (isForGood(now)) return now;
  const { target } = forecast;
  const hold = (because: HoldReason): Verdict => ({ verdict: 'hold', because, measured });
  if (target > before) {
    const { after, limits } = atMost({ after: target, limits: [] }, max, 'maximum');
    if (after <= before) return hold({ kind: 'at-maximum' });
    return { verdict: 'grow', after, rule: 'learnt', limits, measured };
  }
  const floored = atLeast({ after: target, limits: [] }, min, 'minimum');
  const { after, limits } = atLeast(floored, roundUp(least, quantum), 'need');
  if (after >= before) return hold({ kind: 'learnt' });
  return { verdict: 'shrink', after, rule: 'learnt', limits, measured };
}
