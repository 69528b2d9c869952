import { errorCode } from '../../../os/os-error.ts';
import { type FileStatus, identityOf, type ReadableFiles } from '../../../os/readable-files.ts';
import type { Clock } from '../../port.ts';
import { CgroupMemo } from './cgroup-memo.ts';

/**
 * Keeps the kernel files of running containers open, since a read of an open file costs a third of
 * open, read and close. Bounded: beyond the budget, files are opened for one sample only.
 */

/** In the place of a descriptor, or of a length: why there is none. */
export const ABSENT = -1;
export const UNREADABLE = -2;
/** The cgroup was removed while its files were open. */
export const GONE = -3;

export interface OpenCgroup {
  readonly directory: string;
  /** One descriptor a file, or the reason why there is none. */
  readonly descriptors: readonly number[];
  readonly identity: number;
  readonly mtimeMs: number;
  readonly openedAtMs: number;
  /** False where the directory had just changed, so that its time can't show another change. */
  readonly settled: boolean;
  readonly complete: boolean;
  readonly memo: CgroupMemo;
  lastUsedMs: number;
}

/** Where the file system's clock is coarse, two changes this close bear the same time. */
const MTIME_GRAIN_MS = 50;
/** A file that is missing may come later without a sign on the directory, e.g. PSI switched on. */
const RETRY_INCOMPLETE_MS = 60_000;
const SWEEP_EVERY_MS = 600_000;
/** A container that nobody has asked about for so long was destroyed or has moved away. */
const FORGET_AFTER_MS = 3_600_000;

export class CgroupDescriptors {
  readonly #files: ReadableFiles;
  readonly #fileNames: readonly string[];
  readonly #clock: Clock;
  readonly #kept = new Map<number, OpenCgroup>();
  #budget: number;
  #nextSweepMs = 0;

  constructor(files: ReadableFiles, fileNames: readonly string[], clock: Clock, budget: number) {
    this.#files = files;
    this.#fileNames = fileNames;
    this.#clock = clock;
    this.#budget = budget;
  }

  /** Descriptors that stay open between samples, at most. */
  get keptDescriptors(): number {
    return this.#kept.size * this.#fileNames.length;
  }

  /**
   * The files of the cgroup that `stats` describes, opened or still open. A directory with another
   * inode or another time of change is opened anew: the container was restarted, or (in a plain
   * tree) a file was replaced.
   */
  open(key: number, directory: string, stats: FileStatus): OpenCgroup {
    const nowMs = this.#clock.monotonicMs();
    this.#sweep(nowMs);
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      const fresh = kept.complete || nowMs - kept.openedAtMs < RETRY_INCOMPLETE_MS;
      const same = kept.identity === identityOf(stats) && kept.mtimeMs === stats.mtimeMs;
      if (same && fresh && kept.settled) {
        kept.lastUsedMs = nowMs;
        return kept;
      }
      this.forget(key);
    }
    const descriptors = this.#openAll(directory);
    const opened: OpenCgroup = {
      directory,
      descriptors,
      identity: identityOf(stats),
      mtimeMs: stats.mtimeMs,
      openedAtMs: nowMs,
      settled: stats.mtimeMs < this.#clock.wallMs() - MTIME_GRAIN_MS,
      complete: descriptors.every((descriptor) => descriptor >= 0),
      memo: new CgroupMemo(),
      lastUsedMs: nowMs,
    };
    const worthKeeping = descriptors.some((descriptor) => descriptor >= 0);
    if (worthKeeping && this.keptDescriptors + descriptors.length <= this.#budget) {
      this.#kept.set(key, opened);
    }
    return opened;
  }

  /** The files that stay open between samples; undefined if there are none. */
  kept(key: number): OpenCgroup | undefined {
    return this.#kept.get(key);
  }

  /** To be called after every sample: closes what is not kept. */
  done(key: number, opened: OpenCgroup): void {
    if (this.#kept.get(key) !== opened) this.#closeAll(opened.descriptors);
  }

  forget(key: number): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    this.#closeAll(kept.descriptors);
  }

  forgetAll(): void {
    for (const key of [...this.#kept.keys()]) this.forget(key);
  }

  #sweep(nowMs: number): void {
    if (nowMs < this.#nextSweepMs) return;
    this.#nextSweepMs = nowMs + SWEEP_EVERY_MS;
    for (const [key, kept] of [...this.#kept]) {
      if (nowMs - kept.lastUsedMs > FORGET_AFTER_MS) this.forget(key);
    }
  }

  #openAll(directory: string): readonly number[] {
    const descriptors = this.#tryOpenAll(directory);
    if (descriptors !== undefined) return descriptors;
    // No descriptor was left, and a command needs some too: give up all, keep half from now on.
    this.#budget = Math.floor(this.keptDescriptors / 2);
    this.forgetAll();
    return this.#tryOpenAll(directory) ?? this.#fileNames.map(() => UNREADABLE);
  }

  /** undefined when the process or the host has no descriptor left; then none is held. */
  #tryOpenAll(directory: string): readonly number[] | undefined {
    const descriptors: number[] = [];
    for (const name of this.#fileNames) {
      try {
        descriptors.push(this.#files.open(`${directory}/${name}`));
      } catch (error) {
        const code = errorCode(error);
        if (code === 'EMFILE' || code === 'ENFILE') {
          this.#closeAll(descriptors);
          return undefined;
        }
        descriptors.push(lengthOfFailure(code));
      }
    }
    return descriptors;
  }

  /**
   * Reads an open file from its start. Returns the number of bytes, or ABSENT, UNREADABLE or GONE.
   * A file that fills the buffer is none of the kernel's: UNREADABLE.
   */
  readFromStart(descriptor: number, buffer: Buffer): number {
    if (descriptor < 0) return descriptor;
    try {
      const length = this.#files.read(descriptor, buffer, 0, buffer.length, 0);
      return length < buffer.length ? length : UNREADABLE;
    } catch (error) {
      const code = errorCode(error);
      return code === 'ENODEV' ? GONE : lengthOfFailure(code);
    }
  }

  #closeAll(descriptors: readonly number[]): void {
    for (const descriptor of descriptors) {
      if (descriptor < 0) continue;
      try {
        this.#files.close(descriptor);
      } catch {
        // Nothing can be done about a descriptor that can't be closed, and nothing is lost.
      }
    }
  }
}

function lengthOfFailure(code: string | undefined): number {
  return code === 'ENOENT' || code === 'ENODEV' || code === 'EOPNOTSUPP' ? ABSENT : UNREADABLE;
}
