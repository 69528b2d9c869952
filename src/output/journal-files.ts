import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { describeError, errorCode } from '../os/os-error.ts';

/** The JSON log and its rotated predecessors, read from the oldest line to the newest. */

export interface JournalFiles {
  /** Descriptors, the oldest file first. */
  readonly open: readonly number[];
  /** Sentences on files that are there and cannot be read. */
  readonly problems: readonly string[];
}

const MOST_PREDECESSORS = 9;
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Opens the log and `log.1` to `log.9`, as far as they are there. The newest is opened first, and
 * no file twice: a rotation in between moves a file to a name that is opened later.
 */
export function openJournalFiles(path: string): JournalFiles {
  const open: number[] = [];
  const problems: string[] = [];
  const seen = new Set<string>();
  for (let age = 0; age <= MOST_PREDECESSORS; age += 1) {
    const file = age === 0 ? path : `${path}.${age}`;
    try {
      const fd = openSync(file, FLAGS);
      const { dev, ino, size } = fstatSync(fd);
      const isNew = fstatSync(fd).isFile() && !seen.has(`${dev}/${ino}`) && size > 0;
      seen.add(`${dev}/${ino}`);
      if (isNew) open.unshift(fd);
      else closeSync(fd);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') problems.push(`${file}: ${describeError(error)}`);
    }
  }
  return { open, problems };
}

const CHUNK_BYTES = 64 * 1024;
/** The journal writes none longer than a quarter of it. */
const LONGEST_LINE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/**
 * The lines of a file, read in chunks and closed at the end; undefined stands for a line that is
 * too long to be one of ours.
 */
export function* linesOf(fd: number): Generator<string | undefined> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let rest: Buffer = Buffer.alloc(0);
  let tooLong = false;
  try {
    for (;;) {
      const length = readSync(fd, chunk, 0, CHUNK_BYTES, null);
      if (length === 0) break;
      let start = 0;
      for (;;) {
        const end = chunk.subarray(0, length).indexOf(NEWLINE, start);
        if (end < 0) break;
        const line = Buffer.concat([rest, chunk.subarray(start, end)]);
        yield tooLong || line.length > LONGEST_LINE_BYTES ? undefined : line.toString('utf8');
        rest = Buffer.alloc(0);
        tooLong = false;
        start = end + 1;
      }
      rest = Buffer.concat([rest, chunk.subarray(start, length)]);
      if (rest.length > LONGEST_LINE_BYTES) {
        rest = Buffer.alloc(0);
        tooLong = true;
      }
    }
    if (tooLong) yield undefined;
    else if (rest.length > 0) yield rest.toString('utf8');
  } finally {
    closeSync(fd);
  }
}
