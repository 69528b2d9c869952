import type { CpuTimes, HostMemory, HostObservation } from './observation.ts';
import type { HostPolicy } from './policy.ts';
import type { Reading } from './reading.ts';
import { type Milliseconds, type Ratio, ratio } from './units.ts';

/** How the host itself is doing, apart from its containers. */

/** Two looks closer than this give no share worth the name; the earlier one counts on. */
const MIN_ELAPSED_MS = 1000;

/** The host's CPUs at the last sample, and how busy they were until then. */
export interface HostCpu {
  readonly atMs: Milliseconds;
  readonly times: CpuTimes;
  readonly busy: Ratio | undefined;
}

/** How busy all CPUs together were since the previous sample. */
export function hostCpu(
  before: HostCpu | undefined,
  times: Reading<CpuTimes>,
  nowMs: Milliseconds,
): HostCpu | undefined {
  if (!times.ok) return undefined;
  const now = times.value;
  if (before === undefined) return { atMs: nowMs, times: now, busy: undefined };
  if (nowMs - before.atMs < MIN_ELAPSED_MS) return before;
  const busy = now.busyTicks - before.times.busyTicks;
  const total = now.totalTicks - before.times.totalTicks;
  const plausible = busy >= 0 && total > 0 && busy <= total;
  return { atMs: nowMs, times: now, busy: plausible ? ratio(busy / total) : undefined };
}

/** The share, where the CPUs of the host are too busy; undefined if not, or not known. */
export function cpuSaturation(
  cpu: HostCpu | undefined,
  { mostCpu }: HostPolicy,
): Ratio | undefined {
  return cpu?.busy !== undefined && cpu.busy >= mostCpu ? cpu.busy : undefined;
}

/**
 * Memory that can be had without swapping. `MemAvailable` leaves the ZFS cache out, though it gives
 * way as file cache does, down to its minimum.
 */
export const availableMib = ({ availableMib: plain, arcReclaimableMib }: HostMemory): number =>
  plain + arcReclaimableMib;

const usedShare = (memory: HostMemory): number => 1 - availableMib(memory) / memory.totalMib;

/** Everybody stands still for memory so much of the time, while little of it is left. */
const STALLED_SHARE = 0.05;
const LITTLE_LEFT_SHARE = 0.1;

/**
 * The share of time in which the host waits for memory, if it is really short of it. A container
 * that thrashes at its own limit raises the pressure of the host too, and must not be refused help
 * for that.
 */
export function memoryStall({ memory, memoryPressure }: HostObservation): Ratio | undefined {
  if (!memory.ok || !memoryPressure.ok) return undefined;
  const { fullAvg10 } = memoryPressure.value;
  const short = 1 - usedShare(memory.value) < LITTLE_LEFT_SHARE;
  return short && fullAvg10 >= STALLED_SHARE ? fullAvg10 : undefined;
}

/** The share of the host's memory that is in use, where that is too much for growth. */
export function memoryFull(
  { memory }: HostObservation,
  { mostMemory }: HostPolicy,
): Ratio | undefined {
  if (!memory.ok) return undefined;
  const used = usedShare(memory.value);
  return used >= mostMemory ? ratio(used) : undefined;
}

/**
 * The share of the host's memory that is in use, where next to nothing is left: surplus goes back
 * at once, and no memory is handed out. Busy CPUs are no emergency: each just gets less of them.
 */
export function emergencyOf(
  { memory }: HostObservation,
  { emergency }: HostPolicy,
): Ratio | undefined {
  if (!memory.ok) return undefined;
  const used = usedShare(memory.value);
  return used >= emergency ? ratio(used) : undefined;
}
