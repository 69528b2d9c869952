import { dirname, join } from 'node:path/posix';
import type { SshNodeConfig } from '../config/model.ts';
import type { ClusterSeen, SeesCluster } from '../core/found-nodes.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import { type Milliseconds, parseVmid, secondsToMs, type Vmid } from '../core/units.ts';
import type { MonitorAccess } from '../node/guests/qmp.ts';
import { CGROUP_FILES, createCgroups } from '../node/local/kernel/cgroup-files.ts';
import { createReclaim } from '../node/local/kernel/cgroup-reclaim.ts';
import { cgroupVersion } from '../node/local/kernel/cgroup-version.ts';
import { HIGH_DIRECTORY, highDirectoryOf } from '../node/local/kernel/high-file.ts';
import { createMemoryGuards } from '../node/local/kernel/memory-guards.ts';
import { createMemoryHigh } from '../node/local/kernel/memory-high.ts';
import { createHostView } from '../node/local/kernel/proc-files.ts';
import { createPaths, type Paths } from '../node/local/paths.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { parseMembers } from '../node/local/pve/members-file.ts';
import { createPct } from '../node/local/pve/pct.ts';
import { LOOKS_A_ROUND, PveInventory } from '../node/local/pve/pve-inventory.ts';
import { cgroupsOfBothKinds, guestsOfBothKinds } from '../node/local/qemu/machine-doors.ts';
import { LocalMachines } from '../node/local/qemu/machine-guests.ts';
import { createQm } from '../node/local/qemu/machine-qm.ts';
import type { NodeEyes, NodeHands } from '../node/port.ts';
import { FarFiles, parentOf } from '../node/ssh/far-files.ts';
import { FarHands } from '../node/ssh/far-hands.ts';
import { farLeaseFiles } from '../node/ssh/far-lease.ts';
import { createFarMonitors } from '../node/ssh/far-monitors.ts';
import { type ConnectionOptions, KeptConnection } from '../node/ssh/kept-connection.ts';
import { sshArguments, sshEnvironment } from '../node/ssh/ssh-command.ts';
import type { LeaseFiles } from '../os/lease.ts';
import type { ProcessContext } from './context.ts';
import { leaseDirectory } from './node-lease.ts';
import { openSshGroups } from './ssh-groups.ts';
import type { FarNode } from './world.ts';

/**
 * A node that is reached by SSH: the readers of this host, on the same bytes of the same files. All
 * of them are fetched by one question a look; reading afterwards is as of that look.
 */

const LOOK_LIMIT_MS = 20_000;

export interface Connecting extends Pick<ConnectionOptions, 'random'> {
  readonly lookLimitMs?: number;
}

export function openSshNode(
  config: SshNodeConfig,
  { paths: own, clock, env }: Pick<ProcessContext, 'paths' | 'clock' | 'env'>,
  { random, lookLimitMs = LOOK_LIMIT_MS }: Connecting,
): FarNode & { readonly seesCluster: SeesCluster } {
  const start = { file: 'ssh', args: sshArguments(config), env: sshEnvironment(env) };
  const connect = (): KeptConnection => new KeptConnection({ start, clock, random });
  const sight = new SshSight(connect(), own.sysroot, config, lookLimitMs);
  const { paths } = sight;
  const cgroups = createCgroups(paths, clock);
  const inventory = new PveInventory(paths);
  const farClock = { ...clock, wallMs: () => sight.farWallMs ?? clock.wallMs() };
  const machines = new LocalMachines(paths, farClock, inventory, sight.monitors);
  const eyes: NodeEyes = {
    clock,
    cgroups: cgroupsOfBothKinds(cgroups, machines),
    guests: guestsOfBothKinds(createGuests(paths, inventory), machines),
    async observe(stop) {
      await sight.observe(machines, stop);
      if (sight.problem === undefined) await machines.look(sight.hasFigures);
    },
    async inspect(vmid) {
      await sight.inspect(placeOf(paths, vmid, machines.has(vmid)));
      if (sight.problem === undefined) await machines.inspect(vmid);
    },
    host: createHostView(paths, () => machines.memoryMib()),
  };
  const far = new FarHands(connect);
  // One connection for the guards of all guests: they are written one after the other.
  const guarding = new FarHands(connect);
  const files = far.kernelFiles((path) => vmidOf(path));
  const records = highDirectoryOf(own.at(HIGH_DIRECTORY), config.name);
  const qm = createQm(machines, { environment: {}, run: far.runOf });
  const hands: NodeHands = {
    apply(request, stop, cancel) {
      if (machines.has(request.vmid)) return qm.apply(request, stop, cancel);
      const pct = createPct({ environment: {}, run: far.runOf(request.vmid) });
      return pct.apply(request, stop, cancel);
    },
    reclaim: createReclaim(paths, clock, files),
    memoryHigh: createMemoryHigh(paths, clock, files, records),
    memoryGuards: createMemoryGuards(paths, guarding.kernelFiles(ofAll), records),
  };
  const groups = openSshGroups({
    sysroot: own.sysroot,
    connect,
    lookLimitMs,
    nodeName: () => paths.nodeName(),
    own: { paths: own, env },
  });
  const close = (): void => {
    groups.close();
    sight.close();
    far.close();
    guarding.close();
    cgroups.close();
    machines.close();
  };
  const lease = { files: sight.leaseFiles(), how: 'ssh' } as const;
  return {
    name: config.name,
    eyes,
    hands,
    lease,
    groups,
    close,
    problem: () => sight.problem,
    seesCluster: () => sight.cluster(),
    connection: () => ({ by: 'ssh' }),
    lookAfter: (wishes) => machines.use(wishes),
  };
}

