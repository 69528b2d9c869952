import type { HoldReason } from './decision.ts';
import type { MemoryUsage } from './observation.ts';
import type { Milliseconds } from './units.ts';

/** What shows that a container is short of memory, however little of it seems to be in use. */

/** Share of the time in which some task waited for memory. Kernel: accounting/psi.rst. */
export const SHORT_PRESSURE = 0.01;
/** Evicted pages that were read again: a trickle is normal where files are large. */
const SHORT_REFAULT_MIB_PER_S = 0.25;
/** Less is the noise of a page here and there. */
const SHORT_SWAP_GROWTH_MIB = 1;
/** With so much of its limit in cache that nobody misses, meeting the limit is no hardship. */
const AMPLE_CACHE_SHARE = 0.1;

/** A shrink is followed by this while the container takes up again what it really uses. */
const SETTLING_MS = 120_000;
/** Later than this, want of memory has other causes than the last shrink. */
const BLAME_MS = 3_600_000;
/** More than what merely keeps the next shrink away. */
const MISSED_REFAULT_MIB_PER_S = 1;

/** Whether a shrink has turned out to be a mistake, though proven: what it took is missed. */
export function isMissed(usage: MemoryUsage, sinceShrinkMs: number): boolean {
  if (sinceShrinkMs < SETTLING_MS || sinceShrinkMs > BLAME_MS) return false;
  const { pressure, refaultMibPerS, nearLimit } = usage;
  if (!nearLimit) return false;
  return (pressure ?? 0) >= SHORT_PRESSURE || refaultMibPerS >= MISSED_REFAULT_MIB_PER_S;
}

export interface OomFloor {
  readonly limitMib: number;
  readonly atMs: Milliseconds;
}

/** How long a limit under which the OOM killer struck counts as too little. */
const OOM_REMEMBERED_MS = 24 * 3_600_000;
/** It was too little, and nobody knows by how much. */
const OOM_MARGIN = 1.1;

/** Below which no shrink leads, since the OOM killer has struck not long ago; in MiB. */
export function oomFloorMib(floor: OomFloor | undefined, nowMs: number): number {
  if (floor === undefined || nowMs - floor.atMs > OOM_REMEMBERED_MS) return 0;
  return floor.limitMib * OOM_MARGIN;
}

/** Reason not to shrink memory now; undefined if there is none. */
export function whyShort(usage: MemoryUsage): HoldReason | undefined {
  const { pressure, refaultMibPerS, swapGrowthMib, nearLimit } = usage;
  if (!nearLimit) return undefined;
  if (pressure !== undefined && pressure >= SHORT_PRESSURE) {
    return { kind: 'memory-pressure', share: pressure };
  }
  if (refaultMibPerS >= SHORT_REFAULT_MIB_PER_S) {
    return { kind: 'refaults', mibPerS: refaultMibPerS };
  }
  if (swapGrowthMib >= SHORT_SWAP_GROWTH_MIB) return { kind: 'swap-growth', mib: swapGrowthMib };
  return undefined;
}

/**
 * Whether it met its limit and was held back by it. A file that is read once fills the cache up to
 * the limit and meets it again and again, which harms nobody: that is told by ample cache, and by
 * pressure that was measured and is not there.
 */
export function isHeldBack(usage: MemoryUsage): boolean {
  if (usage.slowedByGuard) return true;
  if (usage.newLimitHits === 0) return false;
  const { cacheMib, limitMib, pressure } = usage;
  const ample = limitMib !== undefined && cacheMib >= limitMib * AMPLE_CACHE_SHARE;
  return !ample || pressure === undefined || whyShort(usage) !== undefined;
}
