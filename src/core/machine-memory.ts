import type { MemoryCounters } from './observation.ts';
import { missing, present, type Reading } from './reading.ts';
import { type Bytes, bytes, type Mib, type Milliseconds, mibToBytes } from './units.ts';

/**
 * What a virtual machine says of its own memory. Its cgroup is no help: that holds what QEMU has
 * touched, which is soon all of it, whatever the guest needs.
 */

/** What the monitor of a running machine (QMP) tells of it. */
export interface MonitorAnswer {
  /** When it was asked, on the monotonic clock. */
  readonly atMs: Milliseconds;
  /** False if it is paused, suspended, migrates in, or has stopped for an error. */
  readonly isRunning: boolean;
  /** What the balloon leaves the guest now; missing if there is no balloon. */
  readonly actualBytes: Reading<Bytes>;
  /** What it was started with and its modules; undefined if that was not told. */
  readonly hardwareBytes?: Bytes | undefined;
  /** CPUs that are plugged in; undefined if that was not told. */
  readonly vcpus: number | undefined;
  readonly stats: Reading<GuestStats>;
}

/** What the guest's balloon driver tells; undefined what this driver does not know. */
export interface GuestStats {
  readonly totalBytes: Bytes;
  readonly freeBytes: Bytes;
  /** What can be had without swapping, as the guest's kernel sees it. */
  readonly availableBytes: Bytes | undefined;
  /** Since it was booted. */
  readonly swappedInBytes: Bytes | undefined;
  readonly oomKills: number | undefined;
  /** How often a task had to free memory itself, since the guest as a whole had none left. */
  readonly allocationStalls: number | undefined;
}

const PAGE_BYTES = 4096;

/**
 * Counters as of a container: its limit is what the balloon leaves it, and what is in use is all
 * that it could not give up. Part of the limit never reaches the guest's kernel: it counts as used.
 *
 * | limit | total | free | available | current | of that cache | working set |
 * | ----- | ----- | ---- | --------- | ------- | ------------- | ----------- |
 * | 4096  | 3950  | 150  | 3000      | 3946    | 2850          | 1096        |
 * | 4096  | 3950  | 3000 | 3100      | 1096    | 100           | 996         |
 * | 2048  | 3950  | 150  | 3000      | 3800    | 2850          | 950         |
 *
 * In the last line the balloon has just taken 2048, and the figures are of before: what is in use
 * then counts, and never less.
 *
 * The guest counts all its OOM kills, also those for a limit of a cgroup inside of it, of a
 * container for example. None of those makes a task of the guest stall that wants memory; so a
 * kill is for want of memory of the whole guest only if there were stalls. Where the driver does
 * not tell of these, `ownLimit` goes by what was in use. Source: Linux, mm/vmscan.c (ALLOCSTALL).
 */
export function machineMemory(answer: MonitorAnswer): Reading<MemoryCounters> {
  const { actualBytes: actual, stats } = answer;
  if (!actual.ok) return actual;
  if (!stats.ok) return stats;
  const actualBytes = actual.value;
  const { totalBytes, freeBytes, availableBytes, oomKills, allocationStalls: ooms } = stats.value;
  if (availableBytes === undefined) return NO_AVAILABLE;
  if (freeBytes > totalBytes || availableBytes > totalBytes) return IMPOSSIBLE;
  const whole = Math.max(actualBytes, totalBytes);
  const cache = Math.max(0, availableBytes - freeBytes);
  return present({
    currentBytes: bytes(whole - freeBytes),
    limitBytes: actualBytes,
    swapBytes: bytes(0),
    anonBytes: bytes(whole - Math.max(availableBytes, freeBytes)),
    shmemBytes: bytes(0),
    activeFileBytes: bytes(0),
    inactiveFileBytes: bytes(cache),
    unevictableBytes: bytes(0),
    slabUnreclaimableBytes: bytes(0),
    slabReclaimableBytes: bytes(0),
    refaults: Math.floor((stats.value.swappedInBytes ?? 0) / PAGE_BYTES),
    limitHits: 0,
    oomKills: oomKills ?? 0,
    ooms: undefined,
    ...(answer.hardwareBytes !== undefined && { hardwareBytes: answer.hardwareBytes }),
    own: ooms === undefined ? undefined : { highHits: 0, limitHits: undefined, ooms },
  });
}

const NO_AVAILABLE = missing(
  'absent',
  'its balloon driver does not tell how much memory is available: a newer driver does',
);
const IMPOSSIBLE = missing('implausible', 'its balloon driver tells of more memory than it has');

/** A driver that stops a page or two short of its target has reached it. */
const NEARLY_MIB = 8;

/** Whether the guest has followed the target of its balloon. */
export const hasFollowed = (actualBytes: Bytes, targetMib: Mib): boolean =>
  Math.abs(actualBytes - mibToBytes(targetMib)) <= NEARLY_MIB * PAGE_BYTES * 256;
