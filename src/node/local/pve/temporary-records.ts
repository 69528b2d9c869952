import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path/posix';
import { missing, present } from '../../../core/reading.ts';
import { parseTemporary } from '../../../core/temporary.ts';
import { parseVmid, type Vmid } from '../../../core/units.ts';
import { makeDirectories, refuseLink } from '../../../os/directories.ts';
import { temporaryName, writeDurably } from '../../../os/durable-file.ts';
import { parseJsonObject } from '../../../os/json-object.ts';
import { describeError } from '../../../os/os-error.ts';
import { readRegularFile } from '../../../os/regular-file.ts';
import type { TemporaryRecords } from '../../port.ts';
import type { Paths } from '../paths.ts';
import { PveInventory } from './pve-inventory.ts';

/**
 * What was changed of guests only for a while: a small file each below `/etc/pve/priv`, which root
 * alone may enter and which every node of the cluster has. A write there is replicated, so it is
 * made only where something begins or ends.
 */

export const RECORDS = 'priv/lxc_autoscale/guests';
const LIMIT_BYTES = 64 * 1024;

export function createTemporaryRecords(
  paths: Paths,
  node: string,
  inventory = new PveInventory(paths),
): TemporaryRecords {
  const directory = join(paths.pveDir, RECORDS);
  return {
    node,
    read(vmid) {
      const path = join(directory, `${vmid}.json`);
      const file = readRegularFile(path, LIMIT_BYTES);
      if (!file.ok) return file;
      const record = parseTemporary(parseJsonObject(file.value.toString('utf8')));
      return record ? present(record) : missing('malformed', `${path}: is damaged`);
    },
    write(vmid, record) {
      const name = `${vmid}.json`;
      try {
        if (record === undefined) {
          rmSync(join(directory, name), { force: true });
          return { ok: true };
        }
        makeDirectories(directory, 0o700);
        refuseLink(directory);
        rmSync(join(directory, temporaryName(name)), { force: true });
        writeDurably(directory, name, Buffer.from(`${JSON.stringify(record)}\n`));
        return { ok: true };
      } catch (error) {
        return { ok: false, message: `${join(directory, name)}: ${describeError(error)}` };
      }
    },
    all: () => vmidsIn(directory),
    nodeOf(vmid) {
      const { guests } = inventory.look();
      return guests.ok ? present(guests.value.get(vmid)?.node) : guests;
    },
  };
}

function vmidsIn(directory: string): readonly Vmid[] {
  try {
    return readdirSync(directory)
      .map((name) => (name.endsWith('.json') ? parseVmid(name.slice(0, -5)) : undefined))
      .filter((vmid): vmid is Vmid => vmid !== undefined);
  } catch {
    return [];
  }
}
