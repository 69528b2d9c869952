import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path/posix';
import type { Vmid } from '../../core/units.ts';
import { createFileReader } from '../../os/file-reader.ts';
import { parseJsonObject } from '../../os/json-object.ts';
import { FILES_OF_THIS_HOST, type ReadableFiles } from '../../os/readable-files.ts';
import type { Sysroot } from '../../os/sysroot.ts';

/** Every path that the program touches, under one prefix (`/`, or what `--sysroot` names). */
export interface Paths extends Sysroot {
  /** Where all that lies there is read. */
  readonly files: ReadableFiles;
  /** What `--state` names: all that is kept lies there. undefined: where services have it. */
  readonly stateDir: string | undefined;
  readonly pveDir: string;
  readonly vmlist: string;
  readonly pveVersion: string;
  /** What the pvestatd of each node has told last. */
  readonly pveRrd: string;
  readonly members: string;
  /** Of groups and of clones: the cluster file system lets root alone in there. */
  readonly ledgers: string;
  ledger(name: string): string;
  readonly hostnameFile: string;
  readonly cgroupRoot: string;
  /** Holds `ID.scope` for each virtual machine that runs. */
  readonly qemuSlice: string;
  machineScope(vmid: Vmid): string;
  readonly procMeminfo: string;
  readonly procLoadavg: string;
  readonly procStat: string;
  readonly procUptime: string;
  /** Figures of the ZFS cache (ARC); not there without ZFS. */
  readonly arcstats: string;
  readonly cpusOnline: string;
  /** The CPUs that all containers together may use. */
  readonly cpusOfGuests: string;
  procPressure(kind: 'cpu' | 'memory' | 'io'): string;
  /** The outer cgroup of a container: the one that carries its limits. */
  cgroup(vmid: Vmid): string;
  /** Where the configurations of this node's containers lie. Looks at the file system. */
  guestDirectory(): string;
  guestConfig(vmid: Vmid): string;
  /** Where the configurations of this node's virtual machines lie. Looks at the file system. */
  vmDirectory(): string;
  /** The monitor of a virtual machine that runs. */
  qmpSocket(vmid: Vmid): string;
  /** What Proxmox VE locks while it works on a virtual machine. */
  vmLock(vmid: Vmid): string;
  /** All file locks of the host. */
  readonly procLocks: string;
  /**
   * The node's name in the cluster. Looks at the file system, so ask once and keep it. Empty if
   * another host has none that a node can have.
   */
  nodeName(): string;
  /** The machine's own name without its domain: the same on a node, and not from `/etc/pve`. */
  hostName(): string;
}

/** @param stateDir what `--state` names; it is not below the prefix */
export function createPaths(
  sysroot: string,
  files: ReadableFiles = FILES_OF_THIS_HOST,
  stateDir?: string,
): Paths {
  const prefix = resolve(sysroot);
  // Joining to '/' first drops every leading '..', so that the result stays below the prefix.
  const under = (absolutePath: string): string => join(prefix, join('/', absolutePath));
  const kept = stateDir === undefined ? undefined : keptIn(resolve(stateDir), isOnNode(under));
  const at = (path: string): string => kept?.(join('/', path)) ?? under(path);
  const pveDir = at('/etc/pve');
  const members = join(pveDir, '.members');
  const ledgers = join(pveDir, 'priv/lxc_autoscale');
  const cgroupRoot = at('/sys/fs/cgroup');
  const qemuSlice = join(cgroupRoot, 'qemu.slice');
  const cgroupOfGuests = join(cgroupRoot, 'lxc');
  const hostnameFile = at('/etc/hostname');
  const hostName = (): string => findHostName(hostnameFile, files);
  const nodeName = (): string => findNodeName(members, files) ?? hostName();
  const directoryOf = (kind: 'lxc' | 'qemu-server'): string => {
    // A link to nodes/NODE/lxc on a node. In a copy of its tree it may have become a plain file.
    const usual = join(pveDir, kind);
    return isDirectory(usual, files) ? usual : join(pveDir, 'nodes', nodeName(), kind);
  };
  const guestDirectory = (): string => directoryOf('lxc');
  return Object.freeze({
    sysroot: prefix,
    files,
    stateDir: stateDir === undefined ? undefined : resolve(stateDir),
    pveDir,
    vmlist: join(pveDir, '.vmlist'),
    pveVersion: join(pveDir, '.version'),
    pveRrd: join(pveDir, '.rrd'),
    members,
    ledgers,
    ledger: (name: string) => join(ledgers, `${name}.json`),
    hostnameFile,
    cgroupRoot,
    qemuSlice,
    machineScope: (vmid: Vmid) => `${qemuSlice}/${vmid}.scope`,
    procMeminfo: at('/proc/meminfo'),
    procLoadavg: at('/proc/loadavg'),
    procStat: at('/proc/stat'),
    procUptime: at('/proc/uptime'),
    arcstats: at('/proc/spl/kstat/zfs/arcstats'),
    cpusOnline: at('/sys/devices/system/cpu/online'),
    cpusOfGuests: join(cgroupOfGuests, 'cpuset.cpus.effective'),
    procPressure: (kind: string) => at(`/proc/pressure/${kind}`),
    cgroup: (vmid: Vmid) => `${cgroupOfGuests}/${vmid}`,
    guestDirectory,
    guestConfig: (vmid: Vmid) => join(guestDirectory(), `${vmid}.conf`),
    vmDirectory: () => directoryOf('qemu-server'),
    qmpSocket: (vmid: Vmid) => at(`/run/qemu-server/${vmid}.qmp`),
    vmLock: (vmid: Vmid) => at(`/run/lock/qemu-server/lock-${vmid}.conf`),
    procLocks: at('/proc/locks'),
    nodeName,
    hostName,
    at,
  });
}

