import { closeSync, constants, openSync, readdirSync, readSync, statSync } from 'node:fs';
import type { Milliseconds } from '../core/units.ts';

/**
 * The few calls by which files of a node are read. Those of this host go straight to the system;
 * what was fetched of another host answers the same calls. All throw errors with a code as those
 * of the system have, such as `ENOENT`.
 */
export interface ReadableFiles {
  open(path: string): number;
  /** Returns the number of bytes; 0 at the end. Without a position it goes on from the last one. */
  read(fd: number, buffer: Buffer, offset: number, length: number, position: number | null): number;
  close(fd: number): void;
  /** undefined: there is nothing. */
  stat(path: string): FileStatus | undefined;
  names(path: string): readonly string[];
}

export interface FileStatus {
  readonly ino: number;
  /** 0 if the file system keeps none. */
  readonly birthtimeMs: number;
  readonly mtimeMs: number;
  isDirectory(): boolean;
  /** By the monotonic clock of who reads; undefined: now. */
  readonly seenAtMs?: Milliseconds;
}

export const FILES_OF_THIS_HOST: ReadableFiles = {
  // A pipe that somebody has laid in the place of a file is not waited for.
  open: (path) => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
  read: readSync,
  close: closeSync,
  stat: (path) => statSync(path, { throwIfNoEntry: false }),
  names: (path) => readdirSync(path),
};

/**
 * The inode, plus the time of birth where the file system keeps one. The kernel's cgroup file
 * system keeps none and gives every cgroup a new inode; a plain tree gives an inode out again at
 * once, and there the time of birth tells a directory from the one that it replaced.
 */
export function identityOf(stats: FileStatus): number {
  return stats.ino + stats.birthtimeMs;
}
