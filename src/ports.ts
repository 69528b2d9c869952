import type { Allocation, AllocationDiff } from './core/allocation.ts';
import type { HealthCheck } from './core/groups/group-policy.ts';
import type { JournalEvent } from './core/journal-event.ts';
import type { LineFacts } from './core/log-line.ts';
import type { ManualHold } from './core/manual-hold.ts';
import type { GuestConfig } from './core/observation.ts';
import type { NotOurs } from './core/pause.ts';
import type { Vmid } from './core/units.ts';
import type {
  Cluster,
  GroupEyes,
  GroupHands,
  GuestFile,
  Leases,
  MemberLedgers,
  NodeEyes,
  NodeHands,
  TemporaryRecords,
  WriteOutcome,
} from './node/port.ts';

/**
 * What the loop needs of the outside world besides the node. `os/`, `store/` and `output/`
 * implement these; with `node/port.ts` they are the only place where a test may stand in
 * for the world.
 */

/** What a backup was made for; it stands beside the copy of the configuration. */
export interface BackupPurpose extends AllocationDiff {
  readonly reason: string;
  /** The id of the backup that a rollback by hand goes to. */
  readonly rollbackTo?: string;
  /** Only the notes of the guest are changed. */
  readonly notes?: true;
}

export type BackupOutcome =
  | { readonly ok: true; readonly path: string }
  | { readonly ok: false; readonly message: string };

export interface Backups {
  /** Writes, syncs and reads back; only then does a change follow. */
  write(file: GuestFile, purpose: BackupPurpose): BackupOutcome;
  /** Why none could be written now; undefined: one could. Tries it out. */
  problem?(): string | undefined;
  /** What an administrator gave a guest last, by its backups; undefined: they cannot be read. */
  own?(guest: GuestConfig): Allocation | undefined;
}

export interface HoldsRead {
  /** Those in force now. */
  readonly holds: ReadonlyMap<Vmid, ManualHold>;
  /** Sentences on those that could not be read. */
  readonly warnings: readonly string[];
}

/** Containers that a person has taken in hand. They outlive the process. */
export interface Holds {
  read(): HoldsRead;
  write(vmid: Vmid, hold: ManualHold): WriteOutcome;
}

export interface Journal {
  /** Returns false when the line could not be written. */
  record(event: JournalEvent): boolean;
  /** Why no line could be written now: a full disk, say; undefined: one could. Tries it out. */
  problem?(): string | undefined;
}

/**
 * Lines for people. Implementations neutralise control characters and mask secrets. What a line is
 * about goes with it, for those who filter and search.
 */
export interface Log {
  /** A line that is made for it alone may come as a function, called only where it is heard. */
  debug(message: string | (() => string), about?: LineFacts): void;
  info(message: string, about?: LineFacts): void;
  warn(message: string, about?: LineFacts): void;
  error(message: string, about?: LineFacts): void;
}

/** The node as it is seen, and what is on record: enough to observe, to decide and to report. */
export interface World extends NodeEyes {
  readonly backups: Backups;
  readonly journal: Journal;
  readonly log: Log;
  readonly holds: Holds;
  /** Left out where a guest never leaves its node, as in a replay. */
  readonly temporary?: TemporaryRecords;
  /** Why the node is not ours to change; left out where nobody else could change it. */
  readonly notOurs?: () => NotOurs | undefined;
}

/** The world of what carries changes out. */
export interface ActingWorld extends World {
  readonly hands: NodeHands;
}

/** The world as a cycle is handed it: without hands it is a dry run. */
export interface CycleWorld extends World {
  readonly hands?: NodeHands;
}

export interface HealthProbe {
  /** undefined: it is healthy; else what is wrong. Takes some seconds at most. */
  check(address: string, check: HealthCheck): Promise<string | undefined>;
}

/** Everything outside, as groups are handed it. */
export interface GroupWorld
  extends Pick<
    World,
    'backups' | 'clock' | 'guests' | 'log' | 'journal' | 'cgroups' | 'host' | 'notOurs' | 'inspect'
  > {
  readonly cluster: Cluster;
  readonly eyes: GroupEyes;
  readonly leases: Leases;
  readonly ledgers: MemberLedgers;
  readonly probe: HealthProbe;
}

/** The same for what carries steps of groups out. */
export interface ActingGroupWorld extends GroupWorld {
  readonly hands: GroupHands;
}
