import { randomUUID } from 'node:crypto';
import { join } from 'node:path/posix';
import { by as byConnection } from '../core/connection.ts';
import type { NotOurs } from '../core/pause.ts';
import { plainText } from '../core/plain-text.ts';
import type { CommandOutcome, NodeHands } from '../node/port.ts';
import { Lease, type LeaseFiles, type LeaseHolder, type Standing, WAIT_MS } from '../os/lease.ts';
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
  /** The same hands, which look once more before they begin. */
  guard(hands: NodeHands): NodeHands;
  /** Hands it over. */
  close(): Promise<void>;
}

export function openNodeLease(
  files: LeaseFiles,
  how: LeaseHolder['how'],
  { host, seat, clock }: Leasing,
): NodeLease {
  const lease = new Lease({
    files,
    instance: randomUUID(),
    ttlS: TTL_S[how],
    holder: { host, how, seat },
    monotonicMs: () => clock.monotonicMs(),
  });
  // Looks may be further apart than others wait.
  const timer = setInterval(() => void lease.tend(), WAIT_MS);
  timer.unref();
  const confirmed = async (): Promise<string | undefined> => problemOf(await lease.confirm())?.why;
  return {
    tend: () => lease.tend(),
    problem: () => problemOf(lease.standing),
    guard: (hands) => guarded(hands, confirmed),
    async close() {
      clearInterval(timer);
      await lease.release();
    },
  };
}

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
});

const howWords = ({ how }: LeaseHolder): string =>
  how === 'local' ? 'its own daemon' : byConnection(how);

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
