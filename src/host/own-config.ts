import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname } from 'node:path/posix';
import { syncDirectory, writeDurably } from './durable-file.ts';

/** The configuration of this program as a file: written whole, and never without a backup. */

export type Written =
  | {
      readonly ok: true;
      /** The copy of what was there; undefined where there was nothing. */
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
    if (before !== undefined) {
      const mode = before.mode & LOOSEST_MODE;
      backup = copyAside(target, stamp, mode);
      chownSync(backup, before.uid, before.gid);
    }
    writeDurably(dirname(target), basename(target), Buffer.from(text));
    if (before !== undefined) chownSync(target, before.uid, before.gid);
    chmodSync(target, before === undefined ? LOOSEST_MODE : before.mode & LOOSEST_MODE);
    syncDirectory(dirname(target));
    return { ok: true, backup };
  } catch (error) {
    return { ok: false, message: `${path} could not be written: ${whyNot(error)}` };
  }
}

/** Several in one second get a number each: a backup is never overwritten. */
function copyAside(target: string, stamp: string, mode: number): string {
  const content = readFileSync(target);
  for (let count = 1; ; count++) {
    const copy = `${target}.${stamp}${count === 1 ? '' : `-${count}`}.backup`;
    if (existsSync(copy) && count < 1000) continue;
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const descriptor = openSync(copy, O_WRONLY | O_CREAT | O_EXCL, mode);
    try {
      writeFileSync(descriptor, content);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    return copy;
  }
}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOENT: 'its directory does not exist',
  EACCES: 'permission denied; run this as root',
  EPERM: 'permission denied; run this as root',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
  EEXIST: 'a temporary file is in the way (.NAME.tmp beside it); remove it',
};

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  return SENTENCES[code] ?? code;
}
