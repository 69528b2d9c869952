import { join } from 'node:path/posix';
import type { ClusterView, GroupGuest } from '../core/groups/group-view.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import { parseVmid, type Vmid } from '../core/units.ts';
import type { Cluster } from '../node/port.ts';
import { createFileReader, type ReadSmallFile } from './file-reader.ts';
import { GUEST_CONFIG_LIMIT_BYTES, parseGuestConfig } from './guest-config-files.ts';
import { asObject, parseJsonObject } from './json-object.ts';
import { readQuorum } from './members-file.ts';
import { noNode, type Paths } from './paths.ts';
import { ClusterStart } from './version-file.ts';

/**
 * The configurations of all guests of the cluster, for groups: which ids and addresses are in use
 * anywhere, and which containers are members. Read anew only where `.vmlist` says so.
 */
export function createCluster(paths: Paths): Cluster {
  return new PveCluster(paths);
}

interface Known {
  /** Node, type and version, as `.vmlist` has them. */
  readonly as: string;
  readonly guest: Reading<GroupGuest> | undefined;
  readonly addresses: readonly string[];
}

interface Listed {
  readonly vmid: Vmid;
  readonly node: string;
  readonly type: 'lxc' | 'qemu';
  readonly version: number;
}

class PveCluster implements Cluster {
  readonly #paths: Paths;
  readonly #readFile: ReadSmallFile = createFileReader(GUEST_CONFIG_LIMIT_BYTES);
  #known = new Map<Vmid, Known>();
  readonly #start: ClusterStart;
  #node: string | undefined;

  constructor(paths: Paths) {
    this.#paths = paths;
    this.#start = new ClusterStart(paths, this.#readFile);
  }

