import type { Missing } from '../core/reading.ts';
import { missing } from '../core/reading.ts';

/** What the operating system says when something fails, in words. */

const IN_WORDS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'permission denied'],
  ['EPERM', 'not permitted'],
  ['ENOENT', 'no such file or directory'],
  ['ENOTDIR', 'a part of the path is not a directory'],
  ['EISDIR', 'it is a directory'],
  ['EEXIST', 'it exists already'],
  ['ELOOP', 'it is a symbolic link'],
  ['ENOSPC', 'no space left on the device'],
  ['EDQUOT', 'the disk quota is used up'],
  ['EROFS', 'the file system is read-only'],
  ['EIO', 'input/output error'],
  ['EMFILE', 'this process has too many open files'],
  ['ENFILE', 'the host has too many open files'],
  ['ENAMETOOLONG', 'the name is too long'],
  ['ENOTEMPTY', 'the directory is not empty'],
  ['ENOMEM', 'out of memory'],
]);

/** The error's code, e.g. `ENOENT`; undefined for what is no error of the operating system. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The error in words, with its code in brackets: `no space left on the device (ENOSPC)`. */
export function describeError(error: unknown): string {
  const code = errorCode(error);
  if (code !== undefined) return `${IN_WORDS.get(code) ?? 'the system refused it'} (${code})`;
  return error instanceof Error ? error.message : String(error);
}

/** An error as the system throws it, of which only the code has come. */
export const failed = (code: string, message = code): Error =>
  Object.assign(new Error(message), { code });

/**
 * Codes by which the system says that a thing is not there. ENODEV is a kernel file whose cgroup
 * has been removed; EOPNOTSUPP is a pressure file of a kernel that keeps no pressure account.
 */
const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENODEV', 'EOPNOTSUPP']);

/** A failed read as a typed reason: `absent` or `unreadable`. */
export function missingBecause(error: unknown, path: string): Missing {
  const why = ABSENT.has(errorCode(error) ?? '') ? 'absent' : 'unreadable';
  return missing(why, `${path}: ${describeError(error)}`);
}
