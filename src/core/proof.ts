import { atLeast, memoryNeed, roundDown, roundUp } from './guards.ts';
import type { MemoryCounters, MemoryUsage } from './observation.ts';
import type { Verdict } from './policies/threshold.ts';
import { type Bytes, bytes, bytesToMib, type Mib, mib, mibToBytes } from './units.ts';
import { ownLimit, reclaimableBytes } from './usage.ts';

/**
 * A limit below what is in use kills, and cache that looks free may be what a database lives
 * on. So before memory is taken the kernel is asked (`memory.reclaim`, since Linux 5.19) to give up
 * what the new limit would take; only what it has really given up is taken away.
 *
 * | current | cache      | new limit | wanted | is asked for                                   |
 * | ------- | ---------- | --------- | ------ | ---------------------------------------------- |
 * | 400     | 100        | 512       | 496    | nothing: it lies below already                 |
 * | 3000    | 2700       | 1024      | 1003.5 | 2001.6: the way down, and a quarter of 20.5    |
 * | 1000    | 300        | 1024      | 1003.5 | nothing: it lies below already                 |
 * | 1000    | 300        | 512       | 496    | nothing: more than the cache would have to go  |
 * | 500     | 5          | 512       | 496    | 5: never more than the cache in sight          |
 */

/** Room that is left below the new limit, so that the container lives on under it. */
const LEAST_MARGIN_MIB = 16;
/** More than the 1/128 by which Proxmox VE sets `memory.high` below `memory.max`. */
const MARGIN_SHARE = 0.02;
/** A container goes on reading while it gives up: so much more is asked for, of the margin. */
const SLACK_SHARE = 0.25;
/** The kernel counts in pages and drops what is less than one. */
const PAGE_BYTES = 4096;

/** What memory has to come down to, before the limit may be lowered to `limitMib`. */
export function provenBelow(limitMib: number): Bytes {
  return mibToBytes(mib(limitMib - marginMib(limitMib)));
}

const marginMib = (limitMib: number): number => Math.max(LEAST_MARGIN_MIB, limitMib * MARGIN_SHARE);

/** The numbers of an attempt, in MiB. */
export interface ProofNumbers {
  /** How far memory had to come down. */
  readonly wantedMib: Mib;
  readonly askedMib: Mib;
  readonly gotMib: Mib;
  /** `memory.current` at the end. */
  readonly currentMib: Mib;
}

/** Why memory is not taken away. */
export type Unproven =
  | { readonly kind: 'need-grew'; readonly needMib: number; readonly limitMib: number }
  /** More is in use than could be had without swapping. */
  | { readonly kind: 'beyond-cache'; readonly cacheMib: number; readonly numbers: ProofNumbers }
  | { readonly kind: 'still-in-use'; readonly numbers: ProofNumbers }
  | { readonly kind: 'swapped'; readonly swappedMib: number; readonly numbers: ProofNumbers }
  | { readonly kind: 'oom-kill'; readonly numbers: ProofNumbers }
  | { readonly kind: 'refused'; readonly message: string; readonly numbers: ProofNumbers }
  /** The kernel cannot be asked, and the step is larger than may be taken unasked. */
  | { readonly kind: 'cannot-ask'; readonly limitMib: number };

export type Ask =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'reclaim'; readonly bytes: Bytes }
  | { readonly kind: 'beyond-cache'; readonly because: Unproven };

/**
 * What the kernel has to be asked for, so that memory fits under a new limit. Never more than the
 * cache in sight, files and slab: for more it would swap out what processes hold.
 */
export function askFor(now: MemoryCounters, limitMib: number): Ask {
  const wanted = provenBelow(limitMib);
  const over = now.currentBytes - wanted;
  if (over <= 0) return { kind: 'nothing' };
  const cache = reclaimableBytes(now);
  if (over > cache) {
    const numbers = numbersOf(now, now, wanted, bytes(0));
    const because: Unproven = {
      ...{ kind: 'beyond-cache', cacheMib: bytesToMib(cache), numbers },
    };
    return { kind: 'beyond-cache', because };
  }
  const slack = mibToBytes(mib(marginMib(limitMib) * SLACK_SHARE));
  return { kind: 'reclaim', bytes: bytes(Math.min(roundUp(over + slack, PAGE_BYTES), cache)) };
}

/** Whether what was asked for was given: undefined says that it is proven. */
export function whyUnproven(
  before: MemoryCounters,
  after: MemoryCounters,
  limitMib: number,
  asked: Bytes,
): Unproven | undefined {
  const wanted = provenBelow(limitMib);
  const numbers = numbersOf(before, after, wanted, asked);
  const swapped = after.swapBytes - before.swapBytes;
  if (ownLimit(before, after).kills > 0) return { kind: 'oom-kill', numbers };
  if (swapped > 0) return { kind: 'swapped', swappedMib: bytesToMib(bytes(swapped)), numbers };
  if (after.currentBytes > wanted) return { kind: 'still-in-use', numbers };
  return undefined;
}

export function numbersOf(
  before: MemoryCounters,
  after: MemoryCounters,
  wanted: Bytes,
  asked: Bytes,
): ProofNumbers {
  return {
    wantedMib: bytesToMib(wanted),
    askedMib: bytesToMib(asked),
    gotMib: bytesToMib(bytes(Math.max(0, before.currentBytes - after.currentBytes))),
    currentMib: bytesToMib(after.currentBytes),
  };
}

/** Where the kernel cannot be asked: a step is at most this share of the allocation. */
const UNASKED_STEP = 0.1;
const QUANTUM_MIB = 16;

/** The least limit that one step may lead to where nothing can be proven. */
export function leastUnasked(beforeMib: number): number {
  return beforeMib - Math.max(QUANTUM_MIB, roundDown(beforeMib * UNASKED_STEP, QUANTUM_MIB));
}

/**
 * What a container needs where nothing can be proven: cache that was used more than once counts as
 * needed too, and so does slab, of which nobody knows how much is in use.
 */
export function unaskedNeed(usage: MemoryUsage): number {
  const { workingSetMib, swapMib, activeFileMib, slabMib } = usage;
  return memoryNeed(workingSetMib + swapMib + activeFileMib + slabMib);
}

/** A shrink as the kernel's silence allows it: a small step, and never below the careful need. */
export function withoutProof(verdict: Verdict, usage: MemoryUsage): Verdict {
  if (verdict.verdict !== 'shrink') return verdict;
  const { before } = verdict.measured;
  const need = unaskedNeed(usage);
  const measured = { ...verdict.measured, need };
  const small = atLeast(verdict, leastUnasked(before), 'unproven');
  const { after, limits } = atLeast(small, roundUp(need, QUANTUM_MIB), 'need');
  if (after < before) return { ...verdict, after, limits, measured };
  return { verdict: 'hold', because: { kind: 'cannot-prove' }, measured };
}
