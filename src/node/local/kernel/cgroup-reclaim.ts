import { setTimeout as pause } from 'node:timers/promises';
import { bytes } from '../../../core/units.ts';
import { KERNEL_FILES_OF_THIS_HOST, type KernelFiles } from '../../../os/kernel-files.ts';
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

/** Asks the kernel for memory by `memory.reclaim` of a container's outer cgroup. */
export function createReclaim(
  paths: Paths,
  clock: Clock,
  files: KernelFiles = KERNEL_FILES_OF_THIS_HOST,
): Reclaim {
  return {
    async ask(vmid, wish) {
      const at: Asking = { directory: paths.cgroup(vmid), clock, files };
      try {
        return await ask(wish, at);
      } catch (error) {
        return whyNotAsked(error, at);
      }
    },
  };
}

interface Asking {
  readonly directory: string;
  readonly clock: Clock;
  readonly files: KernelFiles;
}

async function ask(wish: ReclaimWish, at: Asking): Promise<ReclaimAnswer> {
  const untilMs = at.clock.monotonicMs() + MOST_ASKING_MS;
  const before = await currentBytes(at);
  let askedBytes = 0;
  while (askedBytes < wish.bytes && at.clock.monotonicMs() < untilMs) {
    const part = Math.min(MOST_AT_ONCE_BYTES, wish.bytes - askedBytes);
    askedBytes += part;
    if (!(await isGiven(at, part))) return { kind: 'asked', bytes: bytes(askedBytes) };
  }
  await settle(wish, before, at);
  return { kind: 'asked', bytes: bytes(askedBytes) };
}

/** False where the kernel has given what it could and it was less: EAGAIN is its word for that. */
async function isGiven({ directory, files }: Asking, part: number): Promise<boolean> {
  try {
    await files.write(`${directory}/memory.reclaim`, `${part}\n`, 'behind');
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
    const current = await currentBytes(at);
    if (current <= wish.until) return;
    if (before - current >= wish.bytes / 2 && current >= last) return;
    last = current;
    await pause(LOOK_EVERY_MS);
  }
}

/** `memory.current`, or -1: what cannot be read is not waited for. */
async function currentBytes({ directory, files }: Asking): Promise<number> {
  const content = await files.read(`${directory}/memory.current`);
  return content.ok ? parseSingleNumber(content.value, content.value.length) : -1;
}

async function whyNotAsked(error: unknown, { directory, files }: Asking): Promise<ReclaimAnswer> {
  if (errorCode(error) === 'ENOENT' && (await files.inode(directory)).ok)
    return { kind: 'unsupported' };
  return { kind: 'refused', message: `${directory}/memory.reclaim: ${describeError(error)}` };
}
