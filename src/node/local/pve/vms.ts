import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path/posix';
import { missing, present, type Reading } from '../../../core/reading.ts';
import { type Mib, mib, parseVmid, type Vmid } from '../../../core/units.ts';
import { createFileReader, type ReadSmallFile } from '../../../os/file-reader.ts';
import { missingBecause } from '../../../os/os-error.ts';
import { GUEST_CONFIG_LIMIT_BYTES } from '../../guests/lxc-conf.ts';
import type { Paths } from '../paths.ts';
import { ByVersion, PveInventory } from './pve-inventory.ts';
import type { ListedGuest } from './vmlist-file.ts';

/** The virtual machines beside the containers: they too were promised memory of the host. */

export interface RunningVms {
  /**
   * `memory:` of all VMs of this node that run now, together. Missing as a whole where that of one
   * of them is not known, since too small a sum would hand out what is promised already.
   */
  memoryMib(): Reading<Mib>;
}

/** Proxmox VE's own, where the configuration has no `memory:` line. */
const DEFAULT_MEMORY_MIB = 512;
const SMALLEST_MEMORY_MIB = 16;
/** 2^53 bytes, beyond which bytes are no longer exact. */
const LARGEST_MEMORY_MIB = 2 ** 33;

/**
 * A VM runs while its scope is below `qemu.slice`. Where none does, nothing of `/etc/pve` is read;
 * otherwise the inventory, and of the configurations those that have changed.
 */
export function createRunningVms(paths: Paths, inventory = new PveInventory(paths)): RunningVms {
  return new CachedVms(paths, inventory);
}

class CachedVms implements RunningVms {
  readonly #paths: Paths;
  readonly #inventory: PveInventory;
  readonly #readFile: ReadSmallFile = createFileReader(GUEST_CONFIG_LIMIT_BYTES);
  readonly #known = new ByVersion<number>();

  constructor(paths: Paths, inventory: PveInventory) {
    this.#paths = paths;
    this.#inventory = inventory;
  }

  memoryMib(): Reading<Mib> {
    const vmids = runningVmids(this.#paths.qemuSlice);
    if (!vmids.ok) return vmids;
    if (vmids.value.length === 0) {
      this.#known.keepOnly(() => false);
      return present(mib(0));
    }
    const { epoch, node, guests } = this.#inventory.look();
    this.#known.begin(epoch);
    let sum = 0;
    for (const vmid of vmids.value) {
      const listed = guests.ok ? guests.value.get(vmid) : undefined;
      const isOurs = listed?.type === 'qemu' && listed.node === node;
      const memory = this.#memoryOf(vmid, isOurs ? listed : undefined);
      if (!memory.ok) return memory;
      sum += memory.value;
    }
    this.#known.keepOnly((vmid) => vmids.value.includes(vmid));
    return present(mib(sum));
  }

  /** @param listed undefined if it is not listed: then its configuration is read anew */
  #memoryOf(vmid: Vmid, listed: ListedGuest | undefined): Reading<number> {
    const known = listed && this.#known.get(listed);
    if (known !== undefined) return present(known);
    // One that migrates in runs here while its configuration is still another node's: not found.
    const path = join(this.#paths.vmDirectory(), `${vmid}.conf`);
    const file = this.#readFile(path);
    if (!file.ok) return missing(file.why, `a virtual machine runs, and ${file.detail}`);
    const memoryMib = parseVmMemory(file.value.toString('latin1'));
    if (memoryMib === undefined) {
      return missing('malformed', `${path}: the memory of a virtual machine is not to be found`);
    }
    if (listed !== undefined) this.#known.set(listed, memoryMib);
    return present(memoryMib);
  }
}

/** By the scopes below `qemu.slice`, which is not there before the first VM was started. */
function runningVmids(slice: string): Reading<readonly Vmid[]> {
  try {
    if (statSync(slice, { throwIfNoEntry: false }) === undefined) return present([]);
    const vmids: Vmid[] = [];
    for (const name of readdirSync(slice)) {
      const vmid = name.endsWith('.scope') ? parseVmid(name.slice(0, -6)) : undefined;
      if (vmid !== undefined) vmids.push(vmid);
    }
    return present(vmids);
  } catch (error) {
    const failed = missingBecause(error, slice);
    // The last VM was stopped, and the slice went with it, between the two calls.
    return failed.why === 'absent' ? present([]) : failed;
  }
}

/**
 * `memory:` of the live section of a VM's configuration, in MiB: `2048` or `current=2048`, and 512
 * where there is no such line. undefined if it says something else, or the text says nothing.
 * Source of the form: qm.conf(5).
 */
export function parseVmMemory(text: string): number | undefined {
  const live = text.split(/^\[.+\][^\S\n]*$/m, 1)[0] ?? '';
  if (!/^[a-z]\w*:/m.test(live)) return undefined;
  const value = [...live.matchAll(/^memory:(.*)$/gm)].at(-1)?.[1];
  if (value === undefined) return DEFAULT_MEMORY_MIB;
  const digits = /^(?:current=)?([1-9][0-9]{0,15})$/.exec(value.trim())?.[1];
  const memoryMib = digits === undefined ? -1 : Number(digits);
  if (memoryMib < SMALLEST_MEMORY_MIB || memoryMib > LARGEST_MEMORY_MIB) return undefined;
  return memoryMib;
}
