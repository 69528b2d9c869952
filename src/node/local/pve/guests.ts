import { join } from 'node:path/posix';
import type { GuestConfig } from '../../../core/observation.ts';
import type { Reading } from '../../../core/reading.ts';
import { missing, present } from '../../../core/reading.ts';
import type { Vmid } from '../../../core/units.ts';
import { parseVmid } from '../../../core/units.ts';
import type { ReadSmallFile } from '../../../os/file-reader.ts';
import { createFileReader } from '../../../os/file-reader.ts';
import { errorCode, missingBecause } from '../../../os/os-error.ts';
import { GUEST_CONFIG_LIMIT_BYTES, parseGuestConfig } from '../../guests/lxc-conf.ts';
import type { GuestFile, Guests } from '../../port.ts';
import { noNode, type Paths } from '../paths.ts';
import { ByVersion, PveInventory } from './pve-inventory.ts';
import type { ListedGuest } from './vmlist-file.ts';

/** So many that run fit into the memory that the unit file allows. */
const MOST_GUESTS = 10_000;

function tooMany(count: number): Reading<never> | undefined {
  if (count <= MOST_GUESTS) return undefined;
  const most = `this program is made for at most ${MOST_GUESTS}`;
  return missing('implausible', `this node has ${count} containers, and ${most}`);
}

/**
 * The containers of this node from `/etc/pve`. On a quiet node a cycle takes one look at the
 * inventory, and reads a few configurations again, those that were read longest ago.
 */
export function createGuests(paths: Paths, inventory = new PveInventory(paths)): Guests {
  return new PveGuests(paths, inventory);
}

type Configs = ReadonlyMap<Vmid, Reading<GuestConfig>>;

class PveGuests implements Guests {
  readonly #paths: Paths;
  readonly #inventory: PveInventory;
  readonly #readFile: ReadSmallFile;
  readonly #known = new ByVersion<GuestConfig>();
  /** What was listed last, of which inventory; undefined if some of it is to be read again. */
  #listed: { readonly of: unknown; readonly configs: Reading<Configs> } | undefined;

  constructor(paths: Paths, inventory: PveInventory) {
    this.#paths = paths;
    this.#readFile = createFileReader(GUEST_CONFIG_LIMIT_BYTES, paths.files);
    this.#inventory = inventory;
  }

  list(): Reading<Configs> {
    const { epoch, node, guests } = this.#inventory.look();
    if (this.#known.begin(epoch)) this.#listed = undefined;
    if (!guests.ok) return this.#listDirectory();
    if (this.#listed?.of === guests.value) return this.#listed.configs;
    const own = [...guests.value.values()].filter((one) => one.type === 'lxc' && one.node === node);
    return tooMany(own.length) ?? this.#listChanged(guests.value, own);
  }

  read(vmid: Vmid): Reading<GuestFile> {
    const path = this.#paths.guestConfig(vmid);
    const file = this.#readFile(path);
    if (!file.ok) return file;
    const config = parseGuestConfig(vmid, file.value);
    if (!config.ok) return config;
    // Where a file was changed past the cluster file system (a restored or simulated tree), its
    // version did not rise. Seeing it here once keeps `list` from telling the old values for ever.
    this.#known.replace(vmid, (before) => {
      if (before.digest === config.value.digest) return before;
      this.#listed = undefined;
      return config.value;
    });
    return present({ config: config.value, content: new Uint8Array(file.value) });
  }

  quorum(): Reading<boolean> {
    return this.#inventory.quorum();
  }

  #listChanged(of: unknown, own: readonly ListedGuest[]): Reading<Configs> {
    const directory = new LazyDirectory(this.#paths);
    const configs = new Map<Vmid, Reading<GuestConfig>>();
    let isWhole = true;
    for (const guest of own) {
      const known = this.#known.get(guest);
      const config = known ? present(known) : this.#readConfig(guest.vmid, directory.path);
      if (!config.ok) isWhole = false;
      else if (known === undefined) this.#known.set(guest, config.value);
      configs.set(guest.vmid, config);
    }
    this.#known.keepOnly((vmid) => configs.get(vmid)?.ok === true);
    const all = present(configs);
    this.#listed = isWhole ? { of, configs: all } : undefined;
    return all;
  }

  /** Without a usable `.vmlist`: every configuration of the directory, each read anew. */
  #listDirectory(): Reading<Configs> {
    this.#known.keepOnly(() => false);
    this.#listed = undefined;
    const directory = this.#paths.guestDirectory();
    const names = listNames(directory, this.#paths);
    if (!names.ok) return names;
    const vmids = names.value
      .map((name) => (name.endsWith('.conf') ? parseVmid(name.slice(0, -5)) : undefined))
      .filter((vmid): vmid is Vmid => vmid !== undefined)
      .sort((one, other) => one - other);
    const refused = tooMany(vmids.length);
    if (refused !== undefined) return refused;
    return present(new Map(vmids.map((vmid) => [vmid, this.#readConfig(vmid, directory)])));
  }

  #readConfig(vmid: Vmid, directory: string): Reading<GuestConfig> {
    const file = this.#readFile(join(directory, `${vmid}.conf`));
    return file.ok ? parseGuestConfig(vmid, file.value) : file;
  }
}

/** Finds the directory of the configurations only when one has to be read. */
class LazyDirectory {
  readonly #paths: Paths;
  #found: string | undefined;

  constructor(paths: Paths) {
    this.#paths = paths;
  }

  get path(): string {
    this.#found ??= this.#paths.guestDirectory();
    return this.#found;
  }
}

function listNames(directory: string, { files }: Paths): Reading<readonly string[]> {
  try {
    return present(files.names(directory));
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') return missingBecause(error, directory);
    return missing('absent', noNode(directory));
  }
}
