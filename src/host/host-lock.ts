import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmdirSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path/posix';
import { lockSync } from 'proper-lockfile';
import { makeDirectories } from './directories.ts';
import { describeError, errorCode } from './os-error.ts';

/**
 * One lock for the process, so that two daemons never scale the same containers. The lock itself
 * is the directory `<lock_file>.lock`, whose time is renewed while its holder lives; `lock_file` is
 * a plain file with the holder's process id, for people and for an answer without waiting.
 *
 * The library listens to SIGTERM and its like to remove the lock when a signal ends the process.
 * It leaves the process alone as soon as anybody else listens to that signal, so that the daemon's
 * own handlers decide when it ends; and the lock is removed on every orderly exit.
 */

export type LockOutcome =
  | HeldLock
  /** Somebody else holds it. `pid` where it could be read. */
  | { readonly ok: false; readonly running: true; readonly pid: number | undefined }
  /** It can't be had for another reason, which is told in a sentence. */
  | { readonly ok: false; readonly running: false; readonly message: string };

export interface HeldLock {
  readonly ok: true;
  /** Gives the lock back. Does nothing when it was lost or given back before. */
  release(): void;
  /**
   * Calls back, once, when the lock was taken from us: its directory was removed, or the process
   * stood still so long that another one took it. Also when that has happened already.
   */
  onLost(callback: (reason: string) => void): void;
}

/** After so long without renewal the holder is taken for dead. */
const STALE_MS = 5_000;
const RENEW_MS = 2_500;
const RETRY_MS = 500;
/** Together 12 s: what a holder killed without warning needs to become stale, and some more. */
const MOST_ATTEMPTS = 24;
/** 6 s in which a living holder would have renewed it, or given up itself. */
const UNMOVED_ATTEMPTS = 12;

/** Takes the lock, waiting for one whose holder is dead. Makes missing directories. */
export async function acquireHostLock(lockFile: string): Promise<LockOutcome> {
  try {
    makeDirectories(dirname(lockFile), 0o755);
  } catch (error) {
    return refused(lockFile, error);
  }
  const renewals = new Renewals(`${lockFile}.lock`);
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const lost = new LossNotice();
    try {
      // Synchronous, its renewals too: others wake four threads each time.
      const giveBack = lockSync(lockFile, {
        // The plain file need not be there, and a link laid in its place is not followed.
        realpath: false,
        stale: STALE_MS,
        update: RENEW_MS,
        onCompromised: (error) => lost.tell(error.message),
      });
      return hold(lockFile, giveBack, lost);
    } catch (error) {
      if (errorCode(error) !== 'ELOCKED') return refused(lockFile, error);
    }
    const pid = readPid(lockFile);
    if (pid !== undefined && pid !== process.pid && isAlive(pid)) {
      return { ok: false, running: true, pid };
    }
    if (renewals.unmoved() >= UNMOVED_ATTEMPTS) renewals.end();
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  return { ok: false, running: true, pid: readPid(lockFile) };
}

function hold(lockFile: string, giveBack: () => void, lost: LossNotice): LockOutcome {
  try {
    writePid(lockFile, `${process.pid}\n`);
  } catch (error) {
    quietly(giveBack);
    return refused(lockFile, error);
  }
  let released = false;
  return {
    ok: true,
    onLost: (callback) => lost.listen(callback),
    release() {
      if (released || lost.happened) return;
      released = true;
      try {
        writePid(lockFile, '');
      } catch {
        // A process id that stays behind is that of a dead process, which hinders nobody.
      }
      quietly(giveBack);
    },
  };
}

function quietly(giveBack: () => void): void {
  try {
    giveBack();
  } catch {
    // It fails only where the lock is no longer ours, and then there is nothing to give back.
  }
}

/**
 * Whether the lock is renewed, by looking and not by the clock: where that was set back after its
 * holder was killed, the lock bears a time to come and would not become stale before then.
 */
class Renewals {
  readonly #directory: string;
  #timeMs: number | undefined;
  #looks = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** How many looks in a row have found the same time. */
  unmoved(): number {
    const timeMs = statSync(this.#directory, { throwIfNoEntry: false })?.mtimeMs;
    this.#looks = timeMs !== undefined && timeMs === this.#timeMs ? this.#looks + 1 : 0;
    this.#timeMs = timeMs;
    return this.#looks;
  }

  /** Takes away what nobody holds any more. */
  end(): void {
    try {
      rmdirSync(this.#directory);
    } catch {
      // The next attempt tells why it cannot be had.
    }
  }
}

class LossNotice {
  #reason: string | undefined;
  #callback: ((reason: string) => void) | undefined;

  get happened(): boolean {
    return this.#reason !== undefined;
  }

  tell(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#callback?.(reason);
  }

  listen(callback: (reason: string) => void): void {
    this.#callback = callback;
    if (this.#reason !== undefined) callback(this.#reason);
  }
}

function refused(lockFile: string, error: unknown): LockOutcome {
  return {
    ok: false,
    running: false,
    message: `The lock file ${lockFile} can't be used: ${describeError(error)}.`,
  };
}

/**
 * Opens the plain file. Lock directories are often writable for all, so that a link or a pipe laid
 * there by another user must not be followed or waited for.
 */
function openPlainFile(lockFile: string, flags: number): number {
  const { O_NOFOLLOW, O_NONBLOCK } = constants;
  const descriptor = openSync(lockFile, flags | O_NOFOLLOW | O_NONBLOCK, 0o644);
  const stat = fstatSync(descriptor);
  if (stat.isFile() && stat.nlink <= 1) return descriptor;
  closeSync(descriptor);
  throw new Error(stat.isFile() ? 'it is a hard link' : 'it is not a plain file');
}

function writePid(lockFile: string, text: string): void {
  const descriptor = openPlainFile(lockFile, constants.O_WRONLY | constants.O_CREAT);
  try {
    ftruncateSync(descriptor, 0);
    writeSync(descriptor, text, 0);
  } finally {
    closeSync(descriptor);
  }
}

/** The process id in the plain file; undefined where there is none that could be one. */
function readPid(lockFile: string): number | undefined {
  try {
    const descriptor = openPlainFile(lockFile, constants.O_RDONLY);
    try {
      const buffer = Buffer.alloc(32);
      const text = buffer.toString('latin1', 0, readSync(descriptor, buffer, 0, 32, 0));
      // Without its newline it is not whole: the beginning of an id is that of somebody else.
      return /^[1-9][0-9]{0,8}\n$/.test(text) ? Number.parseInt(text, 10) : undefined;
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}