/** What is kept, and where it lies below the directory that `--state` names. */
const KEPT: readonly (readonly [usual: RegExp, name: string])[] = [
  [/^\/var\/lib\/lxc_autoscale(?=\/|$)/, '.'],
  [/^\/var\/log(?=\/lxc_autoscale\.)/, 'log'],
];
/** On a node there is one lock and one socket, wherever the rest is kept. */
const OF_THE_HOST: typeof KEPT = [
  [/^\/run\/lxc_autoscale(?=\/|$)/, 'run'],
  [/^\/var\/lock(?=\/lxc_autoscale\.lock$)/, 'run'],
];

function keptIn(directory: string, onNode: boolean): (path: string) => string | undefined {
  const moved = onNode ? KEPT : [...KEPT, ...OF_THE_HOST];
  return (path) => {
    const [usual, name] = moved.find(([one]) => one.test(path)) ?? [];
    return usual && name && join(directory, path.replace(usual, name));
  };
}

/** What only a node has, also while its cluster file system is not running. That may hang: last. */
const SIGNS_OF_A_NODE = ['/var/lib/pve-cluster', '/usr/sbin/pct', '/etc/pve'];

/** Whether the host is a Proxmox VE node at all. Looks at the file system. */
export const isOnNode = (at: Sysroot['at']): boolean =>
  SIGNS_OF_A_NODE.some((path) => existsSync(at(path)));

function isDirectory(path: string, files: ReadableFiles): boolean {
  try {
    return files.stat(path)?.isDirectory() ?? false;
  } catch {
    return false;
  }
}

const NAME_FILE_LIMIT_BYTES = 1024 * 1024;

/** `/etc/pve/.members` knows best; undefined before the cluster file system is up. */
function findNodeName(members: string, files: ReadableFiles): string | undefined {
  const file = createFileReader(NAME_FILE_LIMIT_BYTES, files)(members);
  const name = file.ok ? parseJsonObject(file.value.toString('utf8'))?.['nodename'] : undefined;
  return typeof name === 'string' ? firstLabel(name) : undefined;
}

function findHostName(path: string, files: ReadableFiles): string {
  const file = createFileReader(NAME_FILE_LIMIT_BYTES, files)(path);
  const label = file.ok ? firstLabel(file.value.toString('utf8')) : undefined;
  if (files !== FILES_OF_THIS_HOST) return label ?? '';
  return label ?? firstLabel(hostname()) ?? 'localhost';
}

/** The part before the first dot, if it is a host name at all: it becomes part of a path. */
function firstLabel(name: string): string | undefined {
  const label = name.trim().split('.', 1)[0] ?? '';
  return /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label) ? label : undefined;
}

/** What it means that a file or directory of `/etc/pve` is not there, and what to do. */
export const noNode = (path: string): string =>
  'this is not a Proxmox VE node, or its cluster file system is not running: ' +
  `there is no ${path}. On a node, look at: systemctl status pve-cluster`;