/** Where a guest is seen: its configuration, and its cgroup while it runs. */
interface Place {
  readonly config: string;
  readonly cgroup: string;
  /** The directory that lists its cgroup. */
  readonly listed: string;
}

function placeOf(paths: Paths, vmid: Vmid, isMachine: boolean): Place {
  const kind = isMachine ? 'qemu-server' : 'lxc';
  return {
    config: join(paths.pveDir, kind, `${vmid}.conf`),
    cgroup: isMachine ? paths.machineScope(vmid) : paths.cgroup(vmid),
    listed: isMachine ? paths.qemuSlice : paths.cgroupRoot,
  };
}

const ALL = 0 as Vmid;
const ofAll = (): Vmid => ALL;

/** The cgroup of a guest, or a file in it. */
function vmidOf(path: string): Vmid {
  const vmid = parseVmid(/\/lxc\/([0-9]+)(?:\/|$)/.exec(path)?.[1] ?? '');
  if (vmid === undefined) throw new Error(`${path} is of no guest`);
  return vmid;
}

/** What has been fetched of a node, and how. */
class SshSight {
  readonly paths: Paths;
  problem: string | undefined = 'was not looked at yet';
  readonly #connection: KeptConnection;
  readonly #files = new FarFiles();
  readonly #config: SshNodeConfig;
  /** Where configurations lie; they are fetched only if one of these files has changed. */
  readonly #configs: readonly string[];
  readonly #signs: readonly string[];
  readonly #limitMs: number;
  farWallMs: Milliseconds | undefined;
  #looks = 0;
  /** Whether what pvestatd says came with the last look. */
  hasFigures = false;
  /** Virtual machines whose scopes are part of a look. */
  #watched: readonly Vmid[] = [];

