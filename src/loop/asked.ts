import type { Resource } from '../core/allocation.ts';
import { type AskedChange, decideAsked } from '../core/asked.ts';
import type { Verdicts } from '../core/decide.ts';
import type { Change } from '../core/decision.ts';
import { explainHold } from '../core/explain.ts';
import { noteGiven } from '../core/given.ts';
import type { GuestRecord } from '../core/guest-record.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { Plan, PlannedChange } from '../core/plan.ts';
import type { Management } from '../core/policy.ts';
import { type Milliseconds, milliseconds } from '../core/units.ts';
import { afterHand } from './drift.ts';
import { changesOf } from './log-cycle.ts';
import type { Observed } from './observe.ts';
import type { ChangeResult } from './wish.ts';

/**
 * A change that a person has asked for goes the way of every other one: it is a cycle for this one
 * guest, in which what was asked for stands in place of what the loop would decide.
 */

export interface AskedOutcome {
  readonly kind: ChangeResult['kind'] | 'already' | 'dry-run' | 'refused';
  readonly changes: readonly Change[];
  readonly note?: string | undefined;
  readonly backup?: string | undefined;
}

/** Gathers in the course of a cycle what becomes of what was asked for. */
export class Asking {
  readonly wanted: AskedChange;
  #planned: readonly PlannedChange[] = [];
  #outcome: AskedOutcome | undefined;

  constructor(wanted: AskedChange) {
    this.wanted = wanted;
  }

  /** What is to be done, in place of the loop's own decisions. */
  decide(verdicts: Verdicts, { containers }: Observed, state: LoopState): readonly Change[] {
    const { vmid } = this.wanted;
    const config = containers.find((one) => one.vmid === vmid)?.config;
    const guest = config?.ok === true ? config.value : undefined;
    const { changes, refused } = decideAsked(this.wanted, verdicts, guest, state);
    if (refused !== undefined) this.#outcome = { kind: 'refused', changes, note: refused };
    else if (changes.length === 0) this.#outcome = { kind: 'already', changes };
    return changes;
  }

  /** What the host could not give is not given in part either: all of it, or nothing. */
  planned({ held, changes }: Plan): readonly PlannedChange[] {
    const [first] = held;
    if (first !== undefined) {
      this.#outcome = { kind: 'refused', changes: [], note: explainHold(first) };
    }
    this.#planned = this.#outcome === undefined ? changes : [];
    return this.#planned;
  }

  readonly told = (planned: PlannedChange, { kind, note, backup }: ChangeResult): void => {
    this.#outcome = { kind, changes: changesOf(planned), note, backup };
  };

  /** How it went. What was done for good stays, as a value that was set by hand does. */
  end(
    state: LoopState,
    manage: (config: GuestConfig) => Management,
    isDryRun: boolean,
  ): AskedOutcome {
    const planned = this.#planned.flatMap(changesOf);
    const outcome = this.#outcome ?? { changes: planned, ...(isDryRun ? DRY_RUN : NOT_TRIED) };
    const isDone = outcome.kind === 'confirmed' || outcome.kind === 'pending';
    if (isDone && this.wanted.boostMs === undefined) this.#keep(outcome, state, manage);
    return outcome;
  }

  #keep(
    { changes }: AskedOutcome,
    state: LoopState,
    manage: (config: GuestConfig) => Management,
  ): void {
    const record = recordOf(state, this.wanted.vmid);
    const management = record.running && manage(record.running);
    const { asAdmin = false } = this.wanted;
    for (const { resource } of changes) {
      keepAsked(record, resource, { management, asAdmin, sinceMs: record[resource].changedMs });
    }
  }
}

export interface Keeping {
  readonly management: Management | undefined;
  readonly asAdmin: boolean;
  /** When it came about; undefined: an earlier hold goes on. */
  readonly sinceMs: Milliseconds | undefined;
}

/**
 * A value that was asked for stays, as one that was set by hand does. Only what an admin asks for
 * counts as given: whoever is bound to shares of that would move his own bounds with each wish.
 */
export function keepAsked(
  record: GuestRecord,
  resource: Resource,
  { management, asAdmin, sinceMs }: Keeping,
): void {
  const holdMs = management?.kind === 'managed' ? management.policy.timing.manualHoldMs : 0;
  const isHeld = holdMs > 0 && sinceMs !== undefined;
  afterHand(record, resource, isHeld ? milliseconds(sinceMs + holdMs) : undefined);
  if (asAdmin && record.known !== undefined) noteGiven(record, record.known, [resource]);
}

const DRY_RUN = { kind: 'dry-run' } as const;
const NOT_TRIED = {
  kind: 'refused',
  note: 'it could not be backed up or recorded, or nothing can be changed now; the log says more',
} as const;
