import type { Vmid } from '../../../core/units.ts';
import { parseVmid } from '../../../core/units.ts';
import { asObject, parseJsonObject } from '../../../os/json-object.ts';

/** One guest of the cluster, as `.vmlist` has it. */
export interface ListedGuest {
  readonly vmid: Vmid;
  readonly node: string;
  /** `lxc`, `qemu`, or what a later Proxmox VE may have besides. */
  readonly type: string;
  /** It rises with every write of the configuration. */
  readonly version: number;
}

/** It becomes part of a path. */
const NODE_NAME = /^[A-Za-z0-9-]{1,63}$/;

/**
 * Reads `/etc/pve/.vmlist`, all guests of the cluster. Returns undefined if the text is
 * malformed in any part, since a guest left out would look destroyed.
 *
 *     { "version": 8, "ids": { "101": { "node": "pve1", "type": "lxc", "version": 10 } } }
 */
export function parseVmlist(text: string): ReadonlyMap<Vmid, ListedGuest> | undefined {
  const ids = asObject(parseJsonObject(text)?.['ids']);
  if (ids === undefined) return undefined;
  const guests = new Map<Vmid, ListedGuest>();
  for (const [id, value] of Object.entries(ids)) {
    const vmid = parseVmid(id);
    const entry = asObject(value);
    if (vmid === undefined || entry === undefined) return undefined;
    const { node, type, version } = entry;
    if (typeof node !== 'string' || !NODE_NAME.test(node) || typeof type !== 'string') {
      return undefined;
    }
    if (typeof version !== 'number' || !Number.isSafeInteger(version)) return undefined;
    guests.set(vmid, { vmid, node, type, version });
  }
  return guests;
}

/**
 * When the cluster file system was started, of `/etc/pve/.version`: with another start, versions
 * count from the beginning and can't be compared with earlier ones.
 */
export function parseStartTime(text: string): number | undefined {
  const startTime = parseJsonObject(text)?.['starttime'];
  return typeof startTime === 'number' ? startTime : undefined;
}
