import type { StallShares } from './pressure.ts';

/** The scheduler in miniature: who gets how much CPU, and what the counters say of it. */

export interface CpuLimits {
  /** The CPUs of the cpuset, by number. */
  readonly cpus: readonly number[];
  /** `cpulimit` in cores; undefined if there is none. */
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

export interface PlacedClaim extends Claim {
  /** The CPUs that it may run on. */
  readonly cpus: readonly number[];
}

export interface Placement {
  /** Cores for each claim, in their order. */
  readonly granted: readonly number[];
  /** How busy each CPU is with them and with the host itself, 0 to 1. */
  readonly perCpu: readonly number[];
}

/** The load balancer: tries of each container to go where there is less to do. */
const BALANCE_ROUNDS = 8;
const BALANCED = 0.005;
const EVEN = 1e-9;

/**
 * Places claims on the CPUs of their cpusets. Threads go where the least is to be done; those of
 * the host itself (`baseCores`) may go anywhere and are served first. What a CPU has too much of
 * is shared on that CPU alone, by weight, however idle the others are: two busy containers of one
 * core on one CPU have half of it each.
 */
export function placeCores(
  claims: readonly PlacedClaim[],
  hostCpus: number,
  baseCores: number,
): Placement {
  const loads = new Array<number>(hostCpus).fill(0);
  for (const { capCores, cpus } of claims) {
    for (const cpu of cpus) loads[cpu] = (loads[cpu] ?? 0) + capCores / cpus.length;
  }
  const spread = baseCores / hostCpus;
  if (loads.every((load) => load + spread <= 1 + EVEN)) {
    const perCpu = loads.map((load) => load + spread);
    return { granted: claims.map(({ capCores }) => capCores), perCpu };
  }
  const host = { capCores: Math.min(baseCores, hostCpus), weight: 0, cpus: [...loads.keys()] };
  const all = [...claims, host];
  for (const cpu of host.cpus) loads[cpu] = (loads[cpu] ?? 0) + host.capCores / hostCpus;
  const parts = level(all, loads);
  const capacity = (parts.at(-1) ?? []).map((part) => Math.max(0, 1 - part));
  const granted = claims.map(() => 0);
  const crowds = crowdsOf(claims, parts, loads);
  for (const [index, { cpus }] of claims.entries()) {
    for (const [at, cpu] of cpus.entries()) {
      if (!crowds.has(cpu)) granted[index] = (granted[index] ?? 0) + (parts[index]?.[at] ?? 0);
    }
  }
  for (const [cpu, crowd] of crowds) {
    for (const [at, cores] of shareCores(crowd.claims, capacity[cpu] ?? 0).entries()) {
      const index = crowd.indices[at] ?? 0;
      granted[index] = (granted[index] ?? 0) + cores;
    }
  }
  const exact = granted.map((cores, index) => Math.min(cores, claims[index]?.capCores ?? 0));
  return { granted: exact, perCpu: loads.map((load) => Math.min(1, load)) };
}

/** How much of each claim is on each of its CPUs; `loads` is brought up to date. */
function level(claims: readonly PlacedClaim[], loads: number[]): number[][] {
  const parts = claims.map(({ capCores, cpus }) => cpus.map(() => capCores / cpus.length));
  for (let round = 0; round < BALANCE_ROUNDS; round += 1) {
    let moved = 0;
    for (const [index, { capCores, cpus }] of claims.entries()) {
      const own = parts[index];
      if (own === undefined || capCores <= 0 || cpus.length < 2) continue;
      for (const [at, cpu] of cpus.entries()) loads[cpu] = (loads[cpu] ?? 0) - (own[at] ?? 0);
      const next = poured(capCores, cpus, loads);
      for (const [at, cpu] of cpus.entries()) {
        const cores = next[at] ?? 0;
        moved = Math.max(moved, Math.abs(cores - (own[at] ?? 0)));
        own[at] = cores;
        loads[cpu] = (loads[cpu] ?? 0) + cores;
      }
    }
    if (moved < BALANCED) break;
  }
  return parts;
}

/** Pours so many cores onto CPUs, the emptiest first, and no more than one onto each. */
function poured(cores: number, cpus: readonly number[], loads: readonly number[]): number[] {
  const others = cpus.map((cpu) => loads[cpu] ?? 0);
  const above = (height: number): number[] =>
    others.map((load) => Math.min(1, Math.max(0, height - load)));
  let low = 0;
  let high = Math.max(...others) + 1;
  for (let step = 0; step < 30; step += 1) {
    const middle = (low + high) / 2;
    const filled = above(middle).reduce((sum, part) => sum + part, 0);
    if (filled < cores) low = middle;
    else high = middle;
  }
  const parts = above(high);
  const filled = parts.reduce((sum, part) => sum + part, 0);
  return filled > 0 ? parts.map((part) => (part * cores) / filled) : parts;
}

interface Crowd {
  readonly indices: number[];
  readonly claims: Claim[];
}

/** The CPUs that have more to do than they can. A container's weight is split as its work is. */
function crowdsOf(
  claims: readonly PlacedClaim[],
  parts: readonly (readonly number[])[],
  loads: readonly number[],
): Map<number, Crowd> {
  const crowds = new Map<number, Crowd>();
  for (const [index, { capCores, weight, cpus }] of claims.entries()) {
    for (const [at, cpu] of cpus.entries()) {
      const part = parts[index]?.[at] ?? 0;
      if (part <= EVEN || (loads[cpu] ?? 0) <= 1 + EVEN) continue;
      const crowd = crowds.get(cpu) ?? { indices: [], claims: [] };
      crowds.set(cpu, crowd);
      crowd.indices.push(index);
      crowd.claims.push({ capCores: part, weight: (weight * part) / capCores });
    }
  }
  return crowds;
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
  const capped = cappedCores(wantedCores, limits);
  // Who is short of CPU always has a task that could run: what it does not get is time waited.
  const crowded = grantedCores < capped - EVEN ? 1 - grantedCores / Math.ceil(capped) : 0;
  const waiting = Math.min(1, Math.max(0, wantedCores - grantedCores, crowded));
  return { some: Math.max(waiting, throttled), full: throttled };
}
