import type { Failure } from '../guest-record.ts';
import type { Milliseconds, Vmid } from '../units.ts';
import type { HealthCheck } from './group-policy.ts';

/**
 * What a group remembers. The truth lies in the cluster; this is what cannot be seen there: how
 * many members are wanted, since when, and which id and address a clone that is not there yet will
 * have.
 */
export interface GroupState {
  /** undefined until the group was first looked at. */
  desired: number | undefined;
  /** Why so many, where the load asked for it. */
  wantedReason: string | undefined;
  aboveSinceMs: Milliseconds | undefined;
  belowSinceMs: Milliseconds | undefined;
  /** When the number of members was last changed. */
  changedMs: Milliseconds | undefined;
  /** One at a time: a source is locked while it is cloned. */
  reservation: Reservation | undefined;
  /** A snapshot of ours that is wanted. Any other in the ledger is left over. */
  snapshot: string | undefined;
  /** The boot of the host in which a snapshot was last taken or removed. */
  snapshotBoot: string | undefined;
  /** When that was begun; undefined in another boot. */
  snapshotMs: Milliseconds | undefined;
  readonly members: Map<Vmid, MemberMemory>;
  /** By `stepKey`. */
  readonly failures: Map<string, StepFailure>;
  /**
   * Steps that ended without an error, by `effectKey`. One that is to be done again right away had
   * no effect, whatever it said. Not kept over a restart.
   */
  readonly done: Map<string, DoneStep>;
  /**
   * Since when what the ledger has is not to be seen, by `memberKey` or the name of a snapshot. Not
   * kept over a restart.
   */
  readonly away: Map<string, Milliseconds>;
  /** Whether a ledger was ever written here. Where it is missing then, it has been lost. */
  ledgered: boolean;
  /** Ids that others took while we were about to, and until when we leave them alone. */
  readonly avoid: Map<Vmid, Milliseconds>;
}

export interface DoneStep {
  readonly atMs: Milliseconds;
  /** Under which its failures are counted. */
  readonly key: string;
}

/** A step that failed, how often in a row, and what was said last. */
export type StepFailure = Failure & { readonly message?: string };

/** An id and an address for a clone, written down and saved before the cloning begins. */
export interface Reservation {
  readonly vmid: Vmid;
  readonly address: string | undefined;
  /** As in the ledger. */
  readonly nonce: string;
  readonly startedMs: Milliseconds;
  /** Why there is to be another member. */
  readonly reason: string;
  /** The boot of the host that it belongs to. */
  readonly boot: string;
  /** Whether `pct clone` was about to be started; before, nothing of it can be there. */
  begun: boolean;
  /** The process that clones; undefined before it was started. */
  pid: number | undefined;
  /** How it ended, if that was seen. `broken`: by force, so that it did not tidy up. */
  ended: 'done' | 'failed' | 'broken' | undefined;
  /** Since when its process is known to be gone while the clone is still locked. */
  orphanedMs: Milliseconds | undefined;
}

export interface MemberMemory {
  /** Why it was made, or is to go. */
  reason: string;
  /** Since when it runs and is not in service yet; since when it is in service. */
  startedMs: Milliseconds | undefined;
  servingMs: Milliseconds | undefined;
  stoppedMs: Milliseconds | undefined;
  /** Health checks in a row. */
  passed: number;
  failed: number;
  unhealthy: boolean;
  /** What the last one said. */
  complaint: string;
}

export const newMemory = (reason = ''): MemberMemory => ({
  reason,
  startedMs: undefined,
  servingMs: undefined,
  stoppedMs: undefined,
  passed: 0,
  failed: 0,
  unhealthy: false,
  complaint: '',
});

export const newGroupState = (): GroupState => ({
  desired: undefined,
  wantedReason: undefined,
  aboveSinceMs: undefined,
  belowSinceMs: undefined,
  changedMs: undefined,
  reservation: undefined,
  snapshot: undefined,
  snapshotBoot: undefined,
  snapshotMs: undefined,
  members: new Map(),
  failures: new Map(),
  done: new Map(),
  away: new Map(),
  ledgered: false,
  avoid: new Map(),
});

export const memberKey = (vmid: Vmid): string => `member/${vmid}`;

/** Since when something of the ledger is away that is not to be seen now. */
export function awaySince({ away }: GroupState, key: string, nowMs: Milliseconds): Milliseconds {
  const sinceMs = away.get(key) ?? nowMs;
  away.set(key, sinceMs);
  return sinceMs;
}

/** Takes in what a health check said; `complaint` undefined: all is well. */
export function noteHealth(
  memory: MemberMemory,
  { healthyCount, unhealthyCount }: HealthCheck,
  complaint: string | undefined,
): void {
  memory.passed = complaint === undefined ? memory.passed + 1 : 0;
  memory.failed = complaint === undefined ? 0 : memory.failed + 1;
  memory.complaint = complaint ?? '';
  if (memory.passed >= healthyCount) memory.unhealthy = false;
  if (memory.failed >= unhealthyCount) memory.unhealthy = true;
}

/** What a member is remembered by, made where there is nothing yet. */
export function memoryOf({ members }: GroupState, vmid: Vmid): MemberMemory {
  const known = members.get(vmid);
  if (known !== undefined) return known;
  const made = newMemory();
  members.set(vmid, made);
  return made;
}
