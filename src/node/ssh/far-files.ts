import { failed } from '../../os/os-error.ts';
import type { FileStatus, ReadableFiles } from '../../os/readable-files.ts';
import type { FarRecord } from './frames.ts';

/**
 * The files of a far node as the last look found them. They are read as those of this host are, by
 * the same readers. What was not asked for, or has not come, cannot be read, and is never absent.
 */
export class FarFiles implements ReadableFiles {
  #known = new Map<string, FarRecord>();
  #why = 'was not looked at yet';
  readonly #open = new Map<number, { readonly path: string; at: number }>();
  #nextFd = 3;

  /**
   * What a look at the node has found, in the place of all that was known.
   *
   * @param unchanged directories that were not asked for, since nothing in them has changed
   */
  replace(records: readonly FarRecord[], unchanged: readonly string[] = []): void {
    const before = this.#known;
    this.#known = new Map();
    const isKept = (path: string): boolean =>
      unchanged.some((directory) => path === directory || parentOf(path) === directory);
    this.merge(records, (path) => !isKept(path));
    for (const [path, record] of before) if (isKept(path)) this.#known.set(path, record);
  }

  /**
   * What a look at a part of it has found.
   *
   * @param isAsked what was not asked for is not kept: it would be there for good
   */
  merge(records: readonly FarRecord[], isAsked: (path: string) => boolean): void {
    for (const record of records) {
      if (!('path' in record) || !isAsked(record.path)) continue;
      // Its bytes lie in the answer, which would stay for as long as they do.
      const own = record.kind === 'file' ? { ...record, bytes: Buffer.from(record.bytes) } : record;
      this.#known.set(record.path, own);
    }
  }

  /** Nothing is known of what is below a directory: it is not what it was. */
  drop(directory: string): void {
    const below = `${directory}/`;
    for (const path of this.#known.keys()) if (path.startsWith(below)) this.#known.delete(path);
  }

  /** Nothing is known any more. */
  forget(why: string): void {
    this.#known = new Map();
    this.#why = why;
  }

  /** The bytes of a file, for who compares them. */
  bytes(path: string): Buffer | undefined {
    const record = this.#known.get(path);
    return record?.kind === 'file' ? record.bytes : undefined;
  }

  open(path: string): number {
    this.#find(path);
    const fd = this.#nextFd++;
    this.#open.set(fd, { path, at: 0 });
    return fd;
  }

  read(fd: number, buffer: Buffer, offset: number, length: number, position: number | null) {
    const open = this.#open.get(fd);
    if (open === undefined) throw failed('EBADF', 'it is not open');
    const record = this.#find(open.path);
    if (record.kind !== 'file') throw failed('EISDIR', `${open.path} is no file`);
    const from = position ?? open.at;
    const count = record.bytes.copy(buffer, offset, from, from + length);
    if (position === null) open.at += count;
    return count;
  }

  close(fd: number): void {
    this.#open.delete(fd);
  }

  stat(path: string): FileStatus | undefined {
    let record: FarRecord;
    try {
      record = this.#find(path);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
    if (record.kind !== 'directory') return PLAIN_FILE;
    const { ino, mtimeS, seenAtMs } = record;
    return { ino, birthtimeMs: 0, mtimeMs: mtimeS * 1000, isDirectory: () => true, seenAtMs };
  }

  names(path: string): readonly string[] {
    const record = this.#find(path);
    if (record.kind !== 'directory') throw failed('ENOTDIR', `${path} is no directory`);
    if (record.names === undefined) throw new Error('was not listed');
    return [...record.names];
  }

  #find(path: string): FarRecord {
    const record = this.#known.get(path);
    if (record === undefined) throw this.#whyUnknown(path);
    if (record.kind === 'error') throw failed(record.code, `${path}: ${record.code}`);
    return record;
  }

  /** A directory that was listed without it shows that it is not there. */
  #whyUnknown(path: string): Error {
    if (this.#isAbsent(path)) return failed('ENOENT', `${path}: not there`);
    return new Error(this.#known.size === 0 ? this.#why : 'was not part of the look');
  }

  #isAbsent(path: string): boolean {
    const parent = parentOf(path);
    if (parent === '') return false;
    const record = this.#known.get(parent);
    if (record === undefined) return this.#isAbsent(parent);
    if (record.kind === 'error') return record.code === 'ENOENT';
    return (
      record.kind === 'directory' && record.names?.has(path.slice(parent.length + 1)) === false
    );
  }
}

const PLAIN_FILE: FileStatus = { ino: 0, birthtimeMs: 0, mtimeMs: 0, isDirectory: () => false };

export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
