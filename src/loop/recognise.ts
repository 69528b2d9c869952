import { isExactly } from '../core/allocation.ts';
import type { GuestRecord } from '../core/guest-record.ts';
import { guestLabel } from '../core/guest-words.ts';
import { describeIdentity, isSameGuest } from '../core/identity.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { World } from '../ports.ts';

/**
 * Whether a guest is the one that was last seen under its id. What is remembered of another one is
 * dropped, before anything is made of it.
 *
 * @returns whether another guest has this id now
 */
export function isAnotherGuest({ log }: World, state: LoopState, config: GuestConfig): boolean {
  const { vmid, name, identity } = config;
  const record = state.guests.get(vmid);
  const known = record?.identity;
  if (identity !== undefined && known === identity) return false;
  if (identity !== undefined && (known === undefined || isSameGuest(known, identity))) {
    const isAdopted = known !== undefined || isAsLastSeen(record, config);
    if (!isAdopted) state.guests.delete(vmid);
    // The newest one counts: of several devices, one after the other may be replaced.
    recordOf(state, vmid).identity = identity;
    return !isAdopted;
  }
  const debts = record === undefined ? '' : debtsOf(record);
  state.guests.delete(vmid);
  if (identity !== undefined) recordOf(state, vmid).identity = identity;
  if (known !== undefined) {
    const about = { component: 'observe', vmid, event: 'other-guest' } as const;
    log.info(
      `${guestLabel(config)} (${name}) is not the guest that had this id before: it has ` +
        `${describeIdentity(identity)}; before: ${describeIdentity(known)}. ` +
        `Nothing that was remembered of that guest applies to it${debts}.`,
      about,
    );
  }
  return true;
}

/**
 * A state that an earlier release has saved names no guests. Its values belong to the guest that is
 * there as long as this guest has them.
 */
function isAsLastSeen(record: GuestRecord | undefined, config: GuestConfig): boolean {
  const before = record?.known;
  return before === undefined || isExactly(before, config);
}

/** What was changed only for a while and is not undone now: an admin may want to know. */
function debtsOf(record: GuestRecord): string {
  const words: string[] = [];
  for (const resource of ['cores', 'memory'] as const) {
    const unit = resource === 'memory' ? ' MB' : ' cores';
    const { boost, offPeak: taken } = record[resource];
    if (boost !== undefined) {
      words.push(`a boost to ${boost.boosted}${unit} (${boost.before}${unit} before)`);
    }
    if (taken !== undefined && taken.givenBackMs === undefined) {
      words.push(`what the off-peak time has taken (${taken.before}${unit} before)`);
    }
  }
  return words.length === 0 ? '' : `, nor ${words.join(', nor ')}`;
}
