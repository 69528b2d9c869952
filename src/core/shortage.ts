import type { HoldReason } from './decision.ts';
import type { MemoryUsage } from './observation.ts';

/** What shows that a container is short of memory, however little of it seems to be in use. */

/** Share of the time in which some task waited for memory. Kernel: accounting/psi.rst. */
const SHORT_PRESSURE = 0.01;
/** Evicted pages that were read again: a trickle is normal where files are large. */
const SHORT_REFAULT_MIB_PER_S = 0.25;
/** Less is the noise of a page here and there. */
const SHORT_SWAP_GROWTH_MIB = 1;
/** With so much of its limit in file cache that nobody misses, meeting the limit is no hardship. */
const AMPLE_CACHE_SHARE = 0.1;

/** Why memory is not to be taken from it now; undefined where nothing speaks against it. */
export function whyShort(usage: MemoryUsage): HoldReason | undefined {
  const { pressure, refaultMibPerS, swapGrowthMib } = usage;
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
  if (usage.newLimitHits === 0) return false;
  const { cacheMib, limitMib, pressure } = usage;
  const ample = limitMib !== undefined && cacheMib >= limitMib * AMPLE_CACHE_SHARE;
  return !ample || pressure === undefined || whyShort(usage) !== undefined;
}
