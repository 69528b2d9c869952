import { join } from 'node:path/posix';
import type { Config, NodeConfig } from '../config/model.ts';
import { onNode } from '../config/on-node.ts';
import { machineWishes } from '../config/resolve.ts';
import type { Connection } from '../core/connection.ts';
import type { SeesCluster } from '../core/found-nodes.ts';
import { missing } from '../core/reading.ts';
import type { PveInventory } from '../node/local/pve/pve-inventory.ts';
import { createTemporaryRecords } from '../node/local/pve/temporary-records.ts';
import type {
  GroupDoor,
  MachineWishes,
  NodeEyes,
  NodeHands,
  TemporaryRecords,
} from '../node/port.ts';
import type { LeaseFiles, LeaseHolder } from '../os/lease.ts';
import { leaseFilesIn } from '../os/lease-files.ts';
import { whyNoFileIn } from '../os/writable-files.ts';
import { newTally, noteEvent, type Tally } from '../output/tally.ts';
import type { ActingWorld, World } from '../ports.ts';
import { createBackups } from '../store/config-backups.ts';
import { createHolds, HOLDS_DIRECTORY } from '../store/holds.ts';
import type { ProcessContext } from './context.ts';
import { openLocalNode } from './local-node.ts';
import {
  guardedGroups,
  type Leasing,
  leaseDirectory,
  mounted,
  type NodeLease,
  openNodeLease,
  together,
} from './node-lease.ts';
import { type Outputs, openOutputs } from './outputs.ts';
import { isAway } from './unfit.ts';

/** The ports of the loop on one node, put together from a configuration. */
export interface OpenWorld {
  /** The name of the node. */
  readonly name: string;
  /** Where what is kept of it lies, below the directory of each kind; empty for the home. */
  readonly below: string;
  readonly world: ActingWorld;
  /** Counts of what has gone through these ports. */
  readonly tally: Tally;
  /** Why the node cannot be seen now; undefined: it has answered. */
  hanging(): string | undefined;
  /** The cluster that a further node is in; left out where it is not told. */
  readonly cluster?: OpenCluster;
  /** What groups need of a further node; left out where they are not worked on. */
  readonly groups?: GroupDoor;
  /** Makes the backups of a new configuration active, and the logs where they are its own. */
  reconfigure(config: Config): void;
  /** Resolves when every log line is written. */
  close(): Promise<void>;
}

export interface OpenCluster {
  readonly seen: SeesCluster;
  /** Another node of it, by the same connection. */
  open(node: NodeConfig, config: Config): OpenWorld;
}

/**
 * The node that this program runs on, or else the first of those that it looks after, with the
 * outputs of the program.
 */
export interface OpenHome extends OpenWorld {
  readonly outputs: Outputs;
  /** Which guests the cluster has: one for all that ask. undefined: this host is no node. */
  readonly inventory: PveInventory | undefined;
  /** Looks anew, as far as no other host is asked for that. */
  lookHere(): Promise<void>;
}

/** A node that a backend reaches from here. */
export interface FarNode {
  readonly name: string;
  readonly eyes: NodeEyes;
  readonly hands: NodeHands;
  /** Why it cannot be seen now; undefined: it has answered. */
  problem(): string | undefined;
  /** Which virtual machines are looked after from now on; none until this is said. */
  lookAfter(wishes: MachineWishes): void;
  /** Left out where groups are not worked on. */
  readonly groups?: GroupDoor;
  /** Where its lease lies; left out where it cannot be reached. */
  readonly lease?: FarLease | undefined;
  /** One more, of programs that do not see the other one. */
  readonly sharedLease?: FarLease | undefined;
  /** By which connection it was seen last. */
  connection(): Connection;
  /** Its connections, if there are several; each is a node that may be looked at alone. */
  readonly ways?: readonly FarNode[];
  /** Left out where it is not told. */
  readonly cluster?: FarCluster;
  close(): void;
}

/** Why a node is not seen by a connection that was looked at; undefined: it is. */
export const whyUnseen = (far: Pick<FarNode, 'problem' | 'eyes'>): string | undefined =>
  far.problem() ?? whyHostUnseen(far);

/** The API may answer for a node that it cannot reach itself. */
export function whyHostUnseen({ eyes }: Pick<FarNode, 'eyes'>): string | undefined {
  const { cpus } = eyes.host.observe();
  return cpus.ok ? undefined : cpus.detail;
}

