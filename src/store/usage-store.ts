import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path/posix';
import {
  dayOf,
  MOST_PARTS,
  surplusFiles,
  USAGE_HEADER,
  type UsageFile,
  usageFileName,
} from '../core/usage-history.ts';
import { makeDirectories, refuseLink } from '../os/directories.ts';
import { syncDirectory, temporaryName } from '../os/durable-file.ts';
import { describeError, errorCode } from '../os/os-error.ts';
import { listUsageFiles } from './usage-files.ts';

/**
 * Writes the history of usage. It spares the disk: lines wait in memory for a quarter of an hour
 * and are then written in one piece, without a sync; a finished file is packed. What a crash takes
 * is the last quarter of an hour; a line that it cuts in two is dropped.
 */

export interface UsageStore {
  /** Lines of one cycle, each with its newline. `idleS`: so long nothing more will come. */
  append(lines: string, timeS: number, idleS: number): void;
  /** Writes what waits, and resolves when no file is being packed any more. */
  close(): Promise<void>;
}

export interface UsageStoreOptions {
  /** Already under the sysroot. */
  readonly directory: string;
  /** How many days are kept. */
  readonly days: () => number;
  /** Told once when something begins to go wrong, and once when it is well again. */
  readonly complain: (message: string) => void;
}

const MOST_BYTES = 50_000_000;
const MOST_PART_BYTES = 4_000_000;
/** The file in the writing, the one that is being packed and what becomes of it come on top. */
const MOST_FINISHED_BYTES = MOST_BYTES - 3 * MOST_PART_BYTES;
const LONGEST_WAIT_S = 900;
const MOST_WAITING = 32 * 1024;
/** Where nothing can be written, this much is kept for when it can be again. */
const MOST_KEPT = 8 * MOST_WAITING;

export function createUsageStore(options: UsageStoreOptions): UsageStore {
  const { directory } = options;
  let waiting = '';
  let firstS = 0;
  let current: UsageFile | undefined;
  let failing = false;
  let cannotPack = false;
  let packing: Promise<void> = Promise.resolve();
  const begin = (day: string): UsageFile => {
    // What this process has finished is being packed, and nothing more is added to it.
    const next = partToWrite(directory, day, current === undefined);
    tidy(directory, options.days(), next);
    packing = packing.then(async () => {
      const failure = await packFinished(directory, () => current);
      if (failure !== undefined && !cannotPack) options.complain(failure);
      cannotPack = failure !== undefined;
    });
    return next;
  };
  const write = (): void => {
    if (waiting === '') return;
    const day = dayOf(firstS);
    try {
      prepare(directory);
      const isOver = current?.day !== day || current.bytes >= MOST_PART_BYTES;
      if (current === undefined || isOver) current = begin(day);
      const bytes = appendTo(join(directory, usageFileName(current)), waiting);
      current = { ...current, bytes };
      waiting = '';
      if (failing) options.complain(`The usage history is written again to ${directory}`);
      failing = false;
    } catch (error) {
      if (!failing) options.complain(`${NOT_WRITTEN} ${directory}: ${describeError(error)}`);
      failing = true;
      if (waiting.length > MOST_KEPT) waiting = '';
    }
  };
  return {
    append(lines, timeS, idleS) {
      if (waiting !== '' && dayOf(firstS) !== dayOf(timeS)) {
        write();
        waiting = '';
      }
      if (waiting === '') firstS = timeS;
      waiting += lines;
      // A clock that was set back must not make it wait for ever.
      const waitedS = Math.abs(timeS - firstS) + idleS;
      if (waiting.length >= MOST_WAITING || waitedS > LONGEST_WAIT_S) write();
    },
    async close() {
      write();
      await packing;
    },
  };
}

const NOT_WRITTEN = 'The usage history cannot be written to';

function prepare(directory: string): void {
  makeDirectories(directory, 0o700);
  refuseLink(directory);
}

const filesIn = (directory: string): readonly UsageFile[] => {
  const files = listUsageFiles(directory);
  return files.ok ? files.value : [];
};

/** The last part of the day if that may go on, else a new one after it. */
function partToWrite(directory: string, day: string, mayGoOn: boolean): UsageFile {
  const last = filesIn(directory)
    .filter((file) => file.day === day)
    .at(-1);
  if (last === undefined) return { day, part: 1, packed: false, bytes: 0 };
  if (mayGoOn && !last.packed && last.bytes < MOST_PART_BYTES) return last;
  const part = Math.min(last.part + 1, MOST_PARTS);
  return { day, part, packed: false, bytes: 0 };
}

