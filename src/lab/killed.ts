import { type Rise, risen, riseStage, wantedForRise } from '../core/memory-rise.ts';
import { AFTER_SHORTAGE } from '../core/policies/threshold.ts';

/**
 * Whether a step that runs out of memory would have ended in a kill. A step of five minutes does
 * not tell how fast the demand rose in it, so ramps of four lengths count a quarter each. Swap
 * holds what does not fit into the limit, and the kill comes once swap is full. A policy that also
 * reads between its cycles sees the ramp, and its change takes effect a little later.
 */

const RAMPS_S = [1, 15, 60, 300] as const;
const READ_EVERY_S = 10;
const EFFECT_AFTER_S = 12;
const SWAP_MIB = 512;

export interface ShortStep {
  /** What was wanted in the step before, and what is in this one, in MiB. */
  readonly fromMib: number;
  readonly toMib: number;
  readonly hasMib: number;
  readonly maxMib: number;
  readonly stepS: number;
  /** Whether the policy reads and grows between its cycles. */
  readonly reacts: boolean;
}

/** The share of the ramps that end in a kill: 0 to 1. */
export const killedShare = (step: ShortStep): number =>
  RAMPS_S.filter((rampS) => kills(step, rampS)).length / RAMPS_S.length;

function kills(
  { fromMib, toMib, hasMib, maxMib, stepS, reacts }: ShortStep,
  rampS: number,
): boolean {
  const fromWithin = Math.min(fromMib, hasMib);
  let limit = hasMib;
  let rise: Rise | undefined;
  let coming: { readonly mib: number; readonly atS: number } | undefined;
  for (let second = 0; second < stepS; second += 1) {
    const wanted = fromWithin + (toMib - fromWithin) * Math.min(1, second / rampS);
    if (coming !== undefined && second >= coming.atS) {
      limit = coming.mib;
      coming = undefined;
    }
    if (wanted > limit + SWAP_MIB) return true;
    if (!reacts || second % READ_EVERY_S !== 0) continue;
    rise = risen(rise, Math.min(wanted, limit), READ_EVERY_S * 1000);
    if (coming !== undefined) continue;
    const asked = askedAt(rise, wanted, limit);
    if (asked > limit) coming = { mib: Math.min(maxMib, asked), atS: second + EFFECT_AFTER_S };
  }
  return false;
}

function askedAt(rise: Rise, wanted: number, limit: number): number {
  if (wanted > limit) return limit * AFTER_SHORTAGE['limit-hit'];
  return riseStage(rise, limit) === 'urgent' ? wantedForRise(rise, limit) : limit;
}
