import { isDisk, volumeOf } from '../core/groups/disk-wish.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import type { GroupEyes, GuestNow } from '../node/port.ts';

/** Whether the copy of a guest has room on the storages of its disks. */

/** What a full copy takes of one storage, in MiB. */
export interface CopyNeed {
  readonly storage: string;
  readonly mib: number;
  /** Of that the root file system, of which the node knows how much is written. */
  readonly rootMib: number;
}

/** Of each storage, all its disks together; missing if the size of one is not known. */
export function copyNeeds({ values, sizes }: GuestNow): Reading<readonly CopyNeed[]> {
  const needs = new Map<string, CopyNeed>();
  for (const [key, value] of values) {
    const volume = isDisk(key, value) ? volumeOf(values, key) : undefined;
    if (volume === undefined) continue;
    const mib = sizes.get(key);
    if (mib === undefined) return missing('malformed', `the size of ${key} is not known`);
    const storage = volume.slice(0, volume.indexOf(':'));
    const before = needs.get(storage) ?? { storage, mib: 0, rootMib: 0 };
    const rootMib = key === 'rootfs' ? mib : before.rootMib;
    needs.set(storage, { storage, mib: before.mib + mib, rootMib });
  }
  return present([...needs.values()]);
}

/** Why a copy has no room, as a sentence that goes on; undefined: it has. */
export async function whyNoRoom(
  eyes: Pick<GroupEyes, 'storageRooms'>,
  source: Vmid,
  needs: readonly CopyNeed[],
): Promise<string | undefined> {
  const roomOn = await eyes.storageRooms(source);
  for (const { storage, mib, rootMib } of needs) {
    const room = roomOn(storage);
    if (!room.ok) return `the room on ${storage} is not known: ${room.detail}`;
    const { freeMib, thin, sourceUsedMib = rootMib } = room.value;
    const needMib = thin ? mib - rootMib + Math.min(rootMib, sourceUsedMib) : mib;
    if (needMib <= freeMib) continue;
    const [free, need] = [Math.floor(freeMib), Math.ceil(needMib)];
    return `the storage ${storage} has ${free} MB left, and it needs ${need} MB`;
  }
  return undefined;
}
