import type { Resource } from './allocation.ts';
import {
  averaged,
  type CooldownInput,
  type Step,
  type UseSample,
  whenDue,
  withCooldown,
} from './cooldown.ts';
import type { HoldReason, Measured, Rule } from './decision.ts';
import { smallestWithoutGrowth } from './guards.ts';
import type { OffPeakTaking, ResourceRecord } from './guest-record.ts';
import { type Rise, withRise } from './memory-rise.ts';
import { boosted, isForGood, whileBoosted } from './policies/boost.ts';
import type { Verdict } from './policies/threshold.ts';
import type { ContainerPolicy } from './policy.ts';
import { surplus } from './surplus.ts';
import { waitForCalmMs } from './taken.ts';
import type { Milliseconds } from './units.ts';

/** One resource of one container, with all that its verdict depends on. */
export interface ScalingCase {
  readonly resource: Resource;
  /** What the daemon remembers of it. */
  readonly record: ResourceRecord;
  readonly policy: ContainerPolicy;
  /** Steps are multiples of it. */
  readonly quantum: number;
  /** If only surplus is taken, less than this is not worth a change. */
  readonly leastSurplus: number;
  readonly seen: readonly UseSample[];
  /** The threshold policy on these readings. */
  readonly threshold: (seen: UseSample) => Verdict;
  /** Samples in a row in which it was saturated. */
  readonly saturated: number;
  /** Memory: how fast it rises. */
  readonly rise?: Rise | undefined;
  /** Mode `adaptive`: the verdict of the forecast; undefined if too little is known. */
  readonly forecast?: (now: Verdict) => Verdict | undefined;
  /** What it had before a shrink that has turned out to be a mistake. */
  readonly missedMib?: number | undefined;
}

export interface Times {
  readonly nowMs: Milliseconds;
  /** Whether it is off-peak time, in energy mode. */
  readonly offPeak: boolean;
  /** Memory: whether the host has next to none left. */
  readonly emergency: boolean;
}

/** How long a value that the off-peak time has restored is kept though it is unused. */
export const GIVEN_BACK_MS = 3_600_000;

/**
 * Decides which of several rules counts, the strongest first: an active boost; a change by hand;
 * growth, by the policy of the container's mode or to undo a shrink; a host short of memory; the
 * off-peak time and its end; the rest of the policy.
 */
export function arbitrate(one: ScalingCase, times: Times): Verdict {
  const verdict = loudest(one, times);
  if (verdict.verdict !== 'shrink' || WAITS_FOR_NO_CALM.has(verdict.rule)) return verdict;
  const known = one.record.taken;
  const leftMs = waitForCalmMs(known, times.nowMs);
  if (known === undefined || leftMs === 0) return verdict;
  return held(verdict, { kind: 'flapping', flaps: known.flaps, leftMs });
}

/**
 * The end of a boost is no shrink, a maximum holds, and a host in need cannot wait. Mode `adaptive`
 * knows by itself how often what it takes is needed again.
 */
const WAITS_FOR_NO_CALM: ReadonlySet<Rule> = new Set([
  'boost-end',
  'above-maximum',
  'host-emergency',
  'learnt',
]);

function loudest(one: ScalingCase, times: Times): Verdict {
  const { nowMs } = times;
  const { handHoldMs, boost, changedMs, offPeak, grownMs } = one.record;
  // A change by hand ends a boost: one that is on was asked for after it, and ends on time.
  const during = boost && whileBoosted(atPresent(one), boost, nowMs);
  if (during !== undefined) return during;
  const handLeftMs = (handHoldMs ?? 0) - nowMs;
  if (handLeftMs > 0) return held(atPresent(one), { kind: 'changed-by-hand', leftMs: handLeftMs });

  const cooldown: CooldownInput = { seen: one.seen, timing: one.policy.timing, nowMs, changedMs };
  const byThreshold = notOpposed(one, withCooldown(cooldown, one.threshold));
  const boosts = one.policy.scaling === 'boost';
  const inMode = boosts && !isForGood(byThreshold) ? boostWhenDue(one, cooldown) : byThreshold;
  const verdict = withRise(forecastWhenDue(one, cooldown) ?? inMode, one.rise);
  if (verdict.verdict === 'grow') return verdict;
  const { measured } = verdict;
  if (one.missedMib !== undefined && one.missedMib > measured.before) {
    const after = Math.min(one.missedMib, measured.max);
    if (after > measured.before) return grown('shrink-undone', after, measured);
  }
  // In mode boost what it has is its norm, and what is taken from that would never come back.
  if (times.emergency && !boosts) return surplusOf(one, 'host-emergency') ?? verdict;
  if (!times.offPeak || boosts) return afterOffPeak(verdict, offPeak, nowMs);
  const calmMs = nowMs - (grownMs ?? Number.NEGATIVE_INFINITY);
  if (verdict.verdict !== 'hold' || calmMs < OFF_PEAK_CALM_MS) return verdict;
  const step = surplusOf(one, 'off-peak');
  return step === undefined ? verdict : whenDue(cooldown, step, one.policy.timing.periodsDown);
}

