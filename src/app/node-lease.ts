import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path/posix';
import { by as byConnection } from '../core/connection.ts';
import { NODE_NAME } from '../core/node-name.ts';
import type { NotOurs } from '../core/pause.ts';
import { plainText } from '../core/plain-text.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import type {
  CommandOutcome,
  GroupDoor,
  GuardAnswer,
  MemoryGuards,
  NodeHands,
} from '../node/port.ts';
import {
  Lease,
  type LeaseFiles,
  type LeaseHolder,
  type Standing,
  UNMOUNTED,
  WAIT_MS,
} from '../os/lease.ts';
import { leaseFilesIn } from '../os/lease-files.ts';
import { whyNotTrusted } from '../os/trusted-file.ts';
import type { ProcessContext } from './context.ts';

/**
 * A lease of each node that is scaled, in its own `/etc/pve`, where all who could scale it see it.
 * While another program has it nothing is changed here, and this one waits.
 */

/** Below `/etc/pve`, where only root may look. */
const LEASES = 'priv/lxc_autoscale/leases';
export const leaseDirectory = (pveDir: string, node: string): string => join(pveDir, LEASES, node);

/**
 * How long others wait for a sign of life. Nobody is in a hurry to
 * take the place of a node's own daemon, and each sign is a write to the disks of a whole cluster.
 */
const TTL_S = { local: 900, ssh: 90, api: 90 } as const;

/** What all leases of this program have in common. */
export interface Leasing {
  readonly host: string;
  /** Of the lock that only one program of this host has. */
  readonly seat: string;
  readonly clock: ProcessContext['clock'];
}

export interface NodeLease {
  /** With each look at the node. */
  tend(): Promise<void>;
  /** Why nothing may be changed on the node, as of the last look. */
  problem(): NotOurs | undefined;
  /** The same, of right now. */
  confirm(): Promise<string | undefined>;
  /** The same hands, which look once more before they begin. */
  guard(hands: NodeHands): NodeHands;
  /** Hands it over. */
  close(): Promise<void>;
}

/** @param seesNode who does not see the node any more leaves it to another one */
export function openNodeLease(
  files: LeaseFiles,
  how: LeaseHolder['how'],
  { host, seat, clock }: Leasing,
  seesNode: () => boolean = () => true,
): NodeLease {
  const lease = new Lease({
    files,
    instance: randomUUID(),
    ttlS: TTL_S[how],
    holder: { host, how, seat },
    monotonicMs: () => clock.monotonicMs(),
  });
  // Looks may be further apart than others wait.
  const tend = (): void => {
    if (seesNode()) void lease.tend();
  };
  const timer = setInterval(tend, WAIT_MS);
  timer.unref();
  const confirmed = async (): Promise<string | undefined> => problemOf(await lease.confirm())?.why;
  return {
    tend: () => lease.tend(),
    problem: () => problemOf(lease.standing),
    confirm: confirmed,
    guard: (hands) => guarded(hands, confirmed),
    async close() {
      clearInterval(timer);
      await lease.release();
    },
  };
}

/**
 * Both are needed, if there are two. All programs take them in the same order, and no second one
 * without the first: of two programs with one each, neither would go on.
 *
 * @param then opens the second, which is looked after while it is told so
 */
export function together(
  one: NodeLease | undefined,
  then: (mayTake: () => boolean) => NodeLease | undefined,
): NodeLease | undefined {
  const mayTake = (): boolean => one?.problem() === undefined;
  const other = then(mayTake);
  if (one === undefined || other === undefined) return one ?? other;
  return {
    async tend() {
      await one.tend();
      if (mayTake()) await other.tend();
    },
    problem: () => one.problem() ?? other.problem(),
    confirm: async () => (await one.confirm()) ?? other.confirm(),
    guard: (hands) => one.guard(other.guard(hands)),
    close: async () => void (await Promise.all([one.close(), other.close()])),
  };
}

