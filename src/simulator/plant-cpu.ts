import type { StallShares } from './pressure.ts';

/** The scheduler in miniature: who gets how much CPU, and what the counters say of it. */

export interface CpuLimits {
  /** The CPUs of the cpuset, by number. */
  readonly cpus: readonly number[];
  /** `cpulimit` in cores; undefined where there is none. */
  readonly cpuLimit: number | undefined;
  /** `cpu.weight`, 1 to 10,000. */
  readonly cpuWeight: number;
}

export interface CpuState {
  usageUs: number;
  periods: number;
  throttledPeriods: number;
  throttledUs: number;
  /** Cores used in the last step, and what was wanted. */
  usedCores: number;
  wantedCores: number;
}

export function newCpu(): CpuState {
  return {
    usageUs: 0,
    periods: 0,
    throttledPeriods: 0,
    throttledUs: 0,
    usedCores: 0,
    wantedCores: 0,
  };
}

/** What the limits alone leave of a demand, in cores. */
export function cappedCores(wantedCores: number, limits: CpuLimits): number {
  const quota = limits.cpuLimit ?? Number.POSITIVE_INFINITY;
  return Math.max(0, Math.min(wantedCores, limits.cpus.length, quota));
}

export interface Claim {
  readonly capCores: number;
  readonly weight: number;
}

/**
 * Divides the host's cores among claims by weight. None gets more than it can use; what one leaves
 * goes to the others. Returns cores in the order of the claims.
 */
export function shareCores(claims: readonly Claim[], availableCores: number): number[] {
  const granted = claims.map((claim) => claim.capCores);
  if (granted.reduce((sum, cores) => sum + cores, 0) <= availableCores) return granted;
  let open = claims.map((_, index) => index);
  let left = Math.max(0, availableCores);
  while (open.length > 0) {
    const weights = open.reduce((sum, index) => sum + (claims[index]?.weight ?? 0), 0);
    const perWeight = weights > 0 ? left / weights : 0;
    const share = (index: number) => (claims[index]?.weight ?? 0) * perWeight;
    const content = open.filter((index) => (claims[index]?.capCores ?? 0) <= share(index));
    if (content.length === 0) {
      for (const index of open) granted[index] = share(index);
      break;
    }
    for (const index of content) left -= claims[index]?.capCores ?? 0;
    open = open.filter((index) => !content.includes(index));
  }
  return granted;
}

const CFS_PERIOD_MS = 100;

/**
 * Advances the counters of one container by what it was given. Returns how long its tasks waited.
 * A throttled group counts the time of each of its CPUs that stands still, as the kernel does
 * (recorded: two threads at a limit of 0.5 cores gain 1.5 s of `throttled_usec` a second).
 */
export function advanceCpu(
  cpu: CpuState,
  limits: CpuLimits,
  wantedCores: number,
  grantedCores: number,
  elapsedMs: number,
): StallShares {
  cpu.wantedCores = wantedCores;
  cpu.usedCores = grantedCores;
  cpu.usageUs += grantedCores * elapsedMs * 1000;
  const runnable = Math.min(wantedCores, limits.cpus.length);
  const quota = limits.cpuLimit;
  let throttled = 0;
  if (quota !== undefined && wantedCores > 0) {
    const periods = elapsedMs / CFS_PERIOD_MS;
    cpu.periods += periods;
    if (runnable > quota) {
      cpu.throttledPeriods += periods;
      cpu.throttledUs += (runnable - quota) * elapsedMs * 1000;
      throttled = 1 - quota / runnable;
    }
  }
  const waiting = Math.min(1, Math.max(0, wantedCores - grantedCores));
  return { some: Math.max(waiting, throttled), full: throttled };
}
