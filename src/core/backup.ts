import type { Allocation, AllocationDiff } from './allocation.ts';
import type { GuestConfig } from './observation.ts';
import type { Reading } from './reading.ts';
import { type Milliseconds, milliseconds, type Vmid } from './units.ts';

/** A copy of a container's configuration, as it lies in the directory of the backups. */
export interface StoredBackup {
  readonly vmid: Vmid;
  /** When it was made (UTC), and of what: `20261121T220445.123Z-0a1b2c3d`. */
  readonly id: string;
  /** On the wall clock, in milliseconds since 1970. */
  readonly takenAtMs: Milliseconds;
  readonly path: string;
  /** What the copy says: the configuration before the change. */
  readonly config: Reading<GuestConfig>;
  /** Missing if the description beside the copy is not there or is damaged. */
  readonly madeFor: Reading<MadeFor>;
}

export interface MadeFor extends AllocationDiff {
  readonly kind: BackupKind;
  readonly reason: string;
  /** What an administrator had set, as far as it was known; left out by earlier releases. */
  readonly own?: Allocation;
}

/**
 * `change`: from before a change by the loop. `rollback`: from before a rollback by hand.
 * `half-done`: from the middle of a change that failed, before its first half was taken back.
 * `notes`: from before the last change was written in the notes; of these only the newest stays.
 */
export type BackupKind = 'change' | 'rollback' | 'half-done' | 'notes';

/** What lies between two changes takes nothing back. */
export const isBetweenChanges = ({ madeFor }: StoredBackup): boolean =>
  madeFor.ok && (madeFor.value.kind === 'half-done' || madeFor.value.kind === 'notes');

const ID =
  /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})\.([0-9]{3})Z-([0-9a-f]{8})$/;

/** The name of a backup: it sorts by time, and its end says whether the copy is still whole. */
export function backupId(takenAtMs: Milliseconds, digest: string): string {
  const takenAt = new Date(takenAtMs).toISOString();
  return `${takenAt.replace(/[-:]/g, '')}-${digest.slice(0, 8)}`;
}

/** When a backup of this name was made, and how its digest begins; undefined for other names. */
export function parseBackupId(
  text: string,
): { readonly takenAtMs: Milliseconds; readonly digestStart: string } | undefined {
  const match = ID.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, ms, digestStart = ''] = match;
  const takenAtMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`);
  if (Number.isNaN(takenAtMs)) return undefined;
  return { takenAtMs: milliseconds(takenAtMs), digestStart };
}