/** The cluster that a further node is in. */
export interface FarCluster {
  readonly seen: SeesCluster;
  /** Another node of it, by the same connection. */
  open(node: NodeConfig): FarNode;
}

export interface FarLease {
  readonly files: LeaseFiles;
  readonly how: LeaseHolder['how'];
  /** Where it lies on this host; left out: in the cluster file system of it, or on the node. */
  readonly place?: string;
  /** Whether a look waits for it; left out: always. Another connection may show the node. */
  readonly isWaitedFor?: () => boolean;
}

/** @param leasing left out by who only looks */
export function openWorld(config: Config, context: ProcessContext, leasing?: Leasing): OpenHome {
  const { paths } = context;
  const name = paths.nodeName();
  const outputs = openOutputs(config, context);
  const { answering } = outputs;
  const hanging = (): string | undefined => answering.problem(paths.pveDir);
  const node = openLocalNode(context, hanging);
  node.lookAfter(machineWishes(onNode(config, name)));
  const { inventory } = node;
  const own = mounted(leaseFilesIn(leaseDirectory(paths.pveDir, name)), paths.pveDir);
  const files = askedFirst(own, outputs, paths.pveDir);
  const lease = leasing && openNodeLease(files, 'local', { ...leasing, seat: `daemon of ${name}` });
  const look = async (): Promise<void> => {
    await answering.ask(outputs.places());
    if (hanging() === undefined) await node.look();
  };
  const observe = async (): Promise<void> => {
    await look();
    if (hanging() === undefined) await lease?.tend();
  };
  const eyes = { ...node.eyes, observe };
  const parts = { name, eyes, hands: node.hands, log: outputs.log, below: '', lease };
  const temporary = createTemporaryRecords(paths, name, inventory);
  const opened = worldOf({ ...parts, temporary }, outputs, config, context);
  return {
    ...opened,
    name,
    below: '',
    outputs,
    inventory,
    hanging,
    lookHere: look,
    reconfigure(next) {
      outputs.reconfigure(next);
      opened.reconfigure(next);
      node.lookAfter(machineWishes(onNode(next, name)));
    },
    async close() {
      await lease?.close();
      node.close();
      await outputs.close();
    },
  };
}

/** All nodes, the home first. */
export function openWorlds(
  reached: readonly FarNode[],
  config: Config,
  context: ProcessContext,
  leasing?: Leasing,
): readonly [OpenHome, ...OpenWorld[]] {
  const far = (outputs: Outputs): readonly OpenWorld[] =>
    reached.map((one) => openFarWorld(one, outputs, config, context, leasing));
  if (!isAway(config, context)) {
    const home = openWorld(config, context, leasing);
    return [home, ...far(home.outputs)];
  }
  const outputs = openOutputs(config, context);
  const [first, ...others] = far(outputs);
  if (first === undefined) throw new Error('there is no node at all');
  return [homeAway(first, outputs), ...others];
}

export const homeAway = (first: OpenWorld, outputs: Outputs): OpenHome => ({
  ...first,
  outputs,
  inventory: undefined,
  lookHere: () => outputs.answering.ask(outputs.places()),
  reconfigure(next) {
    outputs.reconfigure(next);
    first.reconfigure(next);
  },
  async close() {
    await first.close();
    await outputs.close();
  },
});

