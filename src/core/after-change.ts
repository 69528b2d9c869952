import type { Change } from './decision.ts';
import {
  addGrant,
  afterUndone,
  type Boost,
  type GuestRecord,
  type ResourceRecord,
} from './guest-record.ts';
import { takenAfter } from './taken.ts';
import { type Milliseconds, milliseconds } from './units.ts';

/**
 * What a change leaves in the record of a guest. The loop, the recovery after a crash and the
 * backtest all go through here.
 */

/** A change that took effect; after a crash no more is known of it than this. */
export type Step = Pick<Change, 'resource' | 'verdict' | 'rule' | 'after'> & {
  readonly measured: Pick<Change['measured'], 'before' | 'waits'> & { readonly max?: number };
};

/** Takes in one change of a guest that took effect. */
export function afterChange(record: GuestRecord, step: Step, nowMs: Milliseconds): void {
  const { resource, verdict, rule, measured, after } = step;
  const known = record[resource];
  known.changedMs = nowMs;
  if (verdict === 'grow') known.grownMs = nowMs;
  known.taken = takenAfter(known.taken, step, nowMs);
  if (rule !== 'saturated' && rule !== 'in-force') known.boost = undefined;
  afterWaiting(known, step, nowMs);
  if (rule === 'boost-end') countAnew(record, step);
  if (rule === 'off-peak') takeOffPeak(known, measured.before);
  else afterGivingBack(known, step, nowMs);
  if (resource !== 'memory') return;
  addGrant(record, after - measured.before);
  afterMemoryStep(record, step, nowMs);
}

/** The boost that a change begins, if it does. */
export function boostOf(
  { rule, after, measured, boostMs }: Pick<Change, 'rule' | 'after' | 'measured' | 'boostMs'>,
  nowMs: Milliseconds,
): Boost | undefined {
  if (rule !== 'saturated' || boostMs === undefined) return undefined;
  return { before: measured.before, boosted: after, endMs: milliseconds(nowMs + boostMs) };
}

/** All that the off-peak time takes is given back, what it grew by in between included. */
export function takeOffPeak(known: ResourceRecord, has: number): void {
  const earlier = known.offPeak?.givenBackMs === undefined ? known.offPeak?.before : undefined;
  known.offPeak = { before: Math.max(earlier ?? has, has), givenBackMs: undefined };
}

/** What the off-peak time took, and this step may give back. */
function afterGivingBack(
  known: ResourceRecord,
  { rule, after, measured }: Step,
  nowMs: Milliseconds,
): void {
  const taken = known.offPeak;
  if (taken === undefined || taken.givenBackMs !== undefined) return;
  const whole = Math.min(taken.before, measured.max ?? taken.before);
  // A part that the host could spare leaves the rest to be given back.
  if (rule === 'peak-again' && after >= whole) known.offPeak = { ...taken, givenBackMs: nowMs };
  // It already grew back by itself: there is nothing to give. A limit that was put right is none.
  else if (Math.max(rule === 'in-force' ? 0 : measured.before, after) >= whole) {
    known.offPeak = undefined;
  }
}

/** Whether more cores help is seen later; where they did not, it is longer until the next try. */
function afterWaiting(
  record: ResourceRecord,
  { rule, after, measured }: Step,
  nowMs: Milliseconds,
): void {
  const known = record.waited;
  if (rule === 'waiting') {
    const { before, waits = 0 } = measured;
    // What was kept did help, so the tries before it do not count any more.
    const count = known === undefined || known.after === before ? 0 : known.count;
    record.waited = { before, after, share: waits, atMs: nowMs, count };
  } else if (rule === 'waiting-undone' && known !== undefined) {
    const failures = { count: known.count, retryAtMs: nowMs };
    record.waited = { ...known, ...afterUndone(failures, nowMs) };
  }
}

/** A further boost takes as many saturated samples as the first one did. */
function countAnew({ life }: GuestRecord, { resource }: Step): void {
  const seen = life.interval;
  if (seen === undefined) return;
  life.interval = { ...seen, saturated: { ...seen.saturated, [resource]: 0 } };
}

/** A shrink may turn out to be a mistake; one that did is not repeated soon. */
function afterMemoryStep(
  { life }: GuestRecord,
  { verdict, rule, measured }: Step,
  nowMs: Milliseconds,
): void {
  if (verdict === 'shrink') {
    life.shrunk = { fromMib: measured.before, atMs: nowMs };
    return;
  }
  life.shrunk = undefined;
  const before = life.shrinkRetry;
  life.shrinkRetry = rule === 'shrink-undone' ? afterUndone(before, nowMs) : undefined;
}
