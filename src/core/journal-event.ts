import type { Resource } from './allocation.ts';
import type { Vmid } from './units.ts';

/**
 * What is put on record: each of these is one line of the JSON log, and what metrics and
 * notifications count. `journal-words.ts` says how the log words it.
 */
export type JournalEvent = ChangeEvent | ConfirmEvent | RollbackEvent | GroupEvent | DiskEvent;

/** All else that is known, in the order in which the line has it; undefined is left out. */
interface Details {
  readonly [name: string]: unknown;
}

/** One resource of a guest: changed, not changed after all, or only thought of. */
export interface ChangeEvent {
  readonly kind: 'change';
  readonly vmid: Vmid;
  readonly resource: Resource;
  readonly direction: 'up' | 'down';
  readonly details: ChangeDetails;
}

export type ChangeStatus =
  | 'confirmed'
  /** Configured; pvestatd brings it into the cpuset. */
  | 'pending'
  | 'dry-run'
  /** Decided for a guest that is only observed. */
  | 'observed'
  | 'failed'
  | 'rolled-back'
  /** Some pieces of it were done, two of four CPUs, and the rest will not come. */
  | 'partly'
  | 'unproven';

export interface ChangeDetails extends Details {
  readonly name: string;
  /** Left out for a container. */
  readonly kind?: 'qemu';
  readonly status: ChangeStatus;
  /** null: there is no such line in the configuration. */
  readonly before: number | null;
  readonly after: number | null;
  /** Left out: what the resource is counted in. */
  readonly unit?: 'cpulimit' | undefined;
  readonly reason: string;
  readonly note?: string | undefined;
}

/** Cores that were configured before have reached the cpuset. */
export interface ConfirmEvent {
  readonly kind: 'confirm';
  readonly vmid: Vmid;
  readonly details: Details & { readonly status: 'confirmed'; readonly after: number };
}

/** One resource of a rollback by hand. */
export interface RollbackEvent {
  readonly kind: 'rollback';
  readonly vmid: Vmid;
  readonly resource: Resource;
  readonly details: RollbackDetails;
}

export interface RollbackDetails extends Details {
  /** Left out for a container. */
  readonly kind?: 'qemu';
  readonly status: 'confirmed' | 'pending' | 'failed';
  readonly before: RollbackValue;
  readonly after: RollbackValue;
}

/** `all` cores of a host whose number is not known; `max`: no cpulimit, as `cpu.max` says it. */
export type RollbackValue = number | 'all' | 'max';

/** A member more or fewer. */
export interface GroupEvent {
  readonly kind: 'group';
  readonly vmid: Vmid;
  readonly direction: 'out' | 'in';
  readonly details: GroupDetails;
}

export interface GroupDetails extends Details {
  readonly group: string;
  /** `asked`: somebody has asked for it, and it begins; its end has a line of its own. */
  readonly status: 'confirmed' | 'dry-run' | 'failed' | 'asked';
  readonly reason?: string | undefined;
  /** Why it failed. */
  readonly message?: string | undefined;
}

/** A disk, a snapshot or a clone, as a person has asked for it. */
export interface DiskEvent {
  readonly kind: 'disk';
  readonly vmid: Vmid;
  readonly details: DiskDetails;
}

export interface DiskDetails extends Details {
  readonly step: 'grow' | 'snapshot' | 'rollback' | 'clone' | 'destroy' | 'delete-snapshot';
  readonly name: string;
  /** Left out for a container. */
  readonly kind?: 'qemu';
  /** `asked`: it begins; its end has a line of its own. */
  readonly status: 'asked' | 'confirmed' | 'failed';
  readonly reason: string;
  readonly note?: string | undefined;
}
