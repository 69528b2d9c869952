import { forgetLearnt } from '../core/follow-connection.ts';
import { endLife, type GuestRecord } from '../core/guest-record.ts';
import { guestInside, guestLabel } from '../core/guest-words.ts';
import { isSameGuest } from '../core/identity.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { Vmid } from '../core/units.ts';
import type { World } from '../ports.ts';

/**
 * A guest that goes from one node of this program to another keeps what is known of it: boosts
 * that are to end, cooldowns, what was learnt, its backups.
 */

export interface NodeOfProgram {
  readonly name: string;
  readonly world: World;
  readonly state: LoopState;
}

/**
 * To be called when `here` was looked at and before it decides.
 *
 * @param moveBackups returns why they could not go
 */
export function takeOverMigrated<Node extends NodeOfProgram>(
  here: Node,
  all: readonly Node[],
  moveBackups: (vmid: Vmid, from: Node) => string | undefined,
): void {
  const others = all.filter((node) => node !== here && mayHaveLost(node));
  const listed = others.length > 0 ? here.world.guests.list() : undefined;
  if (listed?.ok !== true) return;
  for (const other of others) {
    for (const [vmid, record] of other.state.guests) {
      const config = listed.value.get(vmid);
      if (config?.ok !== true || !isHandedOver(other, vmid, record, config.value)) continue;
      if (!isUntouched(here.state.guests.get(vmid))) continue;
      move(here, other, record, config.value);
      const problem = moveBackups(vmid, other);
      if (problem !== undefined) {
        const remedy = 'Move them by hand to roll back to them.';
        const what = `Backups of ${guestInside(config.value)} were left behind: ${problem}`;
        here.world.log.warn(`${what}. ${remedy}`, { component: 'observe', vmid });
      }
    }
  }
}

/** Most looks find all guests where they were, so that this costs nothing then. */
const mayHaveLost = ({ state }: NodeOfProgram): boolean =>
  [...state.guests.values()].some(({ awaySinceMs }) => awaySinceMs !== undefined);

/** It is gone there by that node's own word, and nothing of a change is under way there. */
function isHandedOver(
  { world }: NodeOfProgram,
  vmid: Vmid,
  { identity, awaySinceMs, intended, unsettled }: GuestRecord,
  config: GuestConfig,
): boolean {
  if (awaySinceMs === undefined || intended !== undefined || unsettled !== undefined) return false;
  const there = world.guests.list();
  return there.ok && !there.value.has(vmid) && isSameGuest(identity, config.identity);
}

/** What it was given since it came would be forgotten otherwise. */
const isUntouched = (record: GuestRecord | undefined): boolean =>
  record === undefined ||
  (record.lastChange === undefined && record.intended === undefined && !isLent(record));

const isLent = ({ cores, memory }: GuestRecord): boolean =>
  [cores, memory].some(({ boost, offPeak }) => boost !== undefined || offPeak !== undefined);

function move(
  here: NodeOfProgram,
  from: NodeOfProgram,
  record: GuestRecord,
  config: GuestConfig,
): void {
  const { vmid } = config;
  from.state.guests.delete(vmid);
  endLife(record, here.world.clock.monotonicMs());
  if (from.state.connection?.by !== here.state.connection?.by) forgetLearnt(record);
  record.awaySinceMs = undefined;
  record.running = undefined;
  // What it has now was not necessarily given by us; it is nobody's hand.
  record.known = undefined;
  // From now on this record says what is to be undone, and no other daemon has to.
  if (here.world.temporary === undefined && (record.recorded ?? '') !== '') {
    from.world.temporary?.write(vmid, undefined);
    record.recorded = undefined;
  }
  here.state.guests.set(vmid, record);
  const about = { component: 'observe', vmid, event: 'migrated' } as const;
  const what = `${guestLabel(config)} (${config.name}) came from ${from.name}`;
  here.world.log.info(`${what}: what is known of it came with it.`, about);
}