/** A further node. Its lines of the log begin with its name. */
export function openFarWorld(
  node: FarNode,
  outputs: Outputs,
  config: Config,
  context: ProcessContext,
  leasing?: Leasing,
): OpenWorld {
  const { name, eyes, hands, cluster } = node;
  const own = node.lease;
  let closing: Promise<void> | undefined;
  const leaseIn = (
    one: FarLease | undefined,
    mayTake: () => boolean = () => true,
  ): NodeLease | undefined => {
    if (leasing === undefined || one === undefined) return undefined;
    // That of an API node is in a file system of this host.
    const place = one.how === 'api' ? (one.place ?? context.paths.pveDir) : undefined;
    const files = place === undefined ? one.files : askedFirst(one.files, outputs, place);
    const isTended = (): boolean => node.problem() === undefined && mayTake();
    return openNodeLease(files, one.how, leasing, isTended);
  };
  const lease = together(leaseIn(own), (mayTake) => leaseIn(node.sharedLease, mayTake));
  let wasTended = false;
  const observe: NodeEyes['observe'] = async (stop, within) => {
    await Promise.all([outputs.answering.ask(outputs.places()), eyes.observe(stop, within)]);
    if (node.problem() !== undefined || stop?.aborted === true) return;
    const tended = lease?.tend();
    // Until it was looked at once, nothing may be changed anyway.
    if (!wasTended || own?.isWaitedFor?.() !== false) await tended;
    wasTended = true;
  };
  const log = withPrefix(outputs.log, `${name}: `);
  if (leasing !== undefined && lease === undefined) log.info(NO_LEASE);
  const seen = { ...eyes, observe, connection: () => node.connection() };
  const parts = { name, hands, log, eyes: seen, below: join('nodes', name), lease };
  const world = worldOf(parts, outputs, config, context);
  node.lookAfter(machineWishes(onNode(config, name)));
  return {
    ...world,
    name,
    below: parts.below,
    hanging: () => node.problem(),
    ...(node.groups && { groups: lease ? guardedGroups(node.groups, lease) : node.groups }),
    ...(cluster && {
      cluster: {
        seen: cluster.seen,
        open: (found: NodeConfig, now: Config) =>
          openFarWorld(cluster.open(found), outputs, now, context, leasing),
      },
    }),
    reconfigure(next) {
      world.reconfigure(next);
      node.lookAfter(machineWishes(onNode(next, name)));
    },
    close() {
      closing ??= Promise.resolve(lease?.close()).then(() => node.close());
      return closing;
    },
  };
}

const NO_LEASE =
  'the API does not show whether another program scales this node, so make sure that none does, ' +
  'or let all of them share a directory (`lease_dir`)';

/**
 * Whatever is done with a lease, it is read first. So a file system that hangs keeps one thread of
 * this process, and not all of them.
 */
const askedFirst = (
  files: LeaseFiles,
  { answering }: Pick<Outputs, 'answering'>,
  cluster: string,
): LeaseFiles => ({
  ...files,
  async read() {
    await answering.ask({ cluster, others: [] });
    const why = answering.problem(cluster);
    return why === undefined ? files.read() : missing('unreadable', why);
  },
});

const withPrefix = (log: World['log'], prefix: string): World['log'] => ({
  debug: (message, about) =>
    log.debug(() => `${prefix}${typeof message === 'string' ? message : message()}`, about),
  info: (message, about) => log.info(`${prefix}${message}`, about),
  warn: (message, about) => log.warn(`${prefix}${message}`, about),
  error: (message, about) => log.error(`${prefix}${message}`, about),
});

interface WorldParts {
  readonly name: string;
  readonly eyes: NodeEyes;
  readonly hands: NodeHands;
  readonly log: World['log'];
  /** Where what is kept of this node lies, below the directory of each kind. */
  readonly below: string;
  readonly temporary?: TemporaryRecords;
  readonly lease: NodeLease | undefined;
}

function worldOf(
  { name, eyes, hands, log, below, temporary, lease }: WorldParts,
  outputs: Outputs,
  config: Config,
  { paths, clock }: ProcessContext,
): Pick<OpenWorld, 'world' | 'tally' | 'reconfigure'> {
  const { answering } = outputs;
  const tally = newTally();
  const directory = (): string => join(outputs.backups(), below);
  const backupsOf = ({ backupDir, backupsKeep: keep, backupsKeepMs: keepMs }: Config) => {
    const place = join(paths.at(backupDir), below);
    return createBackups({ directory: place, node: name, clock, keep, keepMs });
  };
  let backups = backupsOf(config);
  const world: ActingWorld = {
    ...eyes,
    hands: lease?.guard(hands) ?? hands,
    log,
    ...(temporary && { temporary }),
    ...(lease && { notOurs: () => lease.problem() }),
    journal: outputs.journalOf(name, (event, isWritten) => noteEvent(tally, event, isWritten)),
    holds: createHolds({ directory: join(paths.at(HOLDS_DIRECTORY), below), clock }),
    backups: {
      write(file, purpose) {
        const message = answering.problem(outputs.backups());
        return message === undefined ? backups.write(file, purpose) : { ok: false, message };
      },
      problem: () => answering.problem(outputs.backups()) ?? whyNoFileIn(directory(), 0o700),
      own: (guest) =>
        answering.problem(outputs.backups()) === undefined ? backups.own?.(guest) : undefined,
    },
  };
  return {
    world,
    tally,
    reconfigure(next) {
      backups = backupsOf(next);
    },
  };
}
