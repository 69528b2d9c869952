import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  rmSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path/posix';
import { makeDirectories, makePrivateDirectory } from './directories.ts';
import { searchPath } from './executable-files.ts';
import { describeError } from './os-error.ts';
import { readRegularFile } from './regular-file.ts';
import type { Sysroot } from './sysroot.ts';

/**
 * One lock for the host, so that two daemons never scale the same containers, whatever their
 * configurations say. It is a flock(2) on a file in a directory that only root may enter. The
 * kernel keeps it for as long as this process lives, also while it stands still, and frees it with
 * the process, however that ends: there is nothing to renew, and nothing becomes stale.
 *
 * Node has no flock(2). The lock belongs to the open file, and not to the process that asks for it:
 * flock(1) takes it on the descriptor that it inherits, and ends. No other child inherits that
 * descriptor, so a `pct` that outlives the daemon does not hold the lock.
 */
const HOST_LOCK = '/run/lxc_autoscale/lock';

export type LockOutcome =
  | HeldLock
  | HeldElsewhere
  /** It can't be had for another reason, which is told in a sentence. */
  | { readonly ok: false; readonly running: false; readonly message: string };

export interface HeldLock {
  readonly ok: true;
  /** Why `lock_file` could not be written: a sentence, and no reason not to go on. */
  readonly remark: string | undefined;
  /** Which lock it is, among all of this boot of the host. */
  readonly place: string;
  /** Gives the lock back, once. */
  release(): void;
}

/** Another process holds the lock at `path`. */
export interface HeldElsewhere {
  readonly ok: false;
  readonly running: true;
  readonly path: string;
  /** Where it could be read. */
  readonly pid: number | undefined;
}

/** It asks the kernel one thing and ends; a machine under load may take its time to start it. */
const FLOCK_LIMIT_MS = 10_000;
/** What flock(1) ends with if another process holds the lock. */
const CONFLICT = 1;
/** A process id with its newline. */
const MOST_BYTES = 32;

/**
 * Takes the lock of the host, or says at once that another process has it.
 *
 * @param lockFile gets the process id, for scripts that look at it; it decides nothing
 */
export function acquireHostLock(paths: Sysroot, lockFile: string): LockOutcome {
  const path = paths.at(HOST_LOCK);
  let descriptor: number | undefined;
  try {
    makePrivateDirectory(dirname(path));
    const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    descriptor = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    const { nlink } = fstatSync(descriptor);
    if (nlink > 1) throw new Error('it is a hard link');
    if (!flock(descriptor)) {
      closeSync(descriptor);
      return { ok: false, running: true, path, pid: readPid(path) };
    }
    return hold(descriptor, lockFile);
  } catch (error) {
    if (descriptor !== undefined) closeSync(descriptor);
    const message = `The lock ${path} can't be taken: ${describeError(error)}.`;
    return { ok: false, running: false, message };
  }
}

/** Returns whether the lock on the open file is ours now. */
function flock(descriptor: number): boolean {
  const { error, status, stderr } = spawnSync('flock', ['--nonblock', '3'], {
    env: { PATH: searchPath({}) },
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe', descriptor],
    timeout: FLOCK_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  if (error !== undefined) throw new Error(`flock could not be run: ${describeError(error)}`);
  if (status === 0) return true;
  const said = stderr.toString('utf8').trim();
  // It says nothing if the lock is held, and something if it cannot tell.
  if (status === CONFLICT && said === '') return false;
  throw new Error(`flock ended with ${status}: ${said}`);
}

function hold(descriptor: number, lockFile: string): HeldLock {
  const own = `${process.pid}\n`;
  try {
    ftruncateSync(descriptor, 0);
    writeSync(descriptor, own, 0);
  } catch {
    // On a full disk nobody learns the process id from here.
  }
  const lock = fstatSync(descriptor);
  const remark = announce(lockFile, own, lock);
  let released = false;
  return {
    ok: true,
    remark,
    place: `${lock.dev}:${lock.ino}`,
    release() {
      if (released) return;
      released = true;
      if (remark === undefined) withdraw(lockFile, own, lock);
      try {
        closeSync(descriptor);
      } catch {
        // The kernel lets go of it when this process ends, and what was done is done.
      }
    },
  };
}

/**
 * Writes the process id to `lock_file`. Its directory is often writable for all, so that only what
 * looks like such a file is replaced, by one made anew. Returns why it could not be written.
 */
function announce(lockFile: string, own: string, lock: Stats): string | undefined {
  try {
    makeDirectories(dirname(lockFile), 0o755);
    if (isSame(lockFile, lock)) return undefined;
    const before = lstatSync(lockFile, { throwIfNoEntry: false });
    if (before !== undefined) {
      if (before.isSymbolicLink()) throw new Error('it is a symbolic link');
      if (!PID_OR_NOTHING.test(textOf(lockFile))) throw new Error('the existing file is kept');
      rmSync(lockFile);
    }
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const descriptor = openSync(lockFile, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
    try {
      writeSync(descriptor, own);
    } finally {
      closeSync(descriptor);
    }
    return undefined;
  } catch (error) {
    const why = describeError(error);
    return `lock_file ${lockFile} does not hold the process id of this daemon: ${why}`;
  }
}

function withdraw(lockFile: string, own: string, lock: Stats): void {
  try {
    if (!isSame(lockFile, lock) && textOf(lockFile) === own) rmSync(lockFile);
  } catch {
    // A process id that stays behind is that of a dead process.
  }
}

/** The lock itself must never be replaced: `lock_file` may name it, also by way of a link. */
function isSame(lockFile: string, { dev, ino }: Stats): boolean {
  const stat = lstatSync(lockFile, { throwIfNoEntry: false });
  return stat !== undefined && stat.dev === dev && stat.ino === ino;
}

const PID_OR_NOTHING = /^([1-9][0-9]{0,8}\n?)?$/;

/** Not empty if it is no plain file, or a larger one. */
function textOf(file: string): string {
  const text = readRegularFile(file, MOST_BYTES);
  return text.ok ? text.value.toString('latin1') : text.detail;
}

/** The process id that the holder has written; undefined if there is none as a whole. */
function readPid(path: string): number | undefined {
  const text = textOf(path);
  return /^[1-9][0-9]{0,8}\n$/.test(text) ? Number.parseInt(text, 10) : undefined;
}
