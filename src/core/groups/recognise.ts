import { isAwayTooLong } from '../away.ts';
import type { Vmid } from '../units.ts';
import type { Draft, GroupInput } from './draft.ts';
import { awaySince, memberKey, type Reservation } from './group-state.ts';
import type { GroupGuest } from './group-view.ts';
import { isEntryOf, type LedgerMember, SNAPSHOT_LIMIT_MS } from './ledger.ts';

/**
 * Which containers are those of the ledger. Takes in what is seen of a clone for the first time,
 * and drops entries whose container is gone or another one now: an id says nothing by itself.
 */

/** How long an entry without a container is kept, where nothing else is known of its clone. */
const FORGET_AFTER_MS = 120_000;

/** @returns the entries whose containers are there, and are the ones that they were made for */
export function recognise(input: GroupInput, draft: Draft): ReadonlyMap<Vmid, LedgerMember> {
  const { ledger } = input;
  const proven = new Map<Vmid, LedgerMember>();
  for (const [vmid, entry] of [...ledger.members]) {
    const found = look(input, entry, draft);
    if (found === 'gone') {
      ledger.members.delete(vmid);
      input.state.away.delete(memberKey(vmid));
    } else if (found !== 'unknown') {
      if (found !== entry) ledger.members.set(vmid, found);
      proven.set(vmid, found);
    }
  }
  noteSnapshots(input);
  return proven;
}

type Found = LedgerMember | 'unknown' | 'gone';

function look(input: GroupInput, entry: LedgerMember, draft: Draft): Found {
  const { view, state } = input;
  const { vmid } = entry;
  const reading = view.cluster.guests.get(vmid);
  const isReserved = state.reservation?.nonce === entry.nonce;
  if (reading === undefined) {
    if (view.cluster.takenIds.has(vmid)) return stranger(entry, 'a virtual machine', draft);
    // What was there once does not come any more.
    if (entry.identity !== undefined) {
      const sinceMs = awaySince(state, memberKey(vmid), input.now.ms);
      return isAwayTooLong(sinceMs, input.now.ms) ? 'gone' : 'unknown';
    }
    return isReserved || !isOld(input, entry) ? 'unknown' : 'gone';
  }
  state.away.delete(memberKey(vmid));
  if (!reading.ok) return 'unknown';
  const guest = reading.value;
  const running = view.lives.get(vmid)?.running;
  if (entry.identity === undefined) return firstSeen(entry, guest, running, isReserved, draft);
  if (!isEntryOf(entry, guest)) return stranger(entry, 'another container', draft);
  if (entry.state === 'cloning' && running === true) return startedByOthers(entry, draft);
  return guest.node === entry.node ? entry : { ...entry, node: guest.node };
}

/** At the very beginning, `pct clone` has written nothing but its lock. */
export const isBare = ({ lock, nets, description }: GroupGuest): boolean =>
  lock === 'create' && nets.size === 0 && description.length === 0;

/** Only what came of the very command that was begun for the entry is taken for its clone. */
function firstSeen(
  entry: LedgerMember,
  guest: GroupGuest,
  running: boolean | undefined,
  isReserved: boolean,
  draft: Draft,
): Found {
  if (isBare(guest) && isReserved) return 'unknown';
  if (!isEntryOf(entry, guest) || guest.template) {
    return stranger(entry, 'another container', draft);
  }
  if (running === true) return startedByOthers(entry, draft);
  // While it is copied it has no root volume yet.
  const { identity } = guest.config;
  if (guest.lock !== undefined || identity === undefined) return entry;
  return { ...entry, identity, node: guest.node };
}

function stranger({ vmid, identity }: LedgerMember, what: string, draft: Draft): 'gone' {
  const text =
    identity === undefined
      ? `the id ${vmid} was reserved for a clone, and ${what} has it: it is not touched`
      : `${vmid} is ${what} now, and no member any longer: it is not touched`;
  draft.note(`stranger/${vmid}`, 'warn', text);
  return 'gone';
}

function startedByOthers({ vmid }: LedgerMember, draft: Draft): 'gone' {
  const text =
    `the clone ${vmid} was started before it was configured, and not by this program: ` +
    'it is left to whoever did so, and is no member';
  draft.note(`started/${vmid}`, 'warn', text);
  return 'gone';
}

function isOld({ policy, now }: GroupInput, { madeS }: LedgerMember): boolean {
  return (now.wallS - madeS) * 1000 > policy.cloneTimeoutMs + FORGET_AFTER_MS;
}

/** A snapshot is ours only as it was first seen: another one of its name is not. */
function noteSnapshots({ ledger, view, busy, state, policy, now }: GroupInput): void {
  const reading = view.cluster.guests.get(policy.source);
  for (const [name, known] of [...ledger.snapshots]) {
    if (known.source !== policy.source) {
      ledger.snapshots.delete(name);
      continue;
    }
    if (reading?.ok === false) continue;
    const seen = reading?.value.snapshots.get(name);
    if (seen === undefined) {
      const gone = isAwayTooLong(awaySince(state, name, now.ms), now.ms);
      // A `pct snapshot` that outlives the daemon that began it may still bring it about.
      const mayCome =
        known.snaptime === undefined && (now.wallS - known.madeS) * 1000 <= SNAPSHOT_LIMIT_MS;
      const isWanted = name === state.snapshot || busy.has(policy.source);
      if (gone && !mayCome && !isWanted) {
        ledger.snapshots.delete(name);
        state.away.delete(name);
      }
      continue;
    }
    state.away.delete(name);
    const { snaptime } = seen;
    if (known.snaptime === undefined && snaptime !== undefined) {
      ledger.snapshots.set(name, { ...known, snaptime });
    } else if (known.snaptime !== undefined && known.snaptime !== snaptime) {
      ledger.snapshots.delete(name);
    }
  }
}

/** The entry of a reservation that comes to nothing goes with it. */
export function dropReservation({ state, ledger }: GroupInput, reservation: Reservation): void {
  state.reservation = undefined;
  const entry = ledger.members.get(reservation.vmid);
  if (entry?.nonce !== reservation.nonce) return;
  if (entry.state === 'cloning' && entry.identity === undefined) {
    ledger.members.delete(reservation.vmid);
  }
}
