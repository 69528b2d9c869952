import type { Draft, GroupInput } from './draft.ts';
import type { Reservation } from './group-state.ts';
import { memoryOf } from './group-state.ts';
import { configured } from './member-settings.ts';
import type { Member } from './members.ts';
import { dropReservation, isBare } from './recognise.ts';
import type { Step } from './step.ts';

/**
 * Clones that are not members yet, and what is to become of them. While `pct clone` is at work its
 * clone has `lock: create`, and its source `lock: disk`; both go at its end, and with a failure the
 * clone goes too. One that is cut off (power, a kill) leaves all of it as it is.
 */

/** A `pct clone` whose process is not known begins to be seen within this time, or never will. */
const BEGIN_MS = 60_000;
/** A worker of `pct` may outlive it for a little while. */
const ORPHAN_MS = 120_000;

export function halfMadeSteps(input: GroupInput, members: readonly Member[], draft: Draft): void {
  const { state } = input;
  const { reservation } = state;
  if (reservation !== undefined) settle(input, reservation, members, draft);
  for (const member of members) {
    if (member.role !== 'half-made' || draft.isBusy(member.guest.vmid)) continue;
    const step = stepOf(input, member);
    if (step !== undefined) draft.step(step);
  }
}

/** What comes of a reservation, once its clone is there, or will never be. */
function settle(
  input: GroupInput,
  reservation: Reservation,
  members: readonly Member[],
  draft: Draft,
): void {
  const { state, view, now, policy } = input;
  const { vmid, nonce } = reservation;
  if (draft.isBusy(vmid)) return;
  const member = members.find(({ entry }) => entry?.nonce === nonce);
  if (member !== undefined) {
    if (member.role === 'half-made') return;
    state.reservation = undefined;
    memoryOf(state, vmid).reason ||= reservation.reason;
    return;
  }
  const there = view.cluster.guests.get(vmid);
  if (there?.ok === false) return;
  const isThere = there !== undefined && !isBare(there.value);
  if (!isThere && mayStillCome(input, reservation)) return;
  const source = view.cluster.guests.get(policy.source);
  const locked = source?.ok === true && source.value.lock === 'disk';
  const cutOff =
    reservation.ended === 'broken' ||
    reservation.boot !== now.boot ||
    (reservation.ended === undefined &&
      (reservation.pid !== undefined ||
        (reservation.begun && view.cloneRuns(undefined) === false)));
  if (locked && cutOff && !isThere) {
    draft.step({ kind: 'unlock-source', vmid: policy.source, lock: 'disk' });
    return;
  }
  if (there !== undefined && !isThere) {
    const text = `the id ${vmid} is held by a container that was only begun, by whom is not known`;
    draft.note(
      `bare/${vmid}`,
      'warn',
      `${text}; remove it: pct unlock ${vmid}, pct destroy ${vmid}`,
    );
  }
  dropReservation(input, reservation);
}

/** Whether a clone that is not to be seen may still be on its way. */
function mayStillCome({ view, now, policy }: GroupInput, reservation: Reservation): boolean {
  if (reservation.ended !== undefined || reservation.boot !== now.boot) return false;
  if (!reservation.begun) return false;
  const sinceMs = now.ms - reservation.startedMs;
  if (sinceMs > policy.cloneTimeoutMs + ORPHAN_MS) return false;
  const { pid } = reservation;
  const runs = pid === undefined ? undefined : view.cloneRuns(pid);
  return runs ?? sinceMs < BEGIN_MS;
}

function stepOf(input: GroupInput, { guest, entry }: Member): Step | undefined {
  const { policy, view, state } = input;
  const { vmid, lock } = guest;
  if (entry === undefined) return undefined;
  if (lock === undefined) {
    if (entry.identity === undefined) return undefined;
    const source = view.cluster.guests.get(policy.source);
    const from = source?.ok === true ? source.value : undefined;
    return configured(policy, guest, from, entry.address);
  }
  if (lock !== 'create') return undefined;
  const { reservation } = state;
  const its = reservation?.nonce === entry.nonce;
  const why = its && reservation ? whyCutOff(input, reservation) : whyTooOld(input, entry.madeS);
  return why === undefined ? undefined : { kind: 'discard', vmid, reason: why };
}

/** Why a clone that is locked will never be whole; undefined while it may be. */
function whyCutOff(input: GroupInput, reservation: Reservation): string | undefined {
  const { view, now, policy } = input;
  if (reservation.ended !== undefined) return 'its cloning was cut off';
  if (reservation.boot !== now.boot) return 'the host was started anew while it was cloned';
  const runs = view.cloneRuns(reservation.pid);
  reservation.orphanedMs = runs === false ? (reservation.orphanedMs ?? now.ms) : undefined;
  const gone = reservation.orphanedMs;
  if (gone !== undefined && now.ms - gone >= ORPHAN_MS) return 'the process that cloned it is gone';
  const overMs = now.ms - reservation.startedMs - policy.cloneTimeoutMs;
  return overMs > ORPHAN_MS ? 'its cloning took longer than clone_timeout' : undefined;
}

/** Nothing is known of how it came to be: only its age counts. */
function whyTooOld({ now, policy }: GroupInput, madeS: number): string | undefined {
  const overMs = (now.wallS - madeS) * 1000 - policy.cloneTimeoutMs;
  return overMs > ORPHAN_MS ? 'its cloning took longer than clone_timeout' : undefined;
}
