import { memberAddress } from '../../../core/groups/addresses.ts';
import { missing, present, type Reading } from '../../../core/reading.ts';
import { bytes, bytesToMib, type Vmid } from '../../../core/units.ts';
import { asObject } from '../../../os/json-object.ts';
import type { StorageRoom } from '../../port.ts';

/** What `pvesh ... --output-format json` prints, as values. Whatever it is, it is checked first. */

export function parseAnswer(stdout: string): Reading<unknown> {
  try {
    return present(JSON.parse(stdout));
  } catch {
    return missing('malformed', 'pvesh printed no JSON');
  }
}

/** Of `/cluster/nextid`, which answers with the id that was asked for if it is free. */
export const isId = (answer: unknown, vmid: Vmid): boolean =>
  answer === vmid || answer === String(vmid);

/** Storages on which space is taken only as it is written. */
const THIN = new Set(['lvmthin', 'zfspool', 'btrfs', 'rbd']);

/** Of `/cluster/resources`, in which pvestatd keeps the figures of each storage. */
export function storageRoomIn(
  answer: unknown,
  node: string,
  storage: string,
  source: Vmid,
): Reading<StorageRoom> {
  const all = Array.isArray(answer) ? answer.map(asObject) : [];
  const entry = all.find((one) => one?.['id'] === `storage/${node}/${storage}`);
  const { disk, maxdisk, plugintype } = entry ?? {};
  if (!isAmount(disk) || !isAmount(maxdisk)) {
    return missing('absent', `the node ${node} has no figures of a storage ${storage}`);
  }
  const used = all.find((one) => one?.['id'] === `lxc/${source}`)?.['disk'];
  const known = isAmount(used) && used >= 1;
  return present({
    freeMib: bytesToMib(bytes(Math.max(0, maxdisk - disk))),
    thin: typeof plugintype === 'string' && THIN.has(plugintype),
    sourceUsedMib: known ? bytesToMib(bytes(used)) : undefined,
  });
}

/** JSON knows numbers beyond all bounds, such as 1e999: room without end would be one. */
const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;

/** Of `/nodes/NODE/lxc/ID/interfaces`: the first address that can be a member's. */
export function addressIn(answer: unknown, own: ReadonlySet<string>): Reading<string> {
  for (const one of Array.isArray(answer) ? answer.map(asObject) : []) {
    const inet = one?.['inet'];
    const address = typeof inet === 'string' ? memberAddress(inet, own) : undefined;
    if (one?.['name'] !== 'lo' && address !== undefined) return present(address);
  }
  return missing('absent', 'it has no IPv4 address yet');
}
