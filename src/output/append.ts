import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

export type AppendOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly message: string };

/** How large a file may grow before it is moved aside, to `.1`, which goes to `.2` and so on. */
export interface Rotation {
  readonly maxBytes: number;
  /** How many of the files that were moved aside stay. */
  readonly keep: number;
}

const NEWLINE = 0x0a;
const FILE_MODE = 0o640;

const DIRECTORY_MODE = 0o755;

const { O_RDWR, O_APPEND, O_CREAT, O_NONBLOCK, O_NOFOLLOW } = constants;
/**
 * Readable too, for the look at the last byte; not blocking, should a pipe stand there; and what a
 * link laid in its place leads to is never written to.
 */
const FLAGS = O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_NOFOLLOW;

function openForAppending(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, FLAGS, FILE_MODE);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ELOOP') throw new Error(`${path} is a symbolic link, which is not followed`);
    if (code !== 'ENOENT') throw error;
    mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
    fd = openSync(path, FLAGS, FILE_MODE);
  }
  const wrong = whyNotOurs(path, fd);
  if (wrong === undefined) return fd;
  close(fd);
  throw new Error(wrong);
}

/** A hard link too may have been laid there, so that lines end up in a file of somebody else. */
function whyNotOurs(path: string, fd: number): string | undefined {
  const stat = fstatSync(fd);
  if (stat.isFile() && stat.nlink > 1) return `${path} is a hard link, and is left as it is`;
  return undefined;
}

/** A crash or a full disk may have left half a line; the next one must not be glued to it. */
function endsInHalfALine(fd: number, size: number): boolean {
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  return readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
}

function append(fd: number, line: string): AppendOutcome {
  const { size } = fstatSync(fd);
  const healed = endsInHalfALine(fd, size);
  const content = Buffer.from(`${healed ? '\n' : ''}${line}\n`, 'utf8');
  const written = writeSync(fd, content);
  if (written === content.length) return { ok: true };
  // Half a line helps nobody: it is taken back, unless somebody else has written after it.
  if (fstatSync(fd).size === size + written) ftruncateSync(fd, size);
  const message = `only ${written} of ${content.length} bytes could be written, the disk is full?`;
  return { ok: false, message };
}

/**
 * Appends one line (without its newline) to a file and has handed it to the kernel when it returns,
 * in a single write. The file is opened anew each time (20 us), so that a rotated or removed one is
 * followed without a signal; missing directories are made; a new file gets mode 0640. A file that
 * the line would make larger than `rotation` allows is moved aside first.
 * All failures are values, with the words of the operating system.
 */
export function appendLine(path: string, line: string, rotation?: Rotation): AppendOutcome {
  let fd: number | undefined;
  try {
    fd = openForAppending(path);
    if (rotation !== undefined && isFull(path, fd, line, rotation)) {
      close(fd);
      fd = undefined;
      moveAside(path, rotation.keep);
      fd = openForAppending(path);
    }
    return append(fd, line);
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  } finally {
    if (fd !== undefined) close(fd);
  }
}

/** Whether the line has to go into a new file. One that another process has just moved is left. */
function isFull(path: string, fd: number, line: string, { maxBytes }: Rotation): boolean {
  const { size, ino, dev } = fstatSync(fd);
  if (size === 0 || size + Buffer.byteLength(line) + 1 <= maxBytes) return false;
  const there = statSync(path, { throwIfNoEntry: false });
  return there?.isFile() === true && there.ino === ino && there.dev === dev;
}

/** A file that cannot be moved grows on: a line that is lost is worse than a file too large. */
function moveAside(path: string, keep: number): void {
  try {
    const nameOf = (age: number): string => (age === 0 ? path : `${path}.${age}`);
    let free = 1;
    // One that was cut off in the middle has left a place free: what is older stays then.
    while (free < keep && statSync(nameOf(free), { throwIfNoEntry: false }) !== undefined) {
      free += 1;
    }
    for (let age = free; age > 0; age -= 1) renameSync(nameOf(age - 1), nameOf(age));
  } catch {
    // The next line tries again.
  }
}

function close(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The line was written or its failure is on its way; the descriptor is gone either way.
  }
}
