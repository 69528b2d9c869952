import { constants, statSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { bytes } from '../../../core/units.ts';
import { createFileReader, type ReadSmallFile } from '../../../os/file-reader.ts';
import { describeError, errorCode } from '../../../os/os-error.ts';
import type { Clock, Reclaim, ReclaimAnswer, ReclaimWish } from '../../port.ts';
import type { Paths } from '../paths.ts';
import { parseSingleNumber } from './cgroup-values.ts';

/**
 * A write to `memory.reclaim` lasts for as long as the kernel reclaims, so it is made in parts, and
 * by a thread that nobody waits for: signals and the lock go on being served.
 */
const MOST_AT_ONCE_BYTES = 64 * 1024 * 1024;
const MOST_ASKING_MS = 10_000;
/** The kernel is done when the write returns. A tree of plain files takes a moment to follow. */
const SETTLE_MS = 1000;
const LOOK_EVERY_MS = 50;
const FILE_LIMIT_BYTES = 4096;

/** Appended, so that in a plain file no part replaces another one; nothing is waited for. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;

/** Asks the kernel for memory by `memory.reclaim` of a container's outer cgroup. */
export function createReclaim(paths: Paths, clock: Clock): Reclaim {
  const read = createFileReader(FILE_LIMIT_BYTES);
  return {
    async ask(vmid, wish) {
      const directory = paths.cgroup(vmid);
      let file: FileHandle;
      try {
        file = await open(`${directory}/memory.reclaim`, FLAGS);
      } catch (error) {
        return whyNotOpened(error, directory);
      }
      try {
        return await ask(file, wish, { directory, clock, read });
      } catch (error) {
        return refused(error, directory);
      } finally {
        await file.close();
      }
    },
  };
}

interface Asking {
  readonly directory: string;
  readonly clock: Clock;
  readonly read: ReadSmallFile;
}

async function ask(file: FileHandle, wish: ReclaimWish, at: Asking): Promise<ReclaimAnswer> {
  const untilMs = at.clock.monotonicMs() + MOST_ASKING_MS;
  const before = currentBytes(at);
  let askedBytes = 0;
  while (askedBytes < wish.bytes && at.clock.monotonicMs() < untilMs) {
    const part = Math.min(MOST_AT_ONCE_BYTES, wish.bytes - askedBytes);
    askedBytes += part;
    if (!(await isGiven(file, part))) return { kind: 'asked', bytes: bytes(askedBytes) };
  }
  await settle(wish, before, at);
  return { kind: 'asked', bytes: bytes(askedBytes) };
}

/** False where the kernel has given what it could and it was less: EAGAIN is its word for that. */
async function isGiven(file: FileHandle, part: number): Promise<boolean> {
  try {
    await file.write(`${part}\n`);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EAGAIN') return false;
    throw error;
  }
}

/** Waits until memory has come down, or has come down for the most part and falls no further. */
async function settle(wish: ReclaimWish, before: number, at: Asking): Promise<void> {
  const untilMs = at.clock.monotonicMs() + SETTLE_MS;
  let last = Number.POSITIVE_INFINITY;
  while (at.clock.monotonicMs() < untilMs) {
    const current = currentBytes(at);
    if (current <= wish.until) return;
    if (before - current >= wish.bytes / 2 && current >= last) return;
    last = current;
    await pause(LOOK_EVERY_MS);
  }
}

/** `memory.current`, or -1: what cannot be read is not waited for. */
function currentBytes({ directory, read }: Asking): number {
  const content = read(`${directory}/memory.current`);
  return content.ok ? parseSingleNumber(content.value, content.value.length) : -1;
}

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

function whyNotOpened(error: unknown, directory: string): ReclaimAnswer {
  if (errorCode(error) === 'ENOENT' && isThere(directory)) return { kind: 'unsupported' };
  return refused(error, directory);
}

const refused = (error: unknown, directory: string): ReclaimAnswer => ({
  kind: 'refused',
  message: `${directory}/memory.reclaim: ${describeError(error)}`,
});
