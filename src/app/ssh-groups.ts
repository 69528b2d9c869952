import { join } from 'node:path/posix';
import { missing } from '../core/reading.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import { commandEnvironment } from '../node/local/outcome-values.ts';
import { createPaths, type Paths } from '../node/local/paths.ts';
import { createCluster } from '../node/local/pve/cluster-files.ts';
import { parseMembers } from '../node/local/pve/members-file.ts';
import { createHook, groupTools, ownAddresses } from '../node/local/pve/pct-groups.ts';
import { LOOKS_A_ROUND, PveInventory } from '../node/local/pve/pve-inventory.ts';
import { parseVmlist } from '../node/local/pve/vmlist-file.ts';
import type { Cluster, GroupDoor } from '../node/port.ts';
import { FarFiles, parentOf } from '../node/ssh/far-files.ts';
import { FarHands } from '../node/ssh/far-hands.ts';
import { farLedgers } from '../node/ssh/far-ledgers.ts';
import type { KeptConnection } from '../node/ssh/kept-connection.ts';
import type { CommandResult } from '../os/command.ts';
import type { ProcessContext } from './context.ts';

/**
 * What groups need of a node that is reached by SSH: the configurations of its whole cluster, the
 * ledgers that lie there, and `pct`. It has a connection of its own, so that no look waits for it.
 * Commands end with their connection; the node then shows how far they came.
 */

const OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024;
/** One connection is for all that is asked. */
const ALL = 0 as Vmid;

export interface SshGroupsOptions {
  readonly sysroot: string;
  readonly connect: () => KeptConnection;
  readonly lookLimitMs: number;
  /** What the node calls itself, by the look of its loop; empty: it is not known. */
  readonly nodeName: () => string;
  readonly own: Pick<ProcessContext, 'paths' | 'env'>;
}

export interface SshGroups extends GroupDoor {
  close(): void;
}

/** Nothing is connected before a group asks. */
export function openSshGroups(options: SshGroupsOptions): SshGroups {
  const { connect, own } = options;
  const { paths, env } = own;
  const connection = connect();
  const sight = new GroupSight(connection, options);
  const commands = new FarHands(connect);
  const asking = new FarHands(connect);
  const run = (far: FarHands, vmid: Vmid, file: string, args: readonly string[], limitMs: number) =>
    far.runOf(vmid)(file, args, {
      timeLimitMs: limitMs,
      env: commandEnvironment({}),
      stop: new AbortController().signal,
      stopGraceMs: 0,
      outputLimitBytes: OUTPUT_LIMIT_BYTES,
    });
  // A connection takes one command at a time.
  let last: Promise<unknown> = Promise.resolve();
  const query = (args: readonly string[], limitMs: Milliseconds): Promise<CommandResult> => {
    const answer = last.then(() => run(asking, ALL, 'pvesh', args, limitMs));
    last = answer.catch(() => {});
    return answer;
  };
  const tools = groupTools({
    nodeName: () => sight.paths.nodeName(),
    query,
    async command({ file, args }, vmid, limitMs) {
      const why = await sight.whyAnother(commands, vmid);
      if (why !== undefined) return { kind: 'not-started', message: `${file}: ${why}` };
      return run(commands, vmid, file, args, limitMs);
    },
    hook: createHook({ paths, environment: env }),
    ownAddresses: () => new Set([...ownAddresses(), ...sight.addresses()]),
    // What this process does not wait for has ended with its connection.
    isAlive: () => false,
  });
  return {
    cluster: sight.cluster,
    eyes: tools,
    hands: tools,
    // That of the node keeps all others out: groups are worked on where their source is.
    leases: { hold: () => ({ kind: 'held' }), release: () => {} },
    ledgers: sight.ledgers(),
    close() {
      connection.close();
      commands.close();
      asking.close();
    },
  };
}

/** What was fetched of the cluster's file system, and how. */
class GroupSight {
  readonly paths: Paths;
  readonly cluster: Cluster;
  readonly #connection: KeptConnection;
  readonly #options: SshGroupsOptions;
  readonly #files = new FarFiles();
  readonly #signs: readonly string[];
  #configs: readonly string[] = [];
  #looks = 0;
  #problem: string | undefined = 'was not looked at yet';
  /** A look that is under way may have begun before what it is to show. */
  #turn: Promise<void> = Promise.resolve();

