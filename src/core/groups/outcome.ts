import { afterFailure } from '../loop-state.ts';
import { type Milliseconds, milliseconds } from '../units.ts';
import type { GroupState } from './group-state.ts';
import { type Step, stepKey } from './step.ts';

/** What became of a step. */
export type StepOutcome =
  | { readonly kind: 'done'; readonly note?: string }
  | { readonly kind: 'failed'; readonly message: string }
  /** Ended by force, so that it did not tidy up after itself. */
  | { readonly kind: 'broken'; readonly message: string }
  /** The configuration was changed by somebody else since it was looked at. */
  | { readonly kind: 'overtaken'; readonly message: string }
  /** The id has been taken by somebody else meanwhile. */
  | { readonly kind: 'taken'; readonly message: string };

const AVOID_MS = 600_000;

/** No boot of any host: whatever such a command has left, it is no longer at work on it. */
const OVER = '-';

/** A command on a snapshot whose end was seen; one that met a lock has not even begun. */
function noteCutOff(state: GroupState, step: Step, message: string): void {
  if (step.kind !== 'snapshot' && step.kind !== 'delete-snapshot') return;
  if (!/locked/.test(message)) state.snapshotBoot = OVER;
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
    state.failures.set(name, { ...failure, message });
  };
  if (outcome.kind === 'overtaken') return;
  if (step.kind === 'clone') {
    if (outcome.kind === 'taken') {
      state.avoid.set(step.vmid, milliseconds(nowMs + AVOID_MS));
      state.reservation = undefined;
      return;
    }
    if (state.reservation?.vmid === step.vmid) state.reservation.ended = outcome.kind;
  }
  if (outcome.kind !== 'done') {
    noteCutOff(state, step, outcome.message);
    fail(key, outcome.message);
    return;
  }
  // A clone that can be made and is no use once it runs is a failure to make one all the same.
  if (step.kind === 'admit') state.failures.delete('out');
  if (key !== 'out') state.failures.delete(key);
  if (step.kind === 'mark' && step.marker.state === 'failed' && !step.marker.served) {
    fail('out', step.reason);
  }
}
