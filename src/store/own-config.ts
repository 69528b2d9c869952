import {
  existsSync,
  fchmodSync,
  fchownSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path/posix';
import { syncDirectory, writeDurably } from '../os/durable-file.ts';
import { errorCode } from '../os/os-error.ts';

/**
 * The configuration of this program as a file: written whole, and never without a backup. Nobody
 * holds a lock while he writes it, so that each process has a temporary file of its own.
 */

export type Written =
  | {
      readonly ok: true;
      /** The copy of what was there; undefined if there was nothing. */
      readonly backup: string | undefined;
    }
  /** A plain sentence without its full stop. */
  | { readonly ok: false; readonly message: string };

/** It may hold tokens, so others never read it. */
const LOOSEST_MODE = 0o640;

/**
 * Writes the file: backup, temporary file, fsync, rename. What was there is kept beside it as
 * `NAME.STAMP.backup` with its owner; permissions stay as they were or become tighter, 0640.
 *
 * @param path where; a link is followed
 * @param stamp `YYYYMMDD-HHMMSS`
 */
export function writeConfiguration(path: string, text: string, stamp: string): Written {
  let backup: string | undefined;
  try {
    const target = existsSync(path) ? realpathSync(path) : path;
    const before = statSync(target, { throwIfNoEntry: false });
    if (before !== undefined && !before.isFile()) {
      return { ok: false, message: `${path} is no regular file` };
    }
    const [directory, name] = [dirname(target), basename(target)];
    removeLeftovers(directory, name);
    const put = (file: string, content: Uint8Array): void =>
      writeDurably(directory, file, content, {
        temporary: `.${name}.${process.pid}.tmp`,
        prepare: (descriptor) => likeBefore(descriptor, before),
      });
    if (before !== undefined) {
      const copy = nameOfCopy(directory, name, stamp);
      put(copy, readFileSync(target));
      backup = join(directory, copy);
    }
    put(name, Buffer.from(text));
    syncDirectory(directory);
    return { ok: true, backup };
  } catch (error) {
    return { ok: false, message: `${path} could not be written: ${whyNot(error)}` };
  }
}

/** With the permissions and the owner that it has from its first moment on. */
function likeBefore(descriptor: number, before: Stats | undefined): void {
  fchmodSync(descriptor, before === undefined ? LOOSEST_MODE : before.mode & LOOSEST_MODE);
  if (before !== undefined) fchownSync(descriptor, before.uid, before.gid);
}

/** Several in one second get a number each: a backup is never overwritten. */
function nameOfCopy(directory: string, name: string, stamp: string): string {
  for (let count = 1; ; count++) {
    const copy = `${name}.${stamp}${count === 1 ? '' : `-${count}`}.backup`;
    if (!existsSync(join(directory, copy))) return copy;
  }
}

/** What a process left that was ended in the middle: its id is in the name. */
function removeLeftovers(directory: string, name: string): void {
  for (const file of readdirSync(directory)) {
    if (!file.startsWith(`.${name}.`) || !file.endsWith('.tmp')) continue;
    const pid = Number(file.slice(name.length + 2, -'.tmp'.length));
    if (!Number.isSafeInteger(pid) || pid <= 0) continue;
    if (pid === process.pid || !isAlive(pid)) rmSync(join(directory, file), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOENT: 'its directory does not exist',
  EACCES: 'permission denied; run this as root',
  EPERM: 'permission denied; run this as root',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
  EEXIST: 'a temporary file is in the way (.NAME.PID.tmp beside it); remove it',
};

const READ_ONLY =
  'it cannot be written, though this is root; /etc/pve is read-only without quorum: pvecm status';

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  const isRoot = process.geteuid?.() === 0;
  if (isRoot && (code === 'EACCES' || code === 'EPERM')) return READ_ONLY;
  return SENTENCES[code] ?? code;
}