  constructor(connection: KeptConnection, options: SshGroupsOptions) {
    this.#connection = connection;
    this.#options = options;
    this.paths = createPaths(options.sysroot, this.#files);
    const { pveVersion, vmlist } = this.paths;
    this.#signs = [pveVersion, vmlist];
    const read = createCluster(this.paths, new PveInventory(this.paths));
    this.cluster = {
      look: () => this.#look(),
      read: () => this.#unseen() ?? read.read(),
      quorum: () => this.#unseen() ?? read.quorum(),
    };
  }

  ledgers() {
    const directory = this.paths.ledgers;
    return farLedgers(this.#connection, this.#files, directory, () => this.#problem);
  }

  /** Those of the node and of its cluster, which no container has. */
  addresses(): readonly string[] {
    const text = (path: string): string => this.#files.bytes(path)?.toString('utf8') ?? '';
    const local = text(this.#routes).matchAll(
      /\|-- ([0-9.]{7,15})\n[ ]*\/32 (?:host LOCAL|link BROADCAST)/g,
    );
    const members = parseMembers(text(this.paths.members))?.members ?? [];
    const hosts = members.flatMap(({ host }) => (host === undefined ? [] : [host]));
    return [...[...local].map(([, address = '']) => address), ...hosts];
  }

  get #routes(): string {
    return this.paths.at('/proc/net/fib_trie');
  }

  #unseen() {
    return this.#problem === undefined ? undefined : missing('unreadable', this.#problem);
  }

  #look(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#lookNow());
    return this.#turn;
  }

  async #lookNow(): Promise<void> {
    const { pveDir, members, hostnameFile } = this.paths;
    const before = this.#signs.map((path) => this.#files.bytes(path));
    const isWhole = this.#looks++ % LOOKS_A_ROUND === 0 || before.includes(undefined);
    const files = [...this.#signs, members, hostnameFile, join(pveDir, 'storage.cfg')];
    const items = [...files, this.#routes].map((path) => `f${path}`);
    const seen = await this.#ask([...items, `c${this.paths.ledgers}`]);
    if (!seen.ok) return this.#blind(seen.detail);
    this.#files.replace(seen.value, this.#configs);
    const unfit = this.#whyUnfit();
    if (unfit !== undefined) return this.#blind(unfit);
    const now = this.#signs.map((path) => this.#files.bytes(path));
    const isSame = before.every((bytes, index) => bytes?.equals(now[index] ?? NONE) === true);
    if (isWhole || !isSame) {
      const problem = await this.#lookAtConfigs();
      if (problem !== undefined) return this.#blind(problem);
    }
    this.#problem = undefined;
  }

  /** Of all nodes that have guests. Returns why they are not seen. */
  async #lookAtConfigs(): Promise<string | undefined> {
    const { pveDir, vmlist } = this.paths;
    const listed = parseVmlist(this.#files.bytes(vmlist)?.toString('utf8') ?? '');
    const nodes = new Set([...(listed?.values() ?? [])].map(({ node }) => node));
    const places = [...nodes].flatMap((node) =>
      ['lxc', 'qemu-server'].map((kind) => join(pveDir, 'nodes', node, kind)),
    );
    const seen = await this.#ask(places.map((path) => `c${path}`));
    if (!seen.ok) return seen.detail;
    for (const path of this.#configs) this.#files.drop(path);
    this.#configs = places;
    this.#files.merge(seen.value, (path) =>
      [path, parentOf(path)].some((one) => places.includes(one)),
    );
    return undefined;
  }

  /**
   * What is destroyed has no digest that another machine would refuse it by, so the line that a
   * command goes over is asked first whose it is.
   */
  async whyAnother(commands: FarHands, vmid: Vmid): Promise<string | undefined> {
    const { members } = this.paths;
    const seen = await commands.kernelFiles(() => vmid).read(members);
    if (!seen.ok) return seen.detail;
    const own = parseMembers(seen.value.toString('utf8'))?.own;
    const known = this.paths.nodeName();
    return own === known ? undefined : `what answers calls itself ${own}, and not ${known}`;
  }

  #ask(items: readonly string[]) {
    return this.#connection.request('L', items, this.#options.lookLimitMs);
  }

  #blind(why: string): void {
    this.#problem = why;
    this.#files.forget(why);
  }

  /** Another machine that answers in its place has other guests with the same numbers. */
  #whyUnfit(): string | undefined {
    const { vmlist } = this.paths;
    if (this.#files.bytes(vmlist) === undefined) return `there is no ${vmlist} on the node`;
    const [name, known] = [this.paths.nodeName(), this.#options.nodeName()];
    if (known === '') return 'its name is not known yet, since its node was not seen';
    return name === known ? undefined : `it calls itself ${name}, and not ${known} as before`;
  }
}

const NONE = Buffer.alloc(0);
