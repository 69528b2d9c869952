import { join } from 'node:path/posix';
import type { ClusterView, GroupGuest } from '../../../core/groups/group-view.ts';
import { missing, present, type Reading } from '../../../core/reading.ts';
import type { Vmid } from '../../../core/units.ts';
import { createFileReader, type ReadSmallFile } from '../../../os/file-reader.ts';
import {
  EMPTY_SECTION,
  isProtected,
  isVolume,
  sectionsOf,
  sizeMibIn,
  snapshotsIn,
  storagesOf,
} from '../../guests/conf-sections.ts';
import { GUEST_CONFIG_LIMIT_BYTES, parseGuestConfig } from '../../guests/lxc-conf.ts';
import type { Cluster } from '../../port.ts';
import type { Paths } from '../paths.ts';
import { ByVersion, PveInventory } from './pve-inventory.ts';
import type { ListedGuest } from './vmlist-file.ts';

/**
 * The configurations of all guests of the cluster, for groups: which ids and addresses are in use
 * anywhere, and which containers are members. Read again if the version is another, and in turn.
 */
export function createCluster(paths: Paths, inventory = new PveInventory(paths)): Cluster {
  return new PveCluster(paths, inventory);
}

interface Known {
  readonly guest: Reading<GroupGuest> | undefined;
  readonly addresses: readonly string[];
}

class PveCluster implements Cluster {
  readonly #paths: Paths;
  readonly #inventory: PveInventory;
  readonly #readFile: ReadSmallFile;
  readonly #known = new ByVersion<Known>();

  constructor(paths: Paths, inventory: PveInventory) {
    this.#paths = paths;
    this.#readFile = createFileReader(GUEST_CONFIG_LIMIT_BYTES, paths.files);
    this.#inventory = inventory;
  }

  read(): Reading<ClusterView> {
    const { epoch, node, guests: listed } = this.#inventory.look();
    this.#known.begin(epoch);
    if (!listed.ok) return listed;
    const guests = new Map<Vmid, Reading<GroupGuest>>();
    const addresses = new Set<string>();
    let unread: string | undefined;
    for (const one of listed.value.values()) {
      const known = this.#guest(one);
      if (!known.ok) {
        // Just gone, or on its way to another node: neither is a reason to hold everything up.
        if (known.why !== 'absent') unread = known.detail;
        if (one.type !== 'qemu') guests.set(one.vmid, known);
        continue;
      }
      if (known.value.guest !== undefined) guests.set(one.vmid, known.value.guest);
      for (const address of known.value.addresses) addresses.add(address);
    }
    this.#known.keepOnly((vmid) => listed.value.has(vmid));
    const why = `not all addresses in use are known: ${unread}`;
    return present({
      node,
      guests,
      nodeOf: new Map([...listed.value].map(([vmid, one]) => [vmid, one.node])),
      takenIds: new Set(listed.value.keys()),
      usedAddresses: unread === undefined ? present(addresses) : missing('unreadable', why),
      storageTypes: this.#storageTypes(),
    });
  }

  quorum(): Reading<boolean> {
    return this.#inventory.quorum();
  }

  #storageTypes(): ReadonlyMap<string, string> {
    const file = this.#readFile(join(this.#paths.pveDir, 'storage.cfg'));
    return file.ok ? storageTypesIn(file.value.toString('utf8')) : new Map();
  }

  #guest(listed: ListedGuest): Reading<Known> {
    const known = this.#known.get(listed);
    if (known !== undefined) return present(known);
    const { vmid, node, type } = listed;
    const directory = type === 'qemu' ? 'qemu-server' : 'lxc';
    const path = join(this.#paths.pveDir, 'nodes', node, directory, `${vmid}.conf`);
    const file = this.#readFile(path);
    if (!file.ok) return file;
    const text = file.value.toString('utf8');
    const guest = type === 'qemu' ? undefined : parseGroupGuest(vmid, node, file.value);
    const value = { guest, addresses: addressesIn(text) };
    this.#known.set(listed, value);
    return present(value);
  }
}

/** `dir: local` begins a section, and its settings are indented. */
function storageTypesIn(text: string): ReadonlyMap<string, string> {
  const heads = text.matchAll(/^([a-z]+):[ \t]*([A-Za-z][A-Za-z0-9_.-]{0,99})[ \t]*$/gm);
  return new Map([...heads].map(([, type = '', name = '']) => [name, type]));
}

/**
 * Every IPv4 address that a guest is configured with, in all sections, since a rollback brings an
 * old one back; gateways too. What a description says counts for nothing: anybody may write one.
 */
function addressesIn(text: string): readonly string[] {
  const found = text
    .replace(/^#.*$/gm, '')
    .matchAll(/[=, ](?:ip|gw)=([0-9]{1,3}(?:\.[0-9]{1,3}){3})/g);
  return [...found].map(([, address = '']) => address);
}

/** Of which a member must not keep what its source has. */
const SETTINGS = new Set(['cores', 'cpulimit', 'cpuunits', 'memory', 'swap', 'onboot', 'startup']);

/** One configuration. What is wrong in it is as wrong here as it is for `parseGuestConfig`. */
export function parseGroupGuest(
  vmid: Vmid,
  node: string,
  content: Uint8Array,
): Reading<GroupGuest> {
  const config = parseGuestConfig(vmid, content);
  if (!config.ok) return config;
  return present(groupGuest(config.value, node, content));
}

function groupGuest(config: GroupGuest['config'], node: string, content: Uint8Array): GroupGuest {
  const { vmid, name, tags, lock, template, memoryMib } = config;
  const sections = sectionsOf(Buffer.from(content).toString('utf8'));
  const [live = EMPTY_SECTION, ...others] = sections;
  const nets = [...live.values].filter(([key]) => /^net[0-9]+$/.test(key));
  return {
    vmid,
    config,
    node,
    lock,
    template,
    memoryMib,
    hostname: name,
    tags: tags.map((tag) => tag.toLowerCase()),
    digest: config.digest,
    description: live.lines,
    protection: isProtected(live),
    nets: new Map(nets),
    snapshots: snapshotsIn(others),
    settings: new Map([...live.values].filter(([key]) => SETTINGS.has(key))),
    disk: diskOf(live.values),
    storages: storagesOf(live.values),
  };
}

/** The storage of the root disk, and the size of all disks; undefined if that does not stand. */
function diskOf(values: ReadonlyMap<string, string>): GroupGuest['disk'] {
  const storage = /^([A-Za-z][A-Za-z0-9_.-]*):/.exec(values.get('rootfs') ?? '')?.[1];
  if (storage === undefined) return undefined;
  let mib = 0;
  for (const [key, value] of values) {
    if (!isVolume(key)) continue;
    const size = sizeMibIn(value);
    if (size === undefined) return undefined;
    mib += size ?? 0;
  }
  return { storage, mib: Math.ceil(mib) };
}
