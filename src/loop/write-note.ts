import { noteLine, notesIn, withNote } from '../core/guest-notes.ts';
import { guestLabel } from '../core/guest-words.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import type { GuestConfig } from '../core/observation.ts';
import { pauseAfter } from '../core/pause.ts';
import type { PlannedChange } from '../core/plan.ts';
import { milliseconds, type Vmid } from '../core/units.ts';
import type { ActingWorld } from '../ports.ts';
import { changesOf } from './log-cycle.ts';
import { outcomeWords } from './read-back.ts';

/**
 * The last change of a guest in its notes: a change like any other, with a backup before and a look
 * after it. It is made when the change itself is told, so that it can only fail by itself.
 */

export interface NoteDue {
  readonly guest: GuestConfig;
  /** What came about; undefined: the block goes. */
  readonly changed: PlannedChange | undefined;
}

/** What could not be removed is tried again. */
const RETRY_MS = 3_600_000;

/** Writes or removes the block, and says what came of it. Never fails. */
export async function writeNote(
  world: ActingWorld,
  state: LoopState,
  { guest, changed }: NoteDue,
  stop: AbortSignal,
): Promise<void> {
  const { log, clock } = world;
  const record = recordOf(state, guest.vmid);
  const line = changed && noteLine(changesOf(changed), clock.wallMs());
  const done = await setNotes(world, guest.vmid, line, stop);
  const who = `${guestLabel(guest)} (${guest.name})`;
  const about = { component: 'act', vmid: guest.vmid, event: 'notes' } as const;
  if (done.ok) {
    record.noted = line === undefined ? undefined : { isThere: true };
    const what = line === undefined ? 'no longer has' : 'has';
    const backup = done.backup === undefined ? '' : `. Backup: ${done.backup}`;
    log.info(`${who} ${what} its last change in its notes${backup}`, about);
    return;
  }
  const { problem } = record.noted ?? {};
  const isThere = record.noted?.isThere ?? false;
  const retryMs = milliseconds(clock.monotonicMs() + RETRY_MS);
  record.noted = { isThere, problem: done.why, retryMs };
  const what = line === undefined ? 'not removed from' : 'not written in';
  const text = `${who}: its last change was ${what} its notes: ${done.why}`;
  if (problem === done.why) log.debug(text, about);
  else log.warn(text, about);
}

export type NotesSet =
  | { readonly ok: true; readonly backup?: string }
  | { readonly ok: false; readonly why: string };

/** @param line undefined: the block goes */
export async function setNotes(
  world: ActingWorld,
  vmid: Vmid,
  line: string | undefined,
  stop: AbortSignal,
): Promise<NotesSet> {
  const { guests, clock, notOurs, backups, hands } = world;
  const no = (why: string): NotesSet => ({ ok: false, why });
  const file = await lookAt(world, vmid);
  if (!file.ok) return no(file.detail);
  const pause = pauseAfter(undefined, guests.quorum(), clock.monotonicMs(), notOurs?.());
  if (pause !== undefined) return no(pause.why);
  const before = notesIn(file.value.content);
  if (before === undefined) return no('they are in a form that Proxmox VE does not write');
  const wanted = withNote(before, line);
  if (!wanted.ok) return no(wanted.why);
  const { notes } = wanted;
  if (notes === before) return { ok: true };
  const reason = `Notes: the last change is ${line === undefined ? 'removed' : 'written'}`;
  const backup = backups.write(file.value, { reason, notes: true });
  if (!backup.ok) return no(`no backup: ${backup.message}`);
  const { digest, reaches } = file.value.config;
  const outcome = await hands.apply({ vmid, notes, digest }, stop);
  const after = await lookAt(world, vmid);
  if (!after.ok) return no(`what came of it is not known: ${after.detail}`);
  // Proxmox VE keeps no white space at the end of the notes of a machine.
  const isDone = notesIn(after.value.content)?.trimEnd() === notes.trimEnd();
  if (isDone) return { ok: true, backup: backup.path };
  const tool = reaches === undefined ? 'pct' : 'qm';
  return no(outcome.kind === 'done' ? 'they read back differently' : outcomeWords(outcome, tool));
}

async function lookAt(
  { inspect, guests }: ActingWorld,
  vmid: Vmid,
): Promise<ReturnType<ActingWorld['guests']['read']>> {
  await inspect(vmid);
  return guests.read(vmid);
}
