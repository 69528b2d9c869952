import { readdirSync } from 'node:fs';
import { join } from 'node:path/posix';
import type { GuestConfig } from '../core/observation.ts';
import type { Reading } from '../core/reading.ts';
import { missing, present } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import { parseVmid } from '../core/units.ts';
import type { GuestFile, Guests } from '../node/port.ts';
import type { ReadSmallFile } from './file-reader.ts';
import { createFileReader } from './file-reader.ts';
import { GUEST_CONFIG_LIMIT_BYTES, parseGuestConfig } from './guest-config-files.ts';
import { readQuorum } from './members-file.ts';
import { errorCode, missingBecause } from './os-error.ts';
import { noNode, type Paths } from './paths.ts';
import { ClusterStart } from './version-file.ts';
import { parseVmlist } from './vmlist-file.ts';

/** So many that run fit into the memory that the unit file allows. */
const MOST_GUESTS = 10_000;

function tooMany(count: number): Reading<never> | undefined {
  if (count <= MOST_GUESTS) return undefined;
  const most = `this program is made for at most ${MOST_GUESTS}`;
  return missing('implausible', `this node has ${count} containers, and ${most}`);
}

interface CachedConfig {
  readonly version: number;
  readonly config: GuestConfig;
}

/**
 * The containers of this node from `/etc/pve`, where every read costs many times that of a plain
 * file. On a quiet node a cycle reads `.version` and `.vmlist`, and no configuration at all.
 */
export function createGuests(paths: Paths): Guests {
  return new PveGuests(paths);
}

class PveGuests implements Guests {
  readonly #paths: Paths;
  readonly #readFile: ReadSmallFile = createFileReader(GUEST_CONFIG_LIMIT_BYTES);
  readonly #cache = new Map<Vmid, CachedConfig>();
  readonly #start: ClusterStart;
  #node: string | undefined;

  constructor(paths: Paths) {
    this.#paths = paths;
    this.#start = new ClusterStart(paths, this.#readFile);
  }

  list(): Reading<ReadonlyMap<Vmid, Reading<GuestConfig>>> {
    this.#noticeRestart();
    this.#node ??= this.#paths.nodeName();
    const vmlist = this.#readFile(this.#paths.vmlist);
    const versions = vmlist.ok ? parseVmlist(vmlist.value.toString('utf8'), this.#node) : undefined;
    if (versions === undefined) return this.#listDirectory();
    return tooMany(versions.size) ?? present(this.#listChanged(versions));
  }

  read(vmid: Vmid): Reading<GuestFile> {
    const path = this.#paths.guestConfig(vmid);
    const file = this.#readFile(path);
    if (!file.ok) return file;
    const config = parseGuestConfig(vmid, file.value);
    if (!config.ok) return config;
    // Where a file was changed past the cluster file system (a restored or simulated tree), its
    // version did not rise. Seeing it here once keeps `list` from telling the old values for ever.
    const cached = this.#cache.get(vmid);
    if (cached !== undefined && cached.config.digest !== config.value.digest) {
      this.#cache.set(vmid, { version: cached.version, config: config.value });
    }
    return present({ config: config.value, content: new Uint8Array(file.value) });
  }

  quorum(): Reading<boolean> {
    return readQuorum(this.#paths, this.#readFile);
  }

  /** Drops what is known when the cluster file system was restarted, or came up only now. */
  #noticeRestart(): void {
    if (!this.#start.isAnother()) return;
    this.#node = undefined;
    this.#cache.clear();
  }

  #listChanged(versions: ReadonlyMap<Vmid, number>): Map<Vmid, Reading<GuestConfig>> {
    for (const vmid of [...this.#cache.keys()]) {
      if (!versions.has(vmid)) this.#cache.delete(vmid);
    }
    const directory = new LazyDirectory(this.#paths);
    const guests = new Map<Vmid, Reading<GuestConfig>>();
    for (const [vmid, version] of versions) {
      const cached = this.#cache.get(vmid);
      if (cached?.version === version) {
        guests.set(vmid, present(cached.config));
        continue;
      }
      const config = this.#readConfig(vmid, directory.path);
      if (config.ok) this.#cache.set(vmid, { version, config: config.value });
      else this.#cache.delete(vmid);
      guests.set(vmid, config);
    }
    return guests;
  }

  /** Without a usable `.vmlist`: every configuration of the directory, each read anew. */
  #listDirectory(): Reading<ReadonlyMap<Vmid, Reading<GuestConfig>>> {
    this.#cache.clear();
    this.#node = undefined;
    const directory = this.#paths.guestDirectory();
    const names = listNames(directory);
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

function listNames(directory: string): Reading<readonly string[]> {
  try {
    return present(readdirSync(directory));
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') return missingBecause(error, directory);
    return missing('absent', noNode(directory));
  }
}
