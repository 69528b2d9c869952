import { awayForGood } from '../away.ts';
import type { FailureWhy } from '../failure-why.ts';
import { afterFailure } from '../guest-record.ts';
import { type Milliseconds, milliseconds } from '../units.ts';
import { type GroupState, memberKey } from './group-state.ts';
import { type GroupLedger, type LedgerMember, SNAPSHOT_LIMIT_MS } from './ledger.ts';
import { effectKey, OUT_KEY, type Step, stepKey } from './step.ts';

/** What became of a step. */
export type StepOutcome =
  | { readonly kind: 'done'; readonly note?: string }
  | { readonly kind: 'failed'; readonly message: string; readonly why?: FailureWhy }
  /** Ended by force, so that it did not tidy up after itself. */
  | {
      readonly kind: 'broken';
      readonly message: string;
      /** It is out of sight, and may be at work for a moment still. */
      readonly isUnseen?: true;
    }
  /** The configuration was changed by somebody else since it was looked at. */
  | { readonly kind: 'overtaken'; readonly message: string }
  /** The id has been taken by somebody else meanwhile. */
  | { readonly kind: 'taken'; readonly message: string };

/** One change by others is soon over; many are not. */
const OVERTAKEN_MS = 5000;

const AVOID_MS = 600_000;
/** If so many ids in a row are said to be taken, something else is wrong. */
const MOST_TAKEN = 3;

const endOf = ({ kind }: StepOutcome): 'done' | 'failed' | 'broken' =>
  kind === 'done' || kind === 'broken' ? kind : 'failed';

/** What is out of sight has ended after so long, with room to spare. */
const UNSEEN_MS = 120_000;

/** A line that was cut is no fault of the step; the far side ends what is cut off within 15 s. */
const CUT_MS = 20_000;

function soonAfter(outcome: StepOutcome): number | undefined {
  if (outcome.kind === 'overtaken') return OVERTAKEN_MS;
  return outcome.kind === 'broken' && outcome.isUnseen === true ? CUT_MS : undefined;
}

/** No boot of any host: whatever such a command has left, it is no longer at work on it. */
const OVER = '-';

/** A command on a snapshot whose end was seen; one that met a lock has not even begun. */
function noteCutOff(
  state: GroupState,
  step: Step,
  outcome: StepOutcome,
  nowMs: Milliseconds,
): void {
  if (step.kind !== 'snapshot' && step.kind !== 'delete-snapshot') return;
  if (outcome.kind === 'broken' && outcome.isUnseen === true) {
    state.snapshotMs = milliseconds(nowMs - SNAPSHOT_LIMIT_MS + UNSEEN_MS);
    return;
  }
  if (outcome.kind !== 'failed' || outcome.why !== 'locked') state.snapshotBoot = OVER;
}

/** Takes in how a step ended. What failed waits before it is tried again, longer each time. */
export function applyOutcome(
  state: GroupState,
  step: Step,
  outcome: StepOutcome,
  nowMs: Milliseconds,
): void {
  const key = stepKey(step);
  const fail = (name: string, message: string): void => {
    const failure = afterFailure(state.failures.get(name), nowMs);
    const soonMs = failure.count === 1 ? soonAfter(outcome) : undefined;
    const retryAtMs = soonMs === undefined ? failure.retryAtMs : milliseconds(nowMs + soonMs);
    state.failures.set(name, { ...failure, retryAtMs, message });
  };
  if (step.kind === 'clone') {
    if (outcome.kind === 'taken') {
      state.avoid.set(step.vmid, milliseconds(nowMs + AVOID_MS));
      if (state.reservation !== undefined) state.reservation.ended = 'failed';
      if (state.avoid.size > MOST_TAKEN) fail(OUT_KEY, outcome.message);
      return;
    }
    const isOver = outcome.kind !== 'broken' || outcome.isUnseen !== true;
    if (state.reservation?.vmid === step.vmid && isOver) state.reservation.ended = endOf(outcome);
  }
  if (outcome.kind !== 'done') {
    if (outcome.kind !== 'overtaken') noteCutOff(state, step, outcome, nowMs);
    fail(key, outcome.message);
    return;
  }
  // A clone that can be made and is no use once it runs is a failure to make one all the same.
  if (step.kind === 'admit') state.failures.delete(OUT_KEY);
  if (step.kind === 'delete-snapshot') state.away.set(step.name, awayForGood(nowMs));
  if (step.kind === 'destroy' || step.kind === 'discard') {
    state.away.set(memberKey(step.vmid), awayForGood(nowMs));
  }
  state.done.set(effectKey(step), { atMs: nowMs, key });
  if (step.kind === 'mark' && step.state === 'failed' && !step.served) {
    fail(OUT_KEY, step.reason);
  }
}

/** What a step that has succeeded makes of the entry of its member; undefined: nothing. */
export function entryAfter({ members }: GroupLedger, step: Step): LedgerMember | undefined {
  const entry = members.get(step.vmid);
  if (entry === undefined) return undefined;
  switch (step.kind) {
    case 'configure':
      return { ...entry, state: 'new' };
    case 'admit':
      return { ...entry, state: 'serving', served: true };
    case 'mark':
      return { ...entry, state: step.state, served: step.served };
    default:
      return undefined;
  }
}
