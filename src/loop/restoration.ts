import type { Allocation } from '../core/allocation.ts';
import type { GuestIdentity } from '../core/identity.ts';
import type { ManualHold } from '../core/manual-hold.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { HostPolicy } from '../core/policy.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';

/** What a rollback by hand is asked for, and how it went. */

/** The backup that a container goes back to. */
export interface RestoreGoal {
  readonly vmid: Vmid;
  readonly backupId: string;
  readonly takenAtMs: Milliseconds;
  /** Not all is as in the backup, but as an administrator has set it last. */
  readonly isOwn?: boolean;
  /** Who has asked for it: `api:NAME`; left out: a command of root. */
  readonly askedBy?: string;
  /** What that backup says. */
  readonly config: GuestConfig;
  /** The guest that was found under this id when the backup was chosen. */
  readonly guest: GuestIdentity | undefined;
}

export interface RestoreContext {
  /** CPUs online; undefined if they could not be counted. */
  readonly hostCpus: number | undefined;
  readonly stop: AbortSignal;
  /** Memory is not given beyond it. */
  readonly hostPolicy: HostPolicy;
  /** Writes a time as `2026-11-21 22:04:45`. */
  readonly localTime: (wallMs: Milliseconds) => string;
}

export interface RestoreResult {
  readonly kind:
    | 'confirmed'
    /** Configured; the cpuset follows when pvestatd next runs. */
    | 'pending'
    /** The container has these values already. */
    | 'already'
    /** Nothing is done: this is what would be. */
    | 'dry-run'
    | 'failed'
    /** Its memory must stay, and nothing else differs. */
    | 'refused'
    /** It is not on this node: destroyed, or migrated away. */
    | 'absent';
  readonly name: string;
  /** Left out for a container. */
  readonly guest?: 'qemu';
  /** Empty where it never came to that. */
  readonly before: Partial<Allocation>;
  readonly target: Partial<Allocation>;
  /** Why the memory is not restored, while the rest is. */
  readonly refused?: string;
  readonly note?: string;
  /** The copy made right before, by which this rollback can be undone. */
  readonly backup?: string;
  readonly hold?: ManualHold;
}
