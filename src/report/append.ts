import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

export type AppendOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly message: string };

const NEWLINE = 0x0a;
const FILE_MODE = 0o640;

/** Readable too, for the look at the last byte; not blocking, should a pipe stand there. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

function openForAppending(path: string): number {
  try {
    return openSync(path, FLAGS, FILE_MODE);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    mkdirSync(dirname(path), { recursive: true });
    return openSync(path, FLAGS, FILE_MODE);
  }
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
 * followed without a signal; missing directories are made; a new file gets mode 0640.
 * All failures are values, with the words of the operating system.
 */
export function appendLine(path: string, line: string): AppendOutcome {
  let fd: number | undefined;
  try {
    fd = openForAppending(path);
    return append(fd, line);
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  } finally {
    if (fd !== undefined) close(fd);
  }
}

function close(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The line was written or its failure is on its way; the descriptor is gone either way.
  }
}
