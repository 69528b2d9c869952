import { type Rise, risen, riseStage, wantedForRise } from '../core/memory-rise.ts';

/**
 * Whether a step that is out of memory would kill. A step of five minutes does not say how fast the
 * demand rose in it. So ramps of four lengths count a quarter each. What is over the limit is in
 * swap for as long; the kill comes if that is used up. A policy with a loop between its cycles
 * reads meanwhile, and its change takes effect a little later.
 */

const RAMPS_S = [1, 15, 60, 300] as const;
const READ_EVERY_S = 10;
const EFFECT_AFTER_S = 12;
const SWAP_MIB = 512;
/** The least that follows a reading at the limit. */
const AT_LIMIT_GROWTH = 1.5;

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
    if (!reacts || coming !== undefined || second % READ_EVERY_S !== 0) continue;
    rise = risen(rise, Math.min(wanted, limit), READ_EVERY_S * 1000);
    const asked = askedAt(rise, wanted, limit);
    if (asked > limit) coming = { mib: Math.min(maxMib, asked), atS: second + EFFECT_AFTER_S };
  }
  return false;
}

function askedAt(rise: Rise, wanted: number, limit: number): number {
  if (wanted > limit) return limit * AT_LIMIT_GROWTH;
  return riseStage(rise, limit) === 'urgent' ? wantedForRise(rise, limit) : limit;
}