const atPresent = ({ threshold, seen }: ScalingCase): Verdict => threshold(averaged(seen, 1));

const grown = (rule: Rule, after: number, measured: Measured): Verdict => ({
  verdict: 'grow',
  after,
  rule,
  limits: [],
  measured,
});

/** What has just grown is on its way, and is not surplus. */
const OFF_PEAK_CALM_MS = 3_600_000;
/** Off-peak memory stays so far below the upper threshold: what fits exactly does not for long. */
const OFF_PEAK_MEMORY_MARGIN = 0.1;

function surplusOf(one: ScalingCase, rule: 'off-peak' | 'host-emergency'): Step | undefined {
  const { quantum, leastSurplus: least, policy, resource } = one;
  const { measured } = one.threshold(averaged(one.seen, policy.timing.periodsDown));
  const { lower, upper } = measured.band;
  const margin = rule === 'off-peak' && resource === 'memory' ? OFF_PEAK_MEMORY_MARGIN : 0;
  const aim = Math.max(upper - margin, (lower + upper) / 2);
  return surplus(measured, rule, { quantum, least, wanted: mostWanted(one), aim });
}

/** A step down must suit all that the next reading is judged by: the latest, and both averages. */
function mostWanted({ seen, policy: { timing } }: ScalingCase): number {
  const windows = [1, timing.periodsUp, timing.periodsDown].map((last) => averaged(seen, last));
  return Math.max(...windows.map(({ used, demand = used }) => Math.max(used, demand)));
}

/** What the longer average would take, the latest reading may ask for again at once. */
function notOpposed(one: ScalingCase, verdict: Verdict): Verdict {
  if (verdict.verdict !== 'shrink') return verdict;
  const { measured, rule, limits } = verdict;
  const after = smallestWithoutGrowth(mostWanted(one), measured.band.upper, one.quantum);
  if (verdict.after >= after) return verdict;
  const byChunks = one.resource === 'memory' && rule === 'below-lower';
  const least = byChunks ? one.policy.memory.minDecreaseMib : one.quantum;
  if (measured.before - after < least) return held(verdict, { kind: 'opposite' });
  return { ...verdict, after, limits: [...limits, 'opposite'] };
}

/** Of the past only the cooldown counts here: the rest is in what was learnt. */
function forecastWhenDue(one: ScalingCase, cooldown: CooldownInput): Verdict | undefined {
  const verdict = one.forecast?.(atPresent(one));
  if (verdict === undefined || verdict.verdict === 'hold') return verdict;
  return whenDue(cooldown, verdict, 1);
}

/** A boost answers the moment: of the past only the cooldown counts. */
function boostWhenDue(one: ScalingCase, cooldown: CooldownInput): Verdict {
  const { saturated: samples, quantum, policy } = one;
  const verdict = boosted(atPresent(one), { samples, quantum }, policy.boost);
  return verdict.verdict === 'hold' ? verdict : whenDue(cooldown, verdict, 1);
}

/** The end of the off-peak time gives back what it took, and lets it stay for a while. */
function afterOffPeak(
  verdict: Verdict,
  taken: OffPeakTaking | undefined,
  nowMs: Milliseconds,
): Verdict {
  if (taken === undefined) return verdict;
  const { measured } = verdict;
  if (taken.givenBackMs === undefined) {
    const after = Math.min(taken.before, measured.max);
    if (after <= measured.before) return verdict;
    return grown('peak-again', after, measured);
  }
  const leftMs = taken.givenBackMs + GIVEN_BACK_MS - nowMs;
  const idle = verdict.verdict === 'shrink' && verdict.rule === 'below-lower';
  return leftMs > 0 && idle ? held(verdict, { kind: 'given-back', leftMs }) : verdict;
}

function held({ measured }: Verdict, because: HoldReason): Verdict {
  return { verdict: 'hold', because, measured };
}
