import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** One text file of bounded size, read without ever hanging or filling the memory. */

export type FileText =
  | { readonly ok: true; readonly text: string }
  /** A plain sentence without its full stop: what is wrong, what to do. */
  | { readonly ok: false; readonly message: string };

/** A configuration has some kilobytes. What is a thousand times that is another file. */
export const MAX_FILE_BYTES = 1024 * 1024;

const TOO_BIG =
  'is larger than 1 MiB, so it is no configuration of this program; check the path after --config';

const NO_TEXT = 'is not a text file in UTF-8; check the path after --config, or save it as UTF-8';

/** Who saves a file is done with it in a moment. */
const MOST_TRIES = 3;

const IN_HAND =
  'changes while it is read, or comes out shorter than it is; try again when it has been saved';

/**
 * Reads a regular file as UTF-8. It is opened without blocking, since opening a pipe for reading
 * would wait for a writer, and its size is looked at before anything is read. A part of a file is
 * never taken for the whole: half a configuration may be a valid one, with other limits.
 */
export function readTextFile(path: string): FileText {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const file = readOnce(path);
    if (file !== undefined) return file;
  }
  return { ok: false, message: IN_HAND };
}

/** undefined if it changed meanwhile, or something is missing of it. */
function readOnce(path: string): FileText | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    return { ok: false, message: whyNot(error) };
  }
  try {
    return readOpened(fd);
  } catch (error) {
    return { ok: false, message: whyNot(error) };
  } finally {
    closeSync(fd);
  }
}

function readOpened(fd: number): FileText | undefined {
  const stat = fstatSync(fd);
  if (stat.isDirectory()) {
    return { ok: false, message: 'is a directory; give the path of the configuration file in it' };
  }
  if (!stat.isFile()) {
    return { ok: false, message: 'is not a regular file; give the path of a text file' };
  }
  if (stat.size > MAX_FILE_BYTES) return { ok: false, message: TOO_BIG };
  // One byte more than allowed: the file may have grown since, and some file systems report 0.
  const chunks: Buffer[] = [];
  let total = 0;
  while (total <= MAX_FILE_BYTES) {
    const chunk = Buffer.alloc(Math.min(65_536, MAX_FILE_BYTES + 1 - total));
    const count = readSync(fd, chunk, 0, chunk.length, null);
    if (count === 0) break;
    chunks.push(chunk.subarray(0, count));
    total += count;
  }
  if (total > MAX_FILE_BYTES) return { ok: false, message: TOO_BIG };
  const after = fstatSync(fd);
  if (after.mtimeMs !== stat.mtimeMs || after.size !== stat.size) return undefined;
  if (stat.size > 0 && total !== stat.size) return undefined;
  const content = Buffer.concat(chunks, total);
  if (content.includes(0) || !isUtf8(content)) return { ok: false, message: NO_TEXT };
  return { ok: true, text: content.toString('utf8') };
}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist; create it, or give the path of another one after --config',
  ENOTDIR: 'does not exist, since a part of its path is no directory; check the path',
  EACCES: 'may not be read; run this as root, or check the permissions of the file and its path',
  EPERM: 'may not be read; run this as root, or check the permissions of the file and its path',
  ELOOP: 'is a symbolic link that leads back to itself; mend the link',
  ENAMETOOLONG: 'has a path that is too long; check the path after --config',
  ENXIO: 'is not a regular file; give the path of a text file',
  ERR_INVALID_ARG_VALUE: 'has a path that holds a null byte; check the path after --config',
};

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  return SENTENCES[code] ?? `could not be read (${code})`;
}