  constructor(connection: KeptConnection, sysroot: string, config: SshNodeConfig, limitMs: number) {
    this.#connection = connection;
    this.#limitMs = limitMs;
    this.paths = createPaths(sysroot, this.#files);
    this.#config = config;
    const { pveDir, pveVersion, vmlist } = this.paths;
    this.#configs = [join(pveDir, 'lxc'), join(pveDir, 'qemu-server')];
    this.#signs = [pveVersion, vmlist];
  }

  get monitors(): MonitorAccess {
    return createFarMonitors(this.#connection, this.paths, this.#limitMs);
  }

  /** @param stop keeps nobody waiting for an answer; what was seen before stays until it comes */
  async observe(machines: LocalMachines, stop?: AbortSignal): Promise<void> {
    if (stop?.aborted) return;
    let end = (): void => {};
    const stopped = new Promise<void>((resolve) => {
      end = resolve;
    });
    stop?.addEventListener('abort', end, { once: true });
    await Promise.race([this.#look(machines), stopped]);
    stop?.removeEventListener('abort', end);
  }

  async #look(machines: LocalMachines): Promise<void> {
    const before = this.#signs.map((path) => this.#files.bytes(path));
    const isWhole = this.#looks++ % LOOKS_A_ROUND === 0 || before.includes(undefined);
    const configs = this.#configs.map((path) => `c${path}`);
    this.hasFigures = machines.needsFigures;
    const items = [
      ...lookItems(this.paths),
      ...scopeItems(this.paths, this.#watched),
      ...(this.hasFigures ? [`f${this.paths.pveRrd}`] : []),
      ...(isWhole ? configs : []),
    ];
    const seen = await this.#ask(items);
    if (!seen.ok) return this.#blind(seen.detail);
    this.#files.replace(seen.value, isWhole ? [] : this.#configs);
    this.farWallMs = this.#readFarWall();
    this.problem = undefined;
    const unfit = this.#whyUnfit();
    if (unfit !== undefined) return this.#blind(unfit);
    const now = this.#signs.map((path) => this.#files.bytes(path));
    if (!isWhole && !before.every((bytes, index) => isSame(bytes, now[index]))) {
      const changed = await this.#ask(configs);
      if (!changed.ok) return this.#blind(changed.detail);
      this.#files.merge(changed.value, (path) => this.#configs.includes(parentOf(path)));
    }
    await this.#watch(machines.running());
  }

  /** The scopes of those that were not known to be wanted, or have started since. */
  async #watch(wanted: readonly Vmid[]): Promise<void> {
    const others = wanted.filter((vmid) => !this.#watched.includes(vmid));
    this.#watched = wanted;
    if (others.length === 0) return;
    const seen = await this.#ask(scopeItems(this.paths, others));
    if (!seen.ok) return this.#blind(seen.detail);
    const scopes = new Set(others.map((vmid) => this.paths.machineScope(vmid)));
    this.#files.merge(seen.value, (path) => scopes.has(path) || scopes.has(parentOf(path)));
  }

  async inspect(place: Place): Promise<void> {
    const items = guestItems(this.paths, place);
    const seen = await this.#ask(items);
    if (!seen.ok) return this.#blind(seen.detail);
    const { cgroup } = place;
    const asked = new Set(items.map((item) => item.slice(1)));
    this.#files.drop(cgroup);
    this.#files.merge(seen.value, (path) => asked.has(path) || parentOf(path) === cgroup);
    const unfit = this.#whyUnfit();
    if (unfit !== undefined) this.#blind(unfit);
  }

  /** As of the last look. */
  cluster(): Reading<ClusterSeen> {
    if (this.problem !== undefined) return missing('unreadable', this.problem);
    const { members } = this.paths;
    const seen = parseMembers(this.#files.bytes(members)?.toString('utf8') ?? '');
    return seen === undefined ? missing('malformed', `${members}: not understood`) : present(seen);
  }

  /** What the clock of the node says: its files are dated by that. As of the last look. */
  #readFarWall(): Milliseconds | undefined {
    const textOf = (path: string): string => this.#files.bytes(path)?.toString('latin1') ?? '';
    const [, bootS] = /^btime ([0-9]{1,12})$/m.exec(textOf(this.paths.procStat)) ?? [];
    const [, upS] = /^([0-9]{1,12}\.[0-9]+) /.exec(textOf(this.paths.procUptime)) ?? [];
    if (bootS === undefined || upS === undefined) return undefined;
    return secondsToMs(Number(bootS) + Number(upS));
  }

  /** Beside those that its own daemon has there. */
  leaseFiles(): LeaseFiles {
    const { pveDir } = this.paths;
    return farLeaseFiles(this.#connection, () => {
      // The node may be seen by another connection only.
      const name = this.paths.nodeName() || (this.#config.node ?? '');
      if (name === '') throw new Error(this.problem ?? 'the node has no name');
      return leaseDirectory(pveDir, name);
    });
  }

  close(): void {
    this.#connection.close();
  }

  #ask(items: readonly string[]) {
    return this.#connection.request('L', items, this.#limitMs);
  }

  #blind(why: string): void {
    this.problem = `${this.#config.host}: ${why}`;
    this.#files.forget(this.problem);
    this.farWallMs = undefined;
  }

  /** Another machine that answers in its place has other guests with the same numbers. */
  #whyUnfit(): string | undefined {
    const { paths } = this;
    const { node } = this.#config;
    const name = paths.nodeName();
    if (name === '') return this.#whyNameless();
    if (node !== undefined && name !== node) {
      return `it calls itself ${name}, and not ${node} as \`node\` says`;
    }
    const version = cgroupVersion(paths);
    return version.ok ? undefined : version.message;
  }

  #whyNameless(): string {
    const { members, hostnameFile } = this.paths;
    return [members, hostnameFile].some((path) => this.#files.bytes(path))
      ? `${members} and ${hostnameFile} hold no name that a node can have`
      : `there is no ${members}: it is no Proxmox VE node, or not up yet`;
  }
}

const isSame = (one: Buffer | undefined, other: Buffer | undefined): boolean =>
  one !== undefined && other !== undefined && one.equals(other);

const CGROUP_ITEMS = [...CGROUP_FILES, 'cgroup.controllers', '?memory.reclaim'].map(
  (name) => `+${name}`,
);

/** The questions of a look; the letters are explained beside the far reader. */
function lookItems(paths: Paths): readonly string[] {
  const files = [
    paths.members,
    paths.vmlist,
    paths.pveVersion,
    paths.hostnameFile,
    paths.procMeminfo,
    paths.procLoadavg,
    paths.procStat,
    paths.procUptime,
    paths.arcstats,
    paths.cpusOnline,
    paths.procPressure('cpu'),
    paths.procPressure('memory'),
    paths.cpusOfGuests,
  ];
  const cgroups = dirname(paths.cpusOfGuests);
  const listed = [paths.cgroupRoot, paths.qemuSlice].map((path) => `d${path}`);
  return [...files.map((path) => `f${path}`), ...listed, `t${cgroups}`, ...CGROUP_ITEMS];
}

function guestItems(paths: Paths, { config, cgroup, listed }: Place): readonly string[] {
  const files = [paths.members, paths.hostnameFile, paths.cpusOfGuests, config];
  const node = [...files.map((path) => `f${path}`), `d${paths.cgroupRoot}`, `d${listed}`];
  return [...node, `g${cgroup}`, ...CGROUP_ITEMS];
}

const scopeItems = (paths: Paths, vmids: readonly Vmid[]): readonly string[] =>
  vmids.flatMap((vmid) => [`g${paths.machineScope(vmid)}`, ...CGROUP_ITEMS]);
