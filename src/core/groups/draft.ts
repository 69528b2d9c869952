import type { Milliseconds, Vmid } from '../units.ts';
import type { GroupPolicy } from './group-policy.ts';
import type { GroupState } from './group-state.ts';
import type { GroupView } from './group-view.ts';
import { type Step, stepKey, subjectsOf } from './step.ts';

/** What the reconciliation of a group starts from, and what it collects. */

export interface GroupInput {
  readonly policy: GroupPolicy;
  readonly view: GroupView;
  /** Kept up to date by `reconcile`; to be saved before its steps are begun. */
  readonly state: GroupState;
  readonly now: GroupInstant;
  /** Containers that a step is at work on. */
  readonly busy: ReadonlySet<Vmid>;
  /** What other groups have reserved. */
  readonly reserved: {
    readonly ids: ReadonlySet<Vmid>;
    readonly addresses: ReadonlySet<string>;
  };
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

/** Collects what is to be done, and leaves out what is busy or has failed lately. */
export class Draft {
  readonly steps: Step[] = [];
  readonly notes: Note[] = [];
  readonly #input: GroupInput;
  readonly #subjects: Set<Vmid>;

  constructor(input: GroupInput) {
    this.#input = input;
    this.#subjects = new Set(input.busy);
  }

  /** Returns whether the step was taken up. */
  step(step: Step): boolean {
    const { state, now } = this.#input;
    const failure = state.failures.get(stepKey(step));
    if (failure !== undefined && failure.retryAtMs > now.ms) return false;
    if (subjectsOf(step).some((vmid) => this.#subjects.has(vmid))) return false;
    for (const vmid of subjectsOf(step)) this.#subjects.add(vmid);
    this.steps.push(step);
    return true;
  }

  note(key: string, level: Note['level'], text: string): void {
    this.notes.push({ key, level, text });
  }

  isBusy(vmid: Vmid): boolean {
    return this.#subjects.has(vmid);
  }
}