/** In `/etc/pve`, as long as it is mounted. */
export const mounted = (files: LeaseFiles, pveDir: string): LeaseFiles => ({
  ...files,
  read: async () => (existsSync(join(pveDir, '.vmlist')) ? files.read() : UNMOUNTED),
});

/** It tells a directory that is shared from the empty one below it. */
const MARK = 'shared';

/**
 * In a directory that programs share which reach a node by the API only.
 * @param nameOf what the cluster calls the node; it becomes part of a path
 */
export function sharedLeaseFiles(directory: string, nameOf: () => Reading<string>): LeaseFiles {
  const seen = (): Reading<LeaseFiles> => {
    const name = nameOf();
    if (!name.ok) return name;
    if (!NODE_NAME.test(name.value)) return missing('malformed', 'it calls itself as no node can');
    return present(leaseFilesIn(join(directory, name.value)));
  };
  const files = (): LeaseFiles => {
    const now = seen();
    if (now.ok) return now.value;
    throw new Error(now.detail);
  };
  const mark = join(directory, MARK);
  return {
    async read() {
      const untrusted = whyNotTrusted(mark);
      if (untrusted !== undefined) return missing('unreadable', `${mark} ${untrusted}`);
      if (!existsSync(mark)) return missing('absent', `there is no ${mark}; ${TO_SHARE}`);
      const now = seen();
      return now.ok ? now.value.read() : now;
    },
    create: async (...args) => files().create(...args),
    overwrite: async (...args) => files().overwrite(...args),
    remove: async (...args) => files().remove(...args),
  };
}

const TO_SHARE = 'if the shared directory is mounted there, make this file in it once';

/** The same for what changes members of groups. */
export const guardedGroups = (door: GroupDoor, lease: Pick<NodeLease, 'confirm'>): GroupDoor => ({
  ...door,
  hands: {
    async run(command, watch): Promise<CommandOutcome> {
      const message = await lease.confirm();
      return message === undefined
        ? door.hands.run(command, watch)
        : { kind: 'not-started', message };
    },
    async hook(argv, timeLimitMs): Promise<CommandOutcome> {
      const message = await lease.confirm();
      return message === undefined
        ? door.hands.hook(argv, timeLimitMs)
        : { kind: 'not-started', message };
    },
  },
});

/** What puts `memory.high` back is never held up. */
const guarded = (hands: NodeHands, why: () => Promise<string | undefined>): NodeHands => ({
  ...hands,
  async apply(request, stop, cancel): Promise<CommandOutcome> {
    const message = await why();
    if (message !== undefined) return { kind: 'not-started', message };
    return hands.apply(request, stop, cancel);
  },
  memoryHigh: {
    ...hands.memoryHigh,
    async hold(vmid, at) {
      const message = await why();
      return message === undefined ? hands.memoryHigh.hold(vmid, at) : { kind: 'refused', message };
    },
  },
  get memoryGuards() {
    return guardsOf(hands, why);
  },
});

const howWords = ({ how }: LeaseHolder): string =>
  how === 'local' ? 'its own daemon' : byConnection(how);

const guardsOf = ({ memoryGuards }: NodeHands, why: () => Promise<string | undefined>) =>
  memoryGuards && {
    ...memoryGuards,
    async set(...[vmid, at]: Parameters<MemoryGuards['set']>): Promise<GuardAnswer> {
      const message = await why();
      return message === undefined ? memoryGuards.set(vmid, at) : { kind: 'refused', message };
    },
  };

function problemOf(standing: Standing): NotOurs | undefined {
  switch (standing.kind) {
    case 'held':
      return undefined;
    case 'unknown': {
      const why = `whether another program scales this node is not known: ${standing.why}`;
      return { kind: 'not-known', why };
    }
    case 'elsewhere': {
      const { by } = standing;
      const who = by === undefined ? 'another host' : `${plainText(by.host, 64)} (${howWords(by)})`;
      const why = `waiting, since lxc-autoscale on ${who} scales this node`;
      return { kind: 'elsewhere', why };
    }
  }
}