function tidy(directory: string, days: number, current: UsageFile): void {
  const others = filesIn(directory).filter((file) => !isSame(file, current));
  const all = [...others, { ...current, bytes: 0 }];
  const surplus = surplusFiles(all.sort(byTime), { days, bytes: MOST_FINISHED_BYTES });
  for (const file of surplus) {
    if (!isSame(file, current)) rmSync(join(directory, usageFileName(file)), { force: true });
  }
}

const isSame = (one: UsageFile, other: UsageFile): boolean =>
  one.day === other.day && one.part === other.part;

const byTime = (one: UsageFile, other: UsageFile): number =>
  usageFileName(one) < usageFileName(other) ? -1 : 1;

const { O_RDONLY, O_WRONLY, O_RDWR } = constants;
const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;
const FLAGS = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK;

/** Returns how long the file is then. Throws what the system says; half a line is taken back. */
function appendTo(path: string, lines: string): number {
  const fd = openSync(path, FLAGS, 0o600);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error(`${path} is no regular file`);
    if (stat.nlink > 1) throw new Error(`${path} is a hard link, and is left as it is`);
    const size = withoutTornEnd(fd);
    const content = Buffer.from(size === 0 ? `${USAGE_HEADER}\n${lines}` : lines);
    const written = writeSync(fd, content);
    if (written < content.length) {
      ftruncateSync(fd, size);
      throw new Error(`only ${written} of ${content.length} bytes could be written`);
    }
    return size + written;
  } finally {
    closeSync(fd);
  }
}

const NEWLINE = 0x0a;

/** Drops what a crash has left behind the last newline. Returns how long the file is then. */
function withoutTornEnd(fd: number): number {
  const { size } = fstatSync(fd);
  const chunk = Buffer.alloc(4096);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunk.length);
    const length = readSync(fd, chunk, 0, end - start, start);
    const newline = chunk.subarray(0, length).lastIndexOf(NEWLINE);
    if (newline >= 0) {
      if (start + newline + 1 < size) ftruncateSync(fd, start + newline + 1);
      return start + newline + 1;
    }
    end = start;
  }
  if (size > 0) ftruncateSync(fd, 0);
  return 0;
}

/**
 * Packs every file but the current one, to about a fourth of its size. Returns what went wrong; the
 * file then stays as it is until the next one is finished.
 */
async function packFinished(
  directory: string,
  current: () => UsageFile | undefined,
): Promise<string | undefined> {
  const files = filesIn(directory);
  // A crash may leave both the packed file and that which it was made of.
  const isPacked = (one: UsageFile): boolean =>
    files.some((other) => other.packed && isSame(one, other));
  for (const file of files) {
    const now = current();
    if (file.packed || now === undefined || isSame(file, now)) continue;
    const path = join(directory, usageFileName(file));
    try {
      if (!isPacked(file)) await pack(directory, file);
      rmSync(path, { force: true });
    } catch (error) {
      // It was the oldest and had to go meanwhile.
      if (errorCode(error) === 'ENOENT') continue;
      return `${path} of the usage history could not be packed: ${describeError(error)}`;
    }
  }
  return undefined;
}

const PIECE_BYTES = 128 * 1024;

/**
 * The packed file is durable before that which it is made of goes. It is packed in pieces, each a
 * whole gzip member, with a breath between them: streams would take 2 MB for good.
 */
async function pack(directory: string, file: UsageFile): Promise<void> {
  const { gzipSync } = await import('node:zlib');
  const name = usageFileName({ ...file, packed: true });
  const temporary = join(directory, temporaryName(name));
  rmSync(temporary, { force: true });
  const piece = Buffer.alloc(PIECE_BYTES);
  let from = -1;
  let to = -1;
  try {
    from = openSync(join(directory, usageFileName(file)), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    to = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    for (;;) {
      const length = readSync(from, piece);
      if (length === 0) break;
      writeFileSync(to, gzipSync(piece.subarray(0, length)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    fsyncSync(to);
    renameSync(temporary, join(directory, name));
    syncDirectory(directory);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    if (from >= 0) closeSync(from);
    if (to >= 0) closeSync(to);
  }
}
