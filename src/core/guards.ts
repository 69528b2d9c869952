import type { Limit } from './decision.ts';

/** Small wrappers that a proposed allocation passes through; each may only make it safer. */

export interface Proposal {
  readonly after: number;
  readonly limits: readonly Limit[];
}

/** Floating point must not turn an allocation that fits exactly into one that does not. */
const EPSILON = 1e-9;

/** Steps of a tenth must not come out as 0.30000000000000004. */
const exact = (value: number): number => Math.round(value * 1000) / 1000;

export const roundUp = (value: number, quantum: number): number =>
  exact(Math.ceil(value / quantum - EPSILON) * quantum);

export const roundDown = (value: number, quantum: number): number =>
  exact(Math.floor(value / quantum + EPSILON) * quantum);

export function atMost(proposal: Proposal, most: number, limit: Limit): Proposal {
  if (proposal.after <= most) return proposal;
  return { after: most, limits: [...proposal.limits, limit] };
}

export function atLeast(proposal: Proposal, least: number, limit: Limit): Proposal {
  if (proposal.after >= least) return proposal;
  return { after: least, limits: [...proposal.limits, limit] };
}

/**
 * The largest allocation at which `used` is still not below the lower threshold: a growth beyond
 * it would be taken back at the next reading.
 */
export function largestWithoutShrink(used: number, lower: number, quantum: number): number {
  return lower > 0 ? roundDown(used / lower, quantum) : Number.POSITIVE_INFINITY;
}

/** The smallest allocation at which `used` is still not above the upper threshold. */
export function smallestWithoutGrowth(used: number, upper: number, quantum: number): number {
  return roundUp(used / upper, quantum);
}

/** Memory that a container holds on to, plus headroom for what it does next: 10 %, 64 MiB least. */
export function memoryNeed(inUseMib: number): number {
  return inUseMib + Math.max(64, inUseMib / 10);
}

/** Cores under which the present use would be above the upper threshold; at least a quantum. */
export function coresNeed(usedCores: number, upper: number, quantum: number): number {
  return Math.max(quantum, smallestWithoutGrowth(usedCores, upper, quantum));
}
