import type { Change, Hold } from './decision.ts';
import { afterFailure, type Failure } from './guest-record.ts';
import { kindOf } from './guest-words.ts';
import type { Plan } from './plan.ts';
import type { Reading } from './reading.ts';
import type { Milliseconds } from './units.ts';

/** The node as a whole pauses while its configurations cannot be written, or by others only. */

export interface Pause {
  readonly kind: 'elsewhere' | 'no-quorum' | 'not-known' | 'refused';
  /** A sentence without its full stop. */
  readonly why: string;
  readonly sinceMs: Milliseconds;
  /** Where Proxmox VE refused to write although it has quorum: no change is tried before. */
  readonly retry?: Failure;
}

/** Why the node is not this program's to change; `elsewhere`: another one has it in hand. */
export interface NotOurs {
  readonly kind: 'elsewhere' | 'not-known';
  /** A sentence without its full stop. */
  readonly why: string;
}

const NO_QUORUM =
  'the cluster has no quorum, so /etc/pve is read-only on this node; `pvecm status` shows why';

/**
 * What a look at the quorum makes of the pause before. undefined: changes can be made.
 *
 * @param quorum true also for a node that stands alone
 * @param notOurs undefined: no other program has the node in hand
 */
export function pauseAfter(
  before: Pause | undefined,
  quorum: Reading<boolean>,
  nowMs: Milliseconds,
  notOurs?: NotOurs,
): Pause | undefined {
  const sinceMs = before?.sinceMs ?? nowMs;
  if (!quorum.ok) {
    const why = `whether this node may write to /etc/pve is not known: ${quorum.detail}`;
    return { kind: 'not-known', why, sinceMs };
  }
  if (!quorum.value) return { kind: 'no-quorum', why: NO_QUORUM, sinceMs };
  if (notOurs !== undefined) return { ...notOurs, sinceMs };
  const waits = before?.retry !== undefined && before.retry.retryAtMs > nowMs;
  return waits ? before : undefined;
}

/** A configuration could not be written, whatever Proxmox VE says of its quorum. */
export function pauseRefused(
  refused: Failure | undefined,
  message: string,
  nowMs: Milliseconds,
): Pause {
  const why = `a configuration could not be written: ${message}`;
  return { kind: 'refused', why, sinceMs: nowMs, retry: afterFailure(refused, nowMs) };
}

/** The same plan with nothing to do: each change waits until the pause is over. */
export function holdAll({ changes, held }: Plan, { why }: Pause): Plan {
  const waiting = changes.flatMap(({ cores, memory }) =>
    [cores, memory].filter((change) => change !== undefined).map((change) => paused(change, why)),
  );
  return { changes: [], held: [...held, ...waiting] };
}

function paused(change: Change, why: string): Hold {
  const { vmid, name, resource, priority, measured } = change;
  const because = { kind: 'paused', why } as const;
  return { vmid, name, ...kindOf(change), resource, priority, verdict: 'hold', because, measured };
}
