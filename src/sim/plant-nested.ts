import type { MemoryState } from './plant-memory.ts';
import { noStall, type StallShares } from './pressure.ts';

/**
 * A cgroup inside of a container with limits of its own, such as a Docker container's. What happens
 * there is counted in the files of the outer cgroup too, all but `memory.events.local` (asked of
 * Linux 6.1).
 */
export interface NestedDemand {
  /** Its own limits. */
  readonly memoryMib: number;
  readonly cpus?: number;
  /** What its processes want: more than the limit has them killed, once a second. */
  readonly anonMib?: number;
  /** Files that it reads again and again: where they do not fit, it thrashes. */
  readonly fileSetMib?: number;
  readonly cpuCores?: number;
}

const PAGES_PER_MIB = 256;
/** Times a second that it meets its limit, and the share of what is missing that is read again. */
const HITS_PER_S = 95;
const REFAULTS_PER_S = 0.1;
const THRASHING: StallShares = { some: 0.4, full: 0.2 };

/** What it uses under its own limits: one that is killed once a second has half on average. */
export function nestedUse(nested: NestedDemand | undefined): {
  readonly anonMib: number;
  readonly fileMib: number;
  readonly cpuCores: number;
} {
  if (nested === undefined) return { anonMib: 0, fileMib: 0, cpuCores: 0 };
  const { memoryMib, anonMib = 0, fileSetMib = 0, cpuCores = 0, cpus } = nested;
  const anon = anonMib > memoryMib ? memoryMib / 2 : anonMib;
  return {
    anonMib: anon,
    fileMib: Math.min(fileSetMib, memoryMib - anon),
    cpuCores: Math.min(cpuCores, cpus ?? cpuCores),
  };
}

/** Counts what its own memory limit does to it. Returns how long its tasks waited. */
export function meetNestedLimits(
  { nestedEvents, counts }: MemoryState,
  nested: NestedDemand | undefined,
  elapsedMs: number,
): StallShares {
  if (nested === undefined) return noStall;
  const seconds = elapsedMs / 1000;
  const { memoryMib, anonMib = 0, fileSetMib = 0 } = nested;
  const isKilled = anonMib > memoryMib;
  const missingMib = fileSetMib - nestedUse(nested).fileMib;
  if (!isKilled && missingMib <= 0) return noStall;
  nestedEvents.max += HITS_PER_S * seconds;
  if (isKilled) {
    nestedEvents.oom += seconds;
    nestedEvents.oomKill += seconds;
  }
  counts.refaultFile += Math.max(0, missingMib) * REFAULTS_PER_S * PAGES_PER_MIB * seconds;
  return THRASHING;
}

/** Tasks that its own CPU limit lets wait are pressure of the outer cgroup, too. */
export function nestedCpuStall(nested: NestedDemand | undefined): StallShares {
  const { cpuCores = 0, cpus } = nested ?? {};
  if (cpus === undefined || cpuCores <= cpus) return noStall;
  const share = 1 - cpus / cpuCores;
  return { some: share, full: share };
}
