import { awayForGood } from '../away.ts';
import type { FailureWhy } from '../failure-why.ts';
import { afterFailure } from '../guest-record.ts';
import { type Milliseconds, milliseconds } from '../units.ts';
import { type GroupState, memberKey } from './group-state.ts';
import type { GroupLedger, LedgerMember } from './ledger.ts';
import { effectKey, OUT_KEY, type Step, stepKey } from './step.ts';

/** What became of a step. */
export type StepOutcome =
  | { readonly kind: 'done'; readonly note?: string }
  | { readonly kind: 'failed'; readonly message: string; readonly why?: FailureWhy }
  /** Ended by force, so that it did not tidy up after itself. */
  | { readonly kind: 'broken'; readonly message: string }
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

/** No boot of any host: whatever such a command has left, it is no longer at work on it. */
const OVER = '-';

/** A command on a snapshot whose end was seen; one that met a lock has not even begun. */
function noteCutOff(state: GroupState, step: Step, outcome: StepOutcome): void {
  if (step.kind !== 'snapshot' && step.kind !== 'delete-snapshot') return;
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
    const isSoon = outcome.kind === 'overtaken' && failure.count === 1;
    const retryAtMs = isSoon ? milliseconds(nowMs + OVERTAKEN_MS) : failure.retryAtMs;
    state.failures.set(name, { ...failure, retryAtMs, message });
  };
  if (step.kind === 'clone') {
    if (outcome.kind === 'taken') {
      state.avoid.set(step.vmid, milliseconds(nowMs + AVOID_MS));
      if (state.reservation !== undefined) state.reservation.ended = 'failed';
      if (state.avoid.size > MOST_TAKEN) fail(OUT_KEY, outcome.message);
      return;
    }
    if (state.reservation?.vmid === step.vmid) state.reservation.ended = endOf(outcome);
  }
  if (outcome.kind !== 'done') {
    if (outcome.kind !== 'overtaken') noteCutOff(state, step, outcome);
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