  read(): Reading<ClusterView> {
    this.#noticeRestart();
    this.#node ??= this.#paths.nodeName();
    const file = this.#readFile(this.#paths.vmlist);
    if (!file.ok)
      return file.why === 'absent' ? missing('absent', noNode(this.#paths.vmlist)) : file;
    const listed = guestsIn(file.value.toString('utf8'));
    if (listed === undefined) return missing('malformed', `${this.#paths.vmlist}: not understood`);
    const fresh = new Map<Vmid, Known>();
    const guests = new Map<Vmid, Reading<GroupGuest>>();
    const addresses = new Set<string>();
    let unread: string | undefined;
    for (const one of listed) {
      const known = this.#guest(one);
      if (!known.ok) {
        // Just gone, or on its way to another node: neither is a reason to hold everything up.
        if (known.why !== 'absent') unread = known.detail;
        if (one.type === 'lxc') guests.set(one.vmid, known);
        continue;
      }
      fresh.set(one.vmid, known.value);
      if (known.value.guest !== undefined) guests.set(one.vmid, known.value.guest);
      for (const address of known.value.addresses) addresses.add(address);
    }
    this.#known = fresh;
    const why = `not all addresses in use are known: ${unread}`;
    return present({
      node: this.#node,
      guests,
      nodeOf: new Map(listed.map(({ vmid, node }) => [vmid, node])),
      takenIds: new Set(listed.map(({ vmid }) => vmid)),
      usedAddresses: unread === undefined ? present(addresses) : missing('unreadable', why),
      storageTypes: this.#storageTypes(),
    });
  }

  quorum(): Reading<boolean> {
    return readQuorum(this.#paths, this.#readFile);
  }

  /** Versions count from the beginning when the cluster file system was restarted. */
  #noticeRestart(): void {
    if (!this.#start.isAnother()) return;
    this.#node = undefined;
    this.#known.clear();
  }

  #storageTypes(): ReadonlyMap<string, string> {
    const file = this.#readFile(join(this.#paths.pveDir, 'storage.cfg'));
    return file.ok ? storageTypesIn(file.value.toString('utf8')) : new Map();
  }

  #guest({ vmid, node, type, version }: Listed): Reading<Known> {
    const as = `${node}/${type}/${version}`;
    const known = this.#known.get(vmid);
    if (known?.as === as) return present(known);
    const directory = type === 'lxc' ? 'lxc' : 'qemu-server';
    const path = join(this.#paths.pveDir, 'nodes', node, directory, `${vmid}.conf`);
    const file = this.#readFile(path);
    if (!file.ok) return file;
    const text = file.value.toString('utf8');
    const guest = type === 'lxc' ? parseGroupGuest(vmid, node, file.value) : undefined;
    return present({ as, guest, addresses: addressesIn(text) });
  }
}

function guestsIn(text: string): readonly Listed[] | undefined {
  const ids = asObject(parseJsonObject(text)?.['ids']);
  if (ids === undefined) return undefined;
  const listed: Listed[] = [];
  for (const [id, value] of Object.entries(ids)) {
    const vmid = parseVmid(id);
    const entry = asObject(value);
    const { node, type, version } = entry ?? {};
    if (vmid === undefined || typeof node !== 'string' || typeof version !== 'number') {
      return undefined;
    }
    // It becomes part of a path.
    if (!/^[A-Za-z0-9-]{1,63}$/.test(node)) return undefined;
    listed.push({ vmid, node, type: type === 'qemu' ? 'qemu' : 'lxc', version });
  }
  return listed;
}

/** `dir: local` begins a section, and its settings are indented. */
export function storageTypesIn(text: string): ReadonlyMap<string, string> {
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
const SETTINGS = new Set([
  ...['cores', 'cpulimit', 'cpuunits', 'memory', 'swap', 'onboot', 'startup'],
]);

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
  const [live = EMPTY, ...others] = sections;
  const nets = [...live.values].filter(([key]) => /^net[0-9]+$/.test(key));
  const snapshots = others
    .filter(({ heading }) => heading.toLowerCase() !== 'pve:pending')
    .map(({ heading, values }) => {
      const unfinished = values.has('snapstate');
      return [heading, { snaptime: values.get('snaptime'), unfinished }] as const;
    });
  return {
    ...{ vmid, config, node, lock, template, memoryMib, hostname: name },
    tags: tags.map((tag) => tag.toLowerCase()),
    digest: config.digest,
    description: live.lines,
    // Whatever it says: one that is not understood is no reason to remove a container.
    protection: !/^(0|no|off|false)?$/i.test(live.values.get('protection') ?? ''),
    nets: new Map(nets),
    snapshots: new Map(snapshots),
    settings: new Map([...live.values].filter(([key]) => SETTINGS.has(key))),
    disk: diskOf(live.values),
    storages: storagesOf(live.values),
  };
}

const isVolume = (key: string): boolean => key === 'rootfs' || /^mp[0-9]+$/.test(key);

/** Of each volume its storage; of what is mounted from the host, its path. */
function storagesOf(values: ReadonlyMap<string, string>): readonly string[] {
  const volumes = [...values].filter(([key]) => isVolume(key));
  return volumes.flatMap(([, value]) => {
    const [source = ''] = value.replace(/^volume=/, '').split(',');
    return source.startsWith('/') ? [source] : (/^([^:]+):/.exec(source)?.[1] ?? []);
  });
}

interface Section {
  readonly heading: string;
  /** Of the description, decoded. */
  readonly lines: readonly string[];
  readonly values: ReadonlyMap<string, string>;
}

const EMPTY: Section = { heading: '', lines: [], values: new Map() };

function sectionsOf(text: string): readonly Section[] {
  const sections = [{ heading: '', lines: [] as string[], values: new Map<string, string>() }];
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd();
    const heading = /^\[(.+)\]$/.exec(line)?.[1];
    if (heading !== undefined) sections.push({ heading, lines: [], values: new Map() });
    const section = sections.at(-1);
    const [, key, value] = /^([a-z][a-z_]*[0-9]*):\s*(.*)$/s.exec(line) ?? [];
    if (line.startsWith('#')) section?.lines.push(decoded(line.slice(1)));
    else if (key !== undefined && value !== undefined) section?.values.set(key, value);
  }
  return sections;
}

/** Descriptions are kept percent-encoded; what is no encoding is text. */
function decoded(line: string): string {
  try {
    return decodeURIComponent(line);
  } catch {
    return line;
  }
}

const UNIT_MIB: Readonly<Record<string, number>> = { K: 1 / 1024, M: 1, G: 1024, T: 1024 * 1024 };

/** The storage of the root disk, and the size of all disks; undefined where that does not stand. */
function diskOf(values: ReadonlyMap<string, string>): GroupGuest['disk'] {
  const storage = /^([A-Za-z][A-Za-z0-9_.-]*):/.exec(values.get('rootfs') ?? '')?.[1];
  if (storage === undefined) return undefined;
  let mib = 0;
  for (const [key, value] of values) {
    if (!isVolume(key)) continue;
    const size = /(?:^|,)size=([^,]*)/.exec(value)?.[1];
    if (size === undefined) continue;
    const [, number, unit = ''] = /^([0-9]{1,12}(?:\.[0-9]{1,6})?)([KMGT]?)$/.exec(size) ?? [];
    if (number === undefined) return undefined;
    mib += Number(number) * (UNIT_MIB[unit] ?? 1);
  }
  return { storage, mib: Math.ceil(mib) };
}
