import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path/posix';
import { backupId, parseBackupId, type StoredBackup } from '../core/backup.ts';
import { guestInside } from '../core/guest-words.ts';
import { backupsOfGuest, ownValues } from '../core/own-values.ts';
import { surplusBackups } from '../core/retention.ts';
import { type Milliseconds, milliseconds, type Vmid } from '../core/units.ts';
import type { Clock, GuestFile } from '../node/port.ts';
import { makeDirectories, makeDirectory, refuseLink } from '../os/directories.ts';
import { syncDirectory, writeDurably } from '../os/durable-file.ts';
import { describeError } from '../os/os-error.ts';
import type { BackupOutcome, BackupPurpose, Backups } from '../ports.ts';
import { listBackups } from './backup-list.ts';

/**
 * Copies of container configurations, made before each change: `VMID/TIME-DIGEST.conf` byte for
 * byte, and beside it a `.json` that says what it was made for.
 */

export interface BackupOptions {
  /** `backup_dir` of the configuration, already under the sysroot. */
  readonly directory: string;
  readonly node: string;
  readonly clock: Clock;
  /** How many copies of each container stay; 20 where nothing is said. */
  readonly keep?: number;
  /** How long a copy stays; 30 days where nothing is said. */
  readonly keepMs?: number;
}

const KEEP = 20;
const KEEP_MS = 30 * 86_400_000;
/** Of the `.json`; to be raised when a field changes its meaning. */
const FORMAT_VERSION = 1;
const BACKUP_FILE = /^(.+)\.(conf|json)$/;
const TEMPORARY_FILE = /^\.(.+)\.(conf|json)\.tmp$/;
/** A copy is written within this time, or its process was killed meanwhile. */
const LONGEST_WRITE_MS = 600_000;

export function createBackups(options: BackupOptions): Backups {
  return {
    write: (file, purpose) => writeBackup(options, file, purpose),
    own(guest) {
      const listing = listBackups(options.directory, guest.vmid);
      if (!listing.ok || listing.value.problems.length > 0) return undefined;
      return ownValues(guest, backupsOfGuest(guest.identity, listing.value.backups)).values;
    },
  };
}

function writeBackup(
  options: BackupOptions,
  file: GuestFile,
  purpose: BackupPurpose,
): BackupOutcome {
  const { vmid, digest } = file.config;
  const directory = join(options.directory, String(vmid));
  const nowMs = options.clock.wallMs();
  const takenAt = new Date(nowMs).toISOString();
  const base = backupId(nowMs, digest);
  const path = join(directory, `${base}.conf`);
  const own = backupsOfGuest(file.config.identity, storedOf(options.directory, vmid));
  const about = {
    version: FORMAT_VERSION,
    vmid,
    node: options.node,
    takenAt,
    digest,
    ...purpose,
    own: ownValues(file.config, own).values,
  };
  try {
    prepareDirectory(options.directory, directory);
    removeLeftovers(directory, base, nowMs);
    // The description first: a copy that is there is then always described.
    writeDurably(directory, `${base}.json`, Buffer.from(`${JSON.stringify(about, null, 2)}\n`));
    writeDurably(directory, `${base}.conf`, file.content);
    syncDirectory(directory);
    if (!readFileSync(path).equals(file.content)) throw new Error('it reads back differently');
  } catch (error) {
    removeQuietly(directory, base);
    const what = `The backup of ${guestInside(file.config)} could not be written to ${directory}`;
    return { ok: false, message: `${what}: ${describeError(error)}.` };
  }
  prune(directory, base, nowMs, options, vmid);
  return { ok: true, path };
}

/** Makes what is missing, for root only. The container's directory itself must not be a link. */
function prepareDirectory(backupDirectory: string, directory: string): void {
  makeDirectories(backupDirectory, 0o700);
  if (makeDirectory(directory, 0o700)) syncDirectory(backupDirectory);
  refuseLink(directory);
}

/**
 * What an earlier process left when it was killed in the middle. What another one has just begun
 * stays: a rollback by hand writes beside the daemon.
 */
function removeLeftovers(directory: string, current: string, nowMs: Milliseconds): void {
  for (const name of readdirSync(directory)) {
    const base = TEMPORARY_FILE.exec(name)?.[1];
    const begunAtMs = parseBackupId(base ?? '')?.takenAtMs;
    if (begunAtMs === undefined) continue;
    if (base === current || Math.abs(nowMs - begunAtMs) > LONGEST_WRITE_MS) {
      rmSync(join(directory, name), { force: true });
    }
  }
}

function removeQuietly(directory: string, base: string): void {
  for (const extension of ['conf', 'json']) {
    try {
      rmSync(join(directory, `${base}.${extension}`), { force: true });
    } catch {
      // The failure to write is already told; a file that can't be removed does no further harm.
    }
  }
}

/**
 * Removes the copies that are too many or too old; see `surplusBackups`. Never the one just made,
 * even if the clock has gone back.
 */
function prune(
  directory: string,
  current: string,
  nowMs: Milliseconds,
  { directory: all, keep = KEEP, keepMs = KEEP_MS }: BackupOptions,
  vmid: Vmid,
): void {
  try {
    const names = new Set(readdirSync(directory));
    for (const name of names) {
      const base = BACKUP_FILE.exec(name)?.[1] ?? '';
      const takenAtMs = parseBackupId(base)?.takenAtMs;
      if (takenAtMs === undefined || names.has(`${base}.conf`)) continue;
      // Of a process that was killed between the two: it counts for nothing, and goes.
      if (Math.abs(nowMs - takenAtMs) > LONGEST_WRITE_MS) removeQuietly(directory, base);
    }
    const limits = { keep, keepMs: milliseconds(keepMs) };
    const surplus = surplusBackups(storedOf(all, vmid), current, nowMs, limits);
    for (const { id } of surplus) removeQuietly(directory, id);
  } catch {
    // The copy is safely there; too many old ones are no reason to hold a change back.
  }
}

function storedOf(directory: string, vmid: Vmid): readonly StoredBackup[] {
  const listing = listBackups(directory, vmid);
  return listing.ok ? listing.value.backups : [];
}
