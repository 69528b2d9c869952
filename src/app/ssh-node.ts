import { dirname, join } from 'node:path/posix';
import type { SshNodeConfig } from '../config/model.ts';
import { parseVmid, type Vmid } from '../core/units.ts';
import { CGROUP_FILES, createCgroups } from '../node/local/kernel/cgroup-files.ts';
import { createReclaim } from '../node/local/kernel/cgroup-reclaim.ts';
import { cgroupVersion } from '../node/local/kernel/cgroup-version.ts';
import { createMemoryHigh, HIGH_DIRECTORY } from '../node/local/kernel/memory-high.ts';
import { createHostView } from '../node/local/kernel/proc-files.ts';
import { createPaths, type Paths } from '../node/local/paths.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { createPct } from '../node/local/pve/pct.ts';
import { LOOKS_A_ROUND, PveInventory } from '../node/local/pve/pve-inventory.ts';
import { LocalMachines } from '../node/local/qemu/machine-guests.ts';
import type { NodeEyes, NodeHands } from '../node/port.ts';
import { FarFiles, parentOf } from '../node/ssh/far-files.ts';
import { FarHands } from '../node/ssh/far-hands.ts';
import { farLeaseFiles } from '../node/ssh/far-lease.ts';
import { type ConnectionOptions, KeptConnection } from '../node/ssh/kept-connection.ts';
import { sshArguments, sshEnvironment } from '../node/ssh/ssh-command.ts';
import type { LeaseFiles } from '../os/lease.ts';
import type { ProcessContext } from './context.ts';
import { leaseDirectory } from './node-lease.ts';
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
): FarNode {
  const start = { file: 'ssh', args: sshArguments(config), env: sshEnvironment(env) };
  const connect = (): KeptConnection => new KeptConnection({ start, clock, random });
  const sight = new SshSight(connect(), own.sysroot, config, lookLimitMs);
  const { paths } = sight;
  const cgroups = createCgroups(paths, clock);
  const inventory = new PveInventory(paths);
  const machines = new LocalMachines(paths, clock, inventory);
  const eyes: NodeEyes = {
    ...{ clock, cgroups, guests: createGuests(paths, inventory) },
    observe: (stop) => sight.observe(stop),
    inspect: (vmid) => sight.inspect(vmid),
    host: createHostView(paths, () => machines.memoryMib()),
  };
  const far = new FarHands(connect);
  const files = far.kernelFiles((path) => vmidOf(path));
  const records = join(own.at(HIGH_DIRECTORY), 'nodes', config.name);
  const hands: NodeHands = {
    apply: (request, stop, cancel) =>
      createPct({ environment: {}, run: far.runOf(request.vmid) }).apply(request, stop, cancel),
    reclaim: createReclaim(paths, clock, files),
    memoryHigh: createMemoryHigh(paths, clock, files, records),
  };
  const close = (): void => {
    sight.close();
    far.close();
    cgroups.close();
    machines.close();
  };
  const lease = { files: sight.leaseFiles(), how: 'ssh' } as const;
  return { name: config.name, eyes, hands, problem: () => sight.problem, lease, close };
}

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
  #looks = 0;

  constructor(connection: KeptConnection, sysroot: string, config: SshNodeConfig, limitMs: number) {
    this.#connection = connection;
    this.#limitMs = limitMs;
    this.paths = createPaths(sysroot, this.#files);
    this.#config = config;
    const { pveDir, pveVersion, vmlist } = this.paths;
    this.#configs = [join(pveDir, 'lxc'), join(pveDir, 'qemu-server')];
    this.#signs = [pveVersion, vmlist];
  }

  /** @param stop keeps nobody waiting for an answer; what was seen before stays until it comes */
  async observe(stop?: AbortSignal): Promise<void> {
    if (stop?.aborted) return;
    let end = (): void => {};
    const stopped = new Promise<void>((resolve) => {
      end = resolve;
    });
    stop?.addEventListener('abort', end, { once: true });
    await Promise.race([this.#look(), stopped]);
    stop?.removeEventListener('abort', end);
  }

  async #look(): Promise<void> {
    const before = this.#signs.map((path) => this.#files.bytes(path));
    const isWhole = this.#looks++ % LOOKS_A_ROUND === 0 || before.includes(undefined);
    const configs = this.#configs.map((path) => `c${path}`);
    const seen = await this.#ask([...lookItems(this.paths), ...(isWhole ? configs : [])]);
    if (!seen.ok) return this.#blind(seen.detail);
    this.#files.replace(seen.value, isWhole ? [] : this.#configs);
    this.problem = undefined;
    const unfit = this.#whyUnfit();
    if (unfit !== undefined) return this.#blind(unfit);
    const now = this.#signs.map((path) => this.#files.bytes(path));
    if (isWhole || before.every((bytes, index) => isSame(bytes, now[index]))) return;
    const changed = await this.#ask(configs);
    if (!changed.ok) return this.#blind(changed.detail);
    this.#files.merge(changed.value, (path) => this.#configs.includes(parentOf(path)));
  }

  async inspect(vmid: Vmid): Promise<void> {
    const items = guestItems(this.paths, vmid);
    const seen = await this.#ask(items);
    if (!seen.ok) return this.#blind(seen.detail);
    const cgroup = this.paths.cgroup(vmid);
    const asked = new Set(items.map((item) => item.slice(1)));
    this.#files.drop(cgroup);
    this.#files.merge(seen.value, (path) => asked.has(path) || parentOf(path) === cgroup);
    const unfit = this.#whyUnfit();
    if (unfit !== undefined) this.#blind(unfit);
  }

  /** Beside those that its own daemon has there. */
  leaseFiles(): LeaseFiles {
    const { pveDir } = this.paths;
    return farLeaseFiles(this.#connection, () => {
      const name = this.paths.nodeName();
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
    ...[paths.members, paths.vmlist, paths.pveVersion, paths.hostnameFile],
    ...[paths.procMeminfo, paths.procLoadavg, paths.procStat, paths.arcstats, paths.cpusOnline],
    ...[paths.procPressure('cpu'), paths.procPressure('memory'), paths.cpusOfGuests],
  ];
  const cgroups = dirname(paths.cpusOfGuests);
  const listed = [paths.cgroupRoot, paths.qemuSlice].map((path) => `d${path}`);
  return [...files.map((path) => `f${path}`), ...listed, `t${cgroups}`, ...CGROUP_ITEMS];
}

function guestItems(paths: Paths, vmid: Vmid): readonly string[] {
  const config = join(paths.pveDir, 'lxc', `${vmid}.conf`);
  const files = [paths.members, paths.hostnameFile, paths.cpusOfGuests, config];
  const node = [...files.map((path) => `f${path}`), `d${paths.cgroupRoot}`];
  return [...node, `g${paths.cgroup(vmid)}`, ...CGROUP_ITEMS];
}
