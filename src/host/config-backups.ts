import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path/posix';
import type { BackupOutcome, BackupPurpose, Backups, Clock, GuestFile } from '../ports.ts';
import { makeDirectories, makeDirectory, refuseLink } from './directories.ts';
import { describeError } from './os-error.ts';

/**
 * Copies of container configurations, made before each change: `VMID/TIME-DIGEST.conf` byte for
 * byte, and beside it a `.json` that says what it was made for.
 */

export interface BackupOptions {
  /** `backup_dir` of the configuration, already under the sysroot. */
  readonly directory: string;
  readonly node: string;
  readonly clock: Clock;
  /** How many copies of each container stay. */
  readonly keep?: number;
}

const KEEP = 20;
/** Of the `.json`; to be raised when a field changes its meaning. */
const FORMAT_VERSION = 1;
const BACKUP_NAME = /^([0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{8})\.(conf|json)$/;
const LEFTOVER_NAME = /^\..+\.tmp$/;

export function createBackups(options: BackupOptions): Backups {
  return { write: (file, purpose) => writeBackup(options, file, purpose) };
}

function writeBackup(
  options: BackupOptions,
  file: GuestFile,
  purpose: BackupPurpose,
): BackupOutcome {
  const { vmid, digest } = file.config;
  const directory = join(options.directory, String(vmid));
  const takenAt = new Date(options.clock.wallMs()).toISOString();
  const base = `${takenAt.replace(/[-:]/g, '')}-${digest.slice(0, 8)}`;
  const path = join(directory, `${base}.conf`);
  const about = { version: FORMAT_VERSION, vmid, node: options.node, takenAt, digest, ...purpose };
  try {
    prepareDirectory(options.directory, directory);
    removeLeftovers(directory);
    // The description first: a copy that is there is then always described.
    writeDurably(directory, `${base}.json`, Buffer.from(`${JSON.stringify(about, null, 2)}\n`));
    writeDurably(directory, `${base}.conf`, file.content);
    syncDirectory(directory);
    if (!readFileSync(path).equals(file.content)) throw new Error('it reads back differently');
  } catch (error) {
    removeQuietly(directory, base);
    const what = `The backup of container ${vmid} could not be written to ${directory}`;
    return { ok: false, message: `${what}: ${describeError(error)}.` };
  }
  prune(directory, base, options.keep ?? KEEP);
  return { ok: true, path };
}

/** Makes what is missing, for root only. The container's directory itself must not be a link. */
function prepareDirectory(backupDirectory: string, directory: string): void {
  makeDirectories(backupDirectory, 0o700);
  if (makeDirectory(directory, 0o700)) syncDirectory(backupDirectory);
  refuseLink(directory);
}

/** Temporary file in the same directory, fsync, rename. Leaves no temporary file when it throws. */
function writeDurably(directory: string, name: string, content: Uint8Array): void {
  const temporary = join(directory, `.${name}.tmp`);
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const descriptor = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      writeFileSync(descriptor, content);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, join(directory, name));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** What an earlier process left when it was killed in the middle. Only one process writes here. */
function removeLeftovers(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (LEFTOVER_NAME.test(name)) rmSync(join(directory, name), { force: true });
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

/** Keeps the newest copies. Never the one just made, also where the clock has gone back. */
function prune(directory: string, current: string, keep: number): void {
  try {
    const bases = new Set<string>();
    for (const name of readdirSync(directory)) {
      const base = BACKUP_NAME.exec(name)?.[1];
      if (base !== undefined && base !== current) bases.add(base);
    }
    const oldestFirst = [...bases].sort();
    for (const base of oldestFirst.slice(0, Math.max(0, oldestFirst.length - (keep - 1)))) {
      removeQuietly(directory, base);
    }
  } catch {
    // The copy is safely there; too many old ones are no reason to hold a change back.
  }
}
