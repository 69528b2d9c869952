import { MEMORY_QUANTUM_MIB } from './allocation.ts';
import { atLeast, memoryNeed, roundDown, roundUp } from './guards.ts';
import { isStopped } from './guest-state.ts';
import type { CgroupSample, GuestConfig, MemoryCounters, MemoryUsage } from './observation.ts';
import type { Verdict } from './policies/threshold.ts';
import type { Reading } from './reading.ts';
import { type Bytes, bytes, bytesToMib, type Mib, mib, mibToBytes } from './units.ts';
import { ownLimit, reclaimableBytes } from './usage.ts';

/**
 * A limit below what is in use kills, and cache that looks free may be what a database lives
 * on. So before memory is taken the kernel is asked (`memory.reclaim`, since Linux 5.19) to give up
 * what the new limit would take; only what it has really given up is taken away.
 *
 * | current | cache      | new limit | wanted | is asked for                                   |
 * | ------- | ---------- | --------- | ------ | ---------------------------------------------- |
 * | 400     | 100        | 512       | 464    | nothing: it lies below already                 |
 * | 3000    | 2700       | 1024      | 960    | 2056: the way down, and a quarter of 64        |
 * | 950     | 300        | 1024      | 960    | nothing: it lies below already                 |
 * | 1000    | 300        | 512       | 464    | nothing: more than the cache would have to go  |
 * | 466     | 5          | 512       | 464    | 5: never more than the cache in sight          |
 *
 * What was proven is true for that moment only, and `pct set` takes 0.6 s, or 10 s and more where
 * it waits for a lock. So from the proof until the change is in force `memory.high` stands where
 * the proof ended: above it the kernel throttles and reclaims, and kills nobody.
 */

/**
 * The room between `memory.high` and the new limit. The kernel throttles by how far usage is above
 * `memory.high`, as a share of it, each task for itself. Measured (Linux 6.1), 300 MB wanted at
 * once under a limit of 200 MB: from 192 MB the limit is passed after 3 s by one task, and after
 * 1 s by four; from 176 MB 16 tasks have come to 183 MB after 8 s, and one task to 189 MB.
 */
const LEAST_MARGIN_MIB = 16;
const MARGIN_SHARE = 1 / 16;
/** A small limit needs a larger share: half of what `memoryNeed` leaves at most. */
const SMALL_MARGIN_SHARE = 1 / 8;
const MOST_SMALL_MARGIN_MIB = 48;
/** A container goes on reading while it gives up: so much more is asked for, of the margin. */
const SLACK_SHARE = 0.25;
/** The kernel counts in pages and drops what is less than one. */
const PAGE_BYTES = 4096;

/** What memory has to come down to, and is held at, before the limit is lowered to `limitMib`. */
export function provenBelow(limitMib: number): Bytes {
  const most = mibToBytes(mib(limitMib - marginMib(limitMib)));
  return bytes(Math.max(0, roundDown(most, PAGE_BYTES)));
}

function marginMib(limitMib: number): number {
  const small = Math.min(MOST_SMALL_MARGIN_MIB, limitMib * SMALL_MARGIN_SHARE);
  return Math.max(LEAST_MARGIN_MIB, small, limitMib * MARGIN_SHARE);
}

/** Whether a memory limit is lower than the live one, as far as that can be known. */
export function takesMemory(sample: Reading<CgroupSample>, limitMib: Mib): boolean {
  // A container that does not run has nothing that could be taken.
  if (isStopped(sample)) return false;
  if (!sample.ok) return true;
  const { memory } = sample.value;
  const live = memory.ok ? memory.value.limitBytes : undefined;
  return live === undefined || bytesToMib(live) > limitMib;
}

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
  | { readonly kind: 'cannot-ask'; readonly limitMib: number }
  /** Growth cannot be held back while the limit changes, and the step is too large for that. */
  | { readonly kind: 'cannot-hold'; readonly limitMib: number; readonly message: string }
  /** A virtual machine has not given up its last memory module. */
  | { readonly kind: 'module-kept'; readonly limitMib: number; readonly message: string }
  /** It began to need more while its limit was to be lowered. */
  | { readonly kind: 'pushed'; readonly limitMib: number; readonly numbers: ProofNumbers };

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
      kind: 'beyond-cache',
      cacheMib: bytesToMib(cache),
      numbers,
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

/**
 * Why a limit must not be lowered after all, while growth is held back: what no reclaim takes away
 * has come up to where it is held or was swapped out, or usage has overshot half of the room that
 * was left. Where it is held is a quarter of the margin wide: a process that is throttled there
 * stays a little below as often as above (Linux 6.1: 111.95 MB where 112 was set).
 */
export function whyPushed(
  before: MemoryCounters,
  now: MemoryCounters,
  limitMib: number,
): Unproven | undefined {
  const heldAt = provenBelow(limitMib);
  const cache = reclaimableBytes(now);
  const most = heldAt + mibToBytes(mib(marginMib(limitMib) / 2));
  const near = heldAt - mibToBytes(mib(marginMib(limitMib) * SLACK_SHARE));
  const numbers = numbersOf(before, now, heldAt, bytes(0));
  if (ownLimit(before, now).kills > 0) return { kind: 'oom-kill', numbers };
  const swapped = now.swapBytes - before.swapBytes;
  if (swapped > 0) return { kind: 'swapped', swappedMib: bytesToMib(bytes(swapped)), numbers };
  if (now.currentBytes - cache < near && now.currentBytes <= most) return undefined;
  return { kind: 'pushed', limitMib, numbers };
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

/** If the kernel cannot be asked: a step is at most this share of the allocation. */
const UNASKED_STEP = 0.1;

/** The least limit that one step may lead to where nothing can be proven. */
export function leastUnasked(beforeMib: number): number {
  return (
    beforeMib -
    Math.max(MEMORY_QUANTUM_MIB, roundDown(beforeMib * UNASKED_STEP, MEMORY_QUANTUM_MIB))
  );
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
export function withoutProof(
  verdict: Verdict,
  usage: MemoryUsage,
  { kind }: Pick<GuestConfig, 'kind'> = {},
): Verdict {
  if (verdict.verdict !== 'shrink') return verdict;
  const { before } = verdict.measured;
  const need = unaskedNeed(usage);
  const measured = { ...verdict.measured, need };
  const small = atLeast(verdict, leastUnasked(before), 'unproven');
  const { after, limits } = atLeast(small, roundUp(need, MEMORY_QUANTUM_MIB), 'need');
  if (after < before) return { ...verdict, after, limits, measured };
  return { verdict: 'hold', because: { kind: 'cannot-prove', guest: kind }, measured };
}
