import type { GuestConfig, MemoryUsage } from './observation.ts';
import { memoryPin } from './pins.ts';
import type { Management } from './policy.ts';
import { SHORT_PRESSURE } from './shortage.ts';
import type { Milliseconds } from './units.ts';

/**
 * `memory_guard`: `memory.high` below the limit of a container, so that a leap is slowed until the
 * limit has grown. The kernel (mem_cgroup_handle_over_high) lets a task sleep for 64 x over ** 2
 * seconds for each 256 KiB that it takes, where `over` is the share by which memory in use is above
 * `memory.high`. So a task is held for 85 x high x share ** 3 seconds between `memory.high` and a
 * limit that is so much above it, and four tasks for a quarter of that. The share is such that one
 * task is held for a minute: the larger a container, the smaller its share. The tests read this
 * table; test/kernel asks a kernel.
 *
 * | limit | in use | memory.high                                              |
 * | ----- | ------ | -------------------------------------------------------- |
 * | 64    | 20     | 53                                                       |
 * | 128   | 40     | 108                                                      |
 * | 512   | 200    | 460                                                      |
 * | 1024  | 400    | 940                                                      |
 * | 4096  | 2000   | 3880                                                     |
 * | 16384 | 2000   | 15829                                                    |
 * | 1024  | 920    | 966: never below what is in use and a twentieth of it    |
 * | 1024  | 960    | none: what is left of the band would hold nothing        |
 */

/** One task is held for so long, of 85 s for each MiB and the third power of the share. */
const HELD_S = 60;
const S_PER_MIB = 85;
/** A very small container would give too much of what it has. */
const MOST_SHARE = 0.2;
/** Over what is in use. */
const LEAST_MARGIN_MIB = 16;
const MARGIN_SHARE = 0.05;
/** A band of less than this share of the whole holds for less than an eighth of the time. */
const LEAST_BAND = 0.5;

const MIB = 1024 * 1024;

/** `memory.high` as Proxmox VE sets it: a 128th below the limit, at most 128 MiB (recorded). */
export const plainHigh = (limitBytes: number): number =>
  limitBytes - Math.min(Math.floor(limitBytes / 128), 128 * MIB);

/** A sentence without its full stop, of a node that is reached by the API. */
export const NO_GUARD = 'memory_guard has no effect here, since the API has no way to memory.high';

/** A sentence without its full stop: why it has none, though `memory_guard` is on. */
export function whyNoGuard(config: GuestConfig, management: Management): string | undefined {
  if (management.kind !== 'managed') return 'it is not scaled';
  if (config.reaches !== undefined) return 'virtual machines have no memory.high that would help';
  if (management.mode !== 'act') return 'it is only observed, so its limit would not be raised';
  if (management.policy.only === 'cores') return 'only its CPU is scaled';
  if (memoryPin(config) !== undefined) return 'a raw line of its configuration sets its memory';
  return undefined;
}

/** What is known of the guard of one life of a container. */
export interface MemoryGuard {
  /** The limit that it is below, in MiB; undefined: not known. */
  readonly limitMib: number | undefined;
  /** Where `memory.high` is held, or may be; undefined: as Proxmox VE has set it. */
  readonly atMib: number | undefined;
  /** Why it is not where it is wanted. */
  readonly problem?: string;
  /** When `memory.high` was last read. */
  readonly checkedMs: Milliseconds;
}

export interface GuardNeed {
  readonly limitMib: number;
  readonly workingSetMib: number;
  /** Where it is now. */
  readonly nowMib: number | undefined;
}

/** Where `memory.high` is to be, in MiB; undefined: as Proxmox VE sets it. */
export function wantedGuard({ limitMib, workingSetMib, nowMib }: GuardNeed): number | undefined {
  const share = Math.min(MOST_SHARE, Math.cbrt(HELD_S / S_PER_MIB / limitMib));
  const whole = limitMib / (1 + share);
  const margin = Math.max(LEAST_MARGIN_MIB, workingSetMib * MARGIN_SHARE);
  const least = Math.ceil(workingSetMib + margin);
  const highest = limitMib - (limitMib - whole) * LEAST_BAND;
  const wanted = Math.max(Math.floor(whole), least);
  if (wanted > highest) return undefined;
  // What is in use goes up and down a little: the guard does not follow each step of it.
  const stays = nowMib !== undefined && nowMib >= least && nowMib <= wanted + margin;
  return stays && nowMib <= highest ? nowMib : wanted;
}

/** Of it, so much in use cannot be reclaimed any further. */
const AT_GUARD = 0.97;

/**
 * Whether the guard itself slows the container: `memory.high` was met, and not by cache alone.
 *
 * @param highHits how often `memory.high` was met since the sample before
 */
export function isSlowedByGuard(
  { workingSetMib, pressure }: Pick<MemoryUsage, 'workingSetMib' | 'pressure'>,
  highHits: number,
  guardMib: number | undefined,
): boolean {
  if (guardMib === undefined || highHits === 0) return false;
  if (workingSetMib >= guardMib) return true;
  const isClose = workingSetMib >= guardMib * AT_GUARD;
  return isClose && (pressure === undefined || pressure >= SHORT_PRESSURE);
}
