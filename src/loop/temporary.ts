import type { GuestRecord } from '../core/guest-record.ts';
import { guestLabel, guestNoun, LONGEST_NAME } from '../core/guest-words.ts';
import { isSameGuest } from '../core/identity.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import type { ContainerObservation, GuestConfig } from '../core/observation.ts';
import { plainText } from '../core/plain-text.ts';
import type { Management } from '../core/policy.ts';
import type { Instant } from '../core/saved-state.ts';
import { describeTemporary, takeTemporary, temporaryOf } from '../core/temporary.ts';
import type { Vmid } from '../core/units.ts';
import type { TemporaryRecords } from '../node/port.ts';
import type { World } from '../ports.ts';

/**
 * What was changed of a guest only for a while is on record where all nodes of the cluster see it,
 * before it is changed and until it is undone. The node to which the guest is migrated undoes it.
 */

const instantOf = ({ clock }: World): Instant => ({
  nowMs: clock.monotonicMs(),
  wallMs: clock.wallMs(),
});

/** Takes over what is on record of guests that are seen for the first time. */
export function takeOverTemporary(
  world: World,
  state: LoopState,
  containers: readonly ContainerObservation[],
  manage: (config: GuestConfig) => Management,
  dryRun: boolean,
): void {
  const { temporary } = world;
  if (temporary === undefined) return;
  for (const { vmid, config } of containers) {
    if (!config.ok) continue;
    const record = recordOf(state, vmid);
    record.recorded ??= takeOver(world, temporary, record, config.value, manage, dryRun);
  }
  if (state.cycle === 1 && !dryRun) removeOfDestroyed(temporary);
}

/** Returns what is on record now. */
function takeOver(
  world: World,
  temporary: TemporaryRecords,
  guest: GuestRecord,
  config: GuestConfig,
  manage: (config: GuestConfig) => Management,
  dryRun: boolean,
): string {
  const { vmid, identity } = config;
  const { log } = world;
  const found = temporary.read(vmid);
  const about = { component: 'observe', vmid, event: 'temporary' } as const;
  if (!found.ok) {
    if (found.why !== 'absent') log.warn(`Left out: ${found.detail}`, about);
    return found.why === 'absent' ? '' : DAMAGED;
  }
  const record = found.value;
  const who = `${guestLabel(config)} (${plainText(config.name, LONGEST_NAME)})`;
  const what = `${describeTemporary(record)}, given by node ${plainText(record.node, 64)}`;
  if (!isSameGuest(identity, record.guest)) {
    log.info(`${who} is not the guest that has ${what}, so nothing of it is undone here`, about);
    return dryRun || temporary.write(vmid, undefined).ok ? '' : DAMAGED;
  }
  // What this node has given itself it remembers, with all that has come of it since.
  if (record.node === temporary.node && temporaryOf(guest, '', instantOf(world))) {
    return JSON.stringify(record);
  }
  takeTemporary(guest, record, instantOf(world));
  const management = manage(config);
  const isLeft = management.kind === 'ignored' || management.mode === 'observe';
  const end = isLeft
    ? `This node does not change this ${guestNoun(config)}, so please undo it by hand`
    : 'It is undone here in time';
  log.info(`${who} has ${what}. ${end}.`, about);
  return JSON.stringify(record);
}

/** No record of ours has this text, so it is written anew or removed. */
const DAMAGED = '?';

function removeOfDestroyed(temporary: TemporaryRecords): void {
  for (const vmid of temporary.all()) {
    const node = temporary.nodeOf(vmid);
    if (node.ok && node.value === undefined) temporary.write(vmid, undefined);
  }
}

/** Tells of a guest that has left this node with something that is to be undone. */
export function logDeparted(
  { temporary, log }: World,
  { recorded = '', running }: GuestRecord,
  vmid: Vmid,
): void {
  if (temporary === undefined || recorded === '') return;
  const node = temporary.nodeOf(vmid);
  const record = temporary.read(vmid);
  // That of a destroyed one is removed at the next start, or where its id is given away again.
  if (!node.ok || node.value === undefined || !record.ok) return;
  log.warn(
    `${guestLabel({ vmid, kind: running?.kind })} went to node ${plainText(node.value, 64)} with ` +
      `${describeTemporary(record.value)}. An lxc-autoscale that runs there undoes it; ` +
      'if none does, please undo it by hand.',
    { component: 'observe', vmid, event: 'temporary' },
  );
}

/**
 * Brings the record of a guest up to date.
 *
 * @returns why it cannot be written; then nothing may be changed for a while only
 */
export function keepTemporary(world: World, state: LoopState, vmid: Vmid): string | undefined {
  const { temporary } = world;
  if (temporary === undefined) return undefined;
  const guest = recordOf(state, vmid);
  const record = temporaryOf(guest, temporary.node, instantOf(world));
  const text = record === undefined ? '' : JSON.stringify(record);
  if (isAsRecorded(guest.recorded ?? '', text)) return undefined;
  const written = temporary.write(vmid, record);
  if (!written.ok) return written.message;
  guest.recorded = text;
  return undefined;
}

/** A wall clock that is being set shifts the end of a boost a little; that needs no write. */
function isAsRecorded(before: string, now: string): boolean {
  const times = /"endWallMs":([0-9]+)/g;
  if (before === now) return true;
  if (before.replace(times, '') !== now.replace(times, '')) return false;
  const ends = (text: string): readonly number[] =>
    [...text.matchAll(times)].map(([, end]) => Number(end));
  const later = ends(now);
  return ends(before).every((end, index) => Math.abs(end - (later[index] ?? 0)) < 10_000);
}

/** After a cycle: what is undone, or was overruled by a hand, is taken off the record. */
export function keepAllTemporary(world: World, state: LoopState): void {
  for (const [vmid, { recorded = '' }] of state.guests) {
    if (recorded !== '') keepTemporary(world, state, vmid);
  }
}
