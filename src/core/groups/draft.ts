import { afterFailure } from '../guest-record.ts';
import type { Milliseconds, Vmid } from '../units.ts';
import type { GroupPolicy } from './group-policy.ts';
import type { GroupState } from './group-state.ts';
import type { GroupView } from './group-view.ts';
import type { GroupLedger } from './ledger.ts';
import { effectKey, OUT_KEY, type Step, stepKey, stepWords, subjectsOf } from './step.ts';

/** What the reconciliation of a group starts from, and what it collects. */

export interface GroupInput {
  readonly policy: GroupPolicy;
  readonly view: GroupView;
  /** Kept up to date by `reconcile`; to be saved before its steps are begun. */
  readonly state: GroupState;
  /** Kept up to date as well, and saved before the steps: entries are added and dropped here. */
  readonly ledger: GroupLedger;
  /** Random, for the next reservation. */
  readonly nonce: string;
  /** Of all groups: none of them is ever a member that may be stopped. */
  readonly sources: ReadonlySet<Vmid>;
  readonly now: GroupInstant;
  /** Containers that a step is at work on. */
  readonly busy: ReadonlySet<Vmid>;
  /** What other groups have reserved. */
  readonly reserved: {
    readonly ids: ReadonlySet<Vmid>;
    readonly addresses: ReadonlySet<string>;
  };
  /** In place of what the load asks for, this once. */
  readonly wish?: GroupWish | undefined;
}

/** What a person asks of a group: one member more, or one less. */
export interface GroupWish {
  readonly direction: 'out' | 'in';
  /** Who asks, such as `api:deploy`. */
  readonly by: string;
}

export interface GroupInstant {
  readonly ms: Milliseconds;
  readonly wallS: number;
  /** The boot of the host that `ms` belongs to. */
  readonly boot: string;
}

/** Something that a person should know; said once as long as it holds. */
export interface Note {
  readonly key: string;
  readonly level: 'info' | 'warn';
  readonly text: string;
}

/** How long the effect of a command that has ended may take to be seen. */
const EFFECT_MS = 3000;

/** Collects what is to be done, and leaves out what is busy or has failed lately. */
export class Draft {
  readonly steps: Step[] = [];
  readonly notes: Note[] = [];
  readonly #input: GroupInput;
  readonly #subjects: Set<Vmid>;
  /** What would be done, even if it is not due yet. */
  readonly #wanted = new Set<string>();

  constructor(input: GroupInput) {
    this.#input = input;
    this.#subjects = new Set(input.busy);
  }

  /** Returns whether the step was taken up. */
  step(step: Step): boolean {
    const { state, now } = this.#input;
    this.#wanted.add(effectKey(step));
    if (this.#hadNoEffect(step)) return false;
    const failure = state.failures.get(stepKey(step));
    if (failure !== undefined && failure.retryAtMs > now.ms) return false;
    if (subjectsOf(step).some((vmid) => this.#subjects.has(vmid))) return false;
    for (const vmid of subjectsOf(step)) this.#subjects.add(vmid);
    this.steps.push(step);
    return true;
  }

  /** It ended without an error, and is to be done again: it counts as failed, and waits. */
  #hadNoEffect(step: Step): boolean {
    const { state, now } = this.#input;
    const done = state.done.get(effectKey(step));
    if (done === undefined) return false;
    if (now.ms - done.atMs < EFFECT_MS) return true;
    state.done.delete(effectKey(step));
    const { key } = done;
    const message = `${stepWords(step)} ended without an error, and had no effect`;
    state.failures.set(key, { ...afterFailure(state.failures.get(key), now.ms), message });
    this.note(`no-effect/${effectKey(step)}`, 'warn', `${message}; it is tried again later`);
    return true;
  }

  /** Steps that are not to be done again have had their effect. To be called at the end. */
  settle(): void {
    const { state } = this.#input;
    for (const [effect, { key }] of state.done) {
      if (this.#wanted.has(effect)) continue;
      state.done.delete(effect);
      if (key !== OUT_KEY) state.failures.delete(key);
    }
  }

  note(key: string, level: Note['level'], text: string): void {
    this.notes.push({ key, level, text });
  }

  isBusy(vmid: Vmid): boolean {
    return this.#subjects.has(vmid);
  }
}
