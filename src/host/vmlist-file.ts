import { missing, present, type Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import { parseVmid } from '../core/units.ts';
import { asObject, parseJsonObject } from './json-object.ts';

/** Containers, and virtual machines. */
export type GuestType = 'lxc' | 'qemu';

/**
 * Reads `/etc/pve/.vmlist`, all guests of the cluster, and returns those of one node and type with
 * their versions. A version rises with every write of the guest's configuration. Returns undefined
 * where the text is malformed in any part, since a guest left out would look destroyed.
 *
 *     { "version": 8, "ids": { "101": { "node": "pve1", "type": "lxc", "version": 10 } } }
 */
export function parseVmlist(
  text: string,
  node: string,
  wanted: GuestType = 'lxc',
): ReadonlyMap<Vmid, number> | undefined {
  const ids = asObject(parseJsonObject(text)?.['ids']);
  if (ids === undefined) return undefined;
  const versions = new Map<Vmid, number>();
  for (const [id, value] of Object.entries(ids)) {
    const vmid = parseVmid(id);
    const entry = asObject(value);
    if (vmid === undefined || entry === undefined) return undefined;
    const { node: itsNode, type, version } = entry;
    if (typeof itsNode !== 'string' || typeof type !== 'string') return undefined;
    if (typeof version !== 'number' || !Number.isSafeInteger(version)) return undefined;
    if (type === wanted && itsNode === node) versions.set(vmid, version);
  }
  return versions;
}

/**
 * The node that a guest is on, of any type; undefined where the cluster has none with this id.
 * Missing where the text is malformed: it says nothing of any guest then.
 */
export function nodeOfGuest(text: string, vmid: Vmid): Reading<string | undefined> {
  const ids = asObject(parseJsonObject(text)?.['ids']);
  if (ids === undefined) return missing('malformed', '.vmlist lists no guests');
  const node = asObject(ids[String(vmid)])?.['node'];
  if (ids[String(vmid)] === undefined) return present(undefined);
  return typeof node === 'string' ? present(node) : missing('malformed', `.vmlist: ${vmid}`);
}

/**
 * When the cluster file system was started, of `/etc/pve/.version`: with another start, versions
 * count from the beginning and can't be compared with earlier ones.
 */
export function parseStartTime(text: string): number | undefined {
  const startTime = parseJsonObject(text)?.['starttime'];
  return typeof startTime === 'number' ? startTime : undefined;
}
