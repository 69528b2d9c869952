import type { LoopState } from '../core/loop-state.ts';
import type { ContainerObservation, GuestConfig } from '../core/observation.ts';
import type { PlannedChange } from '../core/plan.ts';
import type { Management } from '../core/policy.ts';
import type { Vmid } from '../core/units.ts';
import type { CycleWorld } from '../ports.ts';
import type { NoteDue } from './write-note.ts';

/** `write_notes`: after the changes of a cycle, and only where one came about or the key is off. */

export interface Noting {
  readonly manage: (config: GuestConfig) => Management;
  readonly containers: readonly ContainerObservation[];
  /** What came about in this cycle. */
  readonly came: ReadonlyMap<Vmid, PlannedChange>;
  /** Only these were looked at; undefined: all. */
  readonly urgent: ReadonlySet<Vmid> | undefined;
  readonly stop: AbortSignal;
}

/** A command each: the next cycle goes on with the others. */
const MOST_REMOVED = 5;

/** Writes the notes of guests that were changed, and removes those that are not wanted any more. */
export async function keepNotes(
  { hands, ...world }: CycleWorld,
  state: LoopState,
  noting: Noting,
): Promise<void> {
  if (hands === undefined) return;
  const due = dueNow(state, noting, world.clock.monotonicMs());
  if (due.length === 0) return;
  const { writeNote } = await import('./write-note.ts');
  for (const each of due) {
    if (noting.stop.aborted || state.pause !== undefined) return;
    await writeNote({ ...world, hands }, state, each, noting.stop);
  }
}

function dueNow(
  state: LoopState,
  { manage, containers, came, urgent }: Noting,
  nowMs: number,
): readonly NoteDue[] {
  const due: NoteDue[] = [];
  let removed = 0;
  for (const { vmid, config } of containers) {
    const changed = came.get(vmid);
    const noted = state.guests.get(vmid)?.noted;
    if (changed === undefined && noted?.isThere !== true) continue;
    const isWanted = config.ok ? wantsNotes(config.value, manage) : undefined;
    if (!config.ok || isWanted === undefined) continue;
    if (isWanted && changed !== undefined) due.push({ guest: config.value, changed });
    const mayGo = urgent === undefined && removed < MOST_REMOVED && nowMs >= (noted?.retryMs ?? 0);
    if (isWanted || noted?.isThere !== true || !mayGo) continue;
    removed += 1;
    due.push({ guest: config.value, changed: undefined });
  }
  return due;
}

/** undefined: nothing is changed of this guest, its notes neither. */
function wantsNotes(
  guest: GuestConfig,
  manage: (config: GuestConfig) => Management,
): boolean | undefined {
  const management = manage(guest);
  if (management.kind !== 'managed' || management.mode !== 'act') return undefined;
  return guest.lock === undefined ? management.policy.writesNotes === true : undefined;
}
