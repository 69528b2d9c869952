import type { MemoryCounters } from './observation.ts';
import { bytes } from './units.ts';

/**
 * Counters of a guest of which nothing but its use is told: what is to be filled in is that and its
 * limit. `own` and `ooms` are undefined, so no kill and no limit hit is counted of it.
 */
export const ONLY_IN_USE: MemoryCounters = {
  currentBytes: bytes(0),
  limitBytes: undefined,
  anonBytes: bytes(0),
  swapBytes: bytes(0),
  shmemBytes: bytes(0),
  unevictableBytes: bytes(0),
  activeFileBytes: bytes(0),
  inactiveFileBytes: bytes(0),
  slabUnreclaimableBytes: bytes(0),
  slabReclaimableBytes: bytes(0),
  refaults: 0,
  limitHits: 0,
  oomKills: 0,
  ooms: undefined,
  own: undefined,
};
