import { noStall, type StallShares } from './pressure.ts';

/** The memory of one container: what it holds, what the kernel takes back, when it kills. Bytes. */

const MIB = 1024 * 1024;
const PAGE_BYTES = 4096;
export const wholePages = (bytes: number): number => Math.floor(bytes / PAGE_BYTES) * PAGE_BYTES;

export interface MemoryLimits {
  readonly maxBytes: number;
  readonly highBytes: number;
  readonly swapMaxBytes: number;
}

export interface MemoryWant {
  readonly anonBytes: number;
  readonly shmemBytes: number;
  /** Files that the container reads again and again: the cache fills up to this. */
  readonly fileSetBytes: number;
  /** The part of anon that is locked in memory and cannot be swapped. */
  readonly unevictableBytes: number;
  /** Directory entries and inodes that it comes by: they stay in memory for as long as they may. */
  readonly slabBytes: number;
}

export interface MemoryState {
  /** Resident; what was swapped out is not in it. */
  anonBytes: number;
  shmemBytes: number;
  unevictableBytes: number;
  swapBytes: number;
  kernelBytes: number;
  activeFileBytes: number;
  inactiveFileBytes: number;
  /** Slab that can be reclaimed. */
  slabBytes: number;
  /** File cache that was given up on request and that nobody has read again since. */
  givenUpBytes: number;
  peakBytes: number;
  /** Of its own limit; a kill by the host counts as a kill alone. */
  readonly events: { high: number; max: number; oom: number; oomKill: number };
  /** Of limits of cgroups inside of it. */
  readonly nestedEvents: { max: number; oom: number; oomKill: number };
  /** Pages, but for readBytes; fractions are kept and cut off when printed. */
  readonly counts: {
    refaultFile: number;
    activateFile: number;
    refaultAnon: number;
    scanned: number;
    stolen: number;
    swappedIn: number;
    swappedOut: number;
    faults: number;
    majorFaults: number;
    readBytes: number;
  };
}

export function newMemory(): MemoryState {
  return {
    anonBytes: 0,
    shmemBytes: 0,
    unevictableBytes: 0,
    swapBytes: 0,
    kernelBytes: 0,
    activeFileBytes: 0,
    inactiveFileBytes: 0,
    slabBytes: 0,
    givenUpBytes: 0,
    peakBytes: 0,
    events: { high: 0, max: 0, oom: 0, oomKill: 0 },
    nestedEvents: { max: 0, oom: 0, oomKill: 0 },
    counts: {
      refaultFile: 0,
      activateFile: 0,
      refaultAnon: 0,
      scanned: 0,
      stolen: 0,
      swappedIn: 0,
      swappedOut: 0,
      faults: 0,
      majorFaults: 0,
      readBytes: 0,
    },
  };
}

export const fileBytes = (memory: MemoryState): number =>
  memory.activeFileBytes + memory.inactiveFileBytes;

/** What no reclaim short of swapping or killing gives back. */
export const unreclaimableBytes = (memory: MemoryState): number =>
  memory.anonBytes + memory.shmemBytes + memory.kernelBytes;

/** `memory.current`. */
export const currentBytes = (memory: MemoryState): number =>
  unreclaimableBytes(memory) + fileBytes(memory) + memory.slabBytes;

/** Slab, page tables and stacks that go with so much anonymous memory (measured: 6 % to 1.5 %). */
const KERNEL_SHARE = 0.015;
export const kernelBytesFor = (anonBytes: number): number => 2 * MIB + KERNEL_SHARE * anonBytes;

/** `memory.high` as Proxmox VE sets it: 1/128 under the limit, at most 128 MiB (recorded). */
export const highForMax = (maxBytes: number): number =>
  maxBytes - Math.min(Math.floor(maxBytes / 128), 128 * MIB);

const SWAP_IN_BYTES_PER_MS = (64 * MIB) / 1000;
const CACHE_FILL_BYTES_PER_MS = (200 * MIB) / 1000;
/** What a walk over all files comes by. */
const SLAB_FILL_BYTES_PER_MS = (10 * MIB) / 1000;
/** The part of the file set that is in use all the time; the rest is read now and then. */
const HOT_SHARE = 0.1;
const HOT_REFAULTS_PER_S = 0.1;
const COLD_REFAULTS_PER_S = 0.002;
/** The part of the cache that the kernel keeps on its active list. */
const ACTIVE_SHARE = 0.35;
const RECLAIMS_PER_S = 20;

interface Fit {
  readonly residentBytes: number;
  readonly swapBytes: number;
  readonly kernelBytes: number;
}

/** A task sleeps 64 x over ** 2 seconds for each 256 KiB, by how far it is above the mark. */
const CUBE_PER_MS = (3 * 0.25 * MIB) / 64 / 1000;
/** Sleeps of less than 10 ms are left out by the kernel. */
const FREE_SHARE = 0.0125;

/**
 * What one task that only grows comes to above `memory.high` (measured, and what the kernel's
 * sources say): with several tasks it is as much faster. One that lies close to the limit, as
 * Proxmox VE sets it, throttles nothing; one that is held lower slows growth the more the further
 * it has come.
 */
function slowedTo(highBytes: number, nowBytes: number, elapsedMs: number): number {
  if (highBytes <= 0) return nowBytes;
  const over = Math.max(FREE_SHARE, nowBytes / highBytes - 1);
  return highBytes * (1 + Math.cbrt(over ** 3 + (CUBE_PER_MS * elapsedMs) / highBytes));
}

/** What is wanted, as far as `memory.high` lets it come about. */
function throttled(
  memory: MemoryState,
  want: MemoryWant,
  limits: MemoryLimits,
  elapsedMs: number,
): MemoryWant {
  if (limits.highBytes >= highForMax(limits.maxBytes)) return want;
  const now = unreclaimableBytes(memory);
  const most = memory.swapBytes + slowedTo(limits.highBytes, now, elapsedMs);
  const shmem = Math.min(want.shmemBytes, Math.max(memory.shmemBytes, most - memory.anonBytes));
  const over = want.anonBytes + shmem + kernelBytesFor(want.anonBytes) - most;
  if (over <= 0) return { ...want, shmemBytes: shmem };
  const held = memory.anonBytes + memory.swapBytes;
  const anonBytes = Math.max(held, want.anonBytes - over / (1 + KERNEL_SHARE));
  return { ...want, shmemBytes: shmem, anonBytes };
}

/** How the unreclaimable part is laid out, or undefined when it does not fit: out of memory. */
function fitUnreclaimable(
  memory: MemoryState,
  want: MemoryWant,
  limits: MemoryLimits,
  hostSwapFreeBytes: number,
  elapsedMs: number,
): Fit | undefined {
  const kernel = kernelBytesFor(want.anonBytes);
  const need = want.anonBytes + want.shmemBytes + kernel;
  const swappable = Math.max(0, want.anonBytes + want.shmemBytes - want.unevictableBytes);
  const room = Math.min(limits.swapMaxBytes, memory.swapBytes + hostSwapFreeBytes, swappable);
  const mustSwap = Math.max(0, need - Math.min(limits.highBytes, limits.maxBytes));
  const stillSwapped = memory.swapBytes - SWAP_IN_BYTES_PER_MS * elapsedMs;
  const swap = wholePages(Math.max(0, Math.min(room, Math.max(mustSwap, stillSwapped))));
  if (need - swap > limits.maxBytes) return undefined;
  return { residentBytes: need - swap, swapBytes: swap, kernelBytes: kernel };
}

function layOut(memory: MemoryState, want: MemoryWant, fitting: Fit): void {
  const swap = fitting.swapBytes;
  const moved = swap - memory.swapBytes;
  if (moved > 0) memory.counts.swappedOut += moved / PAGE_BYTES;
  else memory.counts.swappedIn += -moved / PAGE_BYTES;
  if (moved < 0) memory.counts.refaultAnon += -moved / PAGE_BYTES;
  const grown = want.anonBytes - memory.anonBytes;
  if (grown > 0) memory.counts.faults += grown / PAGE_BYTES;
  const fromAnon = Math.min(swap, Math.max(0, want.anonBytes - want.unevictableBytes));
  memory.swapBytes = swap;
  memory.anonBytes = wholePages(want.anonBytes - fromAnon);
  memory.shmemBytes = wholePages(Math.max(0, want.shmemBytes - (swap - fromAnon)));
  memory.unevictableBytes = wholePages(Math.min(want.unevictableBytes, want.anonBytes));
  memory.kernelBytes = wholePages(fitting.kernelBytes);
}

/** Takes back cache, the least used first, and slab. Returns the bytes that it got. */
export function dropCache(memory: MemoryState, bytes: number): number {
  const inactive = Math.min(memory.inactiveFileBytes, bytes);
  const slab = Math.min(memory.slabBytes, bytes - inactive);
  const active = Math.min(memory.activeFileBytes, bytes - inactive - slab);
  memory.inactiveFileBytes -= inactive;
  memory.slabBytes -= slab;
  memory.activeFileBytes -= active;
  memory.counts.stolen += (inactive + active) / PAGE_BYTES;
  memory.counts.scanned += ((inactive + active) / PAGE_BYTES) * 1.5;
  return inactive + slab + active;
}

/** Slab grows into what files leave free; entries that find no room push out older ones. */
function settleSlab(memory: MemoryState, wanted: number, room: number, elapsedMs: number): void {
  const free = Math.max(0, room - fileBytes(memory) - memory.slabBytes);
  const more = Math.min(wanted - memory.slabBytes, SLAB_FILL_BYTES_PER_MS * elapsedMs);
  memory.slabBytes += wholePages(Math.max(0, Math.min(more, free)));
  if (more > free) memory.events.high += (RECLAIMS_PER_S * elapsedMs) / 1000;
}

/** What was given up comes back as it is read again: the hot part at once, the cold one slowly. */
function readAgain(memory: MemoryState, fileSet: number, elapsedMs: number): void {
  if (memory.givenUpBytes <= 0) return;
  const before = memory.givenUpBytes;
  const cold = Math.min(before, (1 - HOT_SHARE) * fileSet);
  const left = cold * Math.exp((-COLD_REFAULTS_PER_S * elapsedMs) / 1000);
  memory.givenUpBytes = left < PAGE_BYTES ? 0 : left;
  memory.counts.refaultFile += (before - memory.givenUpBytes) / PAGE_BYTES;
}

/** Fills or shrinks the file cache to the room there is. Returns the stalls of missing pages. */
function settleCache(memory: MemoryState, fileSet: number, room: number, elapsedMs: number) {
  const before = fileBytes(memory);
  if (before > room) dropCache(memory, before - room);
  readAgain(memory, fileSet, elapsedMs);
  const target = Math.min(fileSet - memory.givenUpBytes, room);
  if (before < target) {
    const after = wholePages(Math.min(target, before + CACHE_FILL_BYTES_PER_MS * elapsedMs));
    const active = wholePages(Math.min(after, ACTIVE_SHARE * fileSet));
    memory.counts.readBytes += after - before;
    memory.counts.majorFaults += (after - before) / MIB;
    memory.activeFileBytes = active;
    memory.inactiveFileBytes = after - active;
  }
  if (fileSet <= room || fileSet <= 0) return noStall;
  const hot = HOT_SHARE * fileSet;
  const missingHot = Math.max(0, hot - room) / hot;
  const missingCold = Math.min(1, (fileSet - Math.max(room, hot)) / (fileSet - hot));
  const hotPages = (missingHot * hot * HOT_REFAULTS_PER_S) / PAGE_BYTES;
  const coldPages = (missingCold * (fileSet - hot) * COLD_REFAULTS_PER_S) / PAGE_BYTES;
  const seconds = elapsedMs / 1000;
  memory.counts.refaultFile += (hotPages + coldPages) * seconds;
  memory.counts.activateFile += hotPages * seconds;
  memory.counts.stolen += (hotPages + coldPages) * seconds;
  memory.counts.scanned += (hotPages + coldPages) * 1.5 * seconds;
  memory.counts.readBytes += (hotPages + coldPages) * PAGE_BYTES * seconds;
  memory.events.high += RECLAIMS_PER_S * seconds;
  const some = Math.min(0.9, 0.6 * missingHot + 0.01 * missingCold);
  return { some, full: some / 2 };
}

/**
 * Brings the memory to what is wanted, within the limits: cache gives way first, then swap takes
 * what does not fit. Returns the stalls, or undefined (and changes nothing) when what cannot be
 * reclaimed does not fit even so: the kernel has to kill.
 */
export function settleMemory(
  memory: MemoryState,
  want: MemoryWant,
  limits: MemoryLimits,
  hostSwapFreeBytes: number,
  elapsedMs: number,
): StallShares | undefined {
  const granted = throttled(memory, want, limits, elapsedMs);
  const fitting = fitUnreclaimable(memory, granted, limits, hostSwapFreeBytes, elapsedMs);
  if (fitting === undefined) return undefined;
  layOut(memory, granted, fitting);
  const high = Math.min(limits.highBytes, limits.maxBytes);
  const room = wholePages(Math.max(0, high - unreclaimableBytes(memory)));
  dropCache(memory, Math.max(0, fileBytes(memory) + memory.slabBytes - room));
  const forFiles = Math.max(0, room - memory.slabBytes);
  const cacheStall = settleCache(memory, want.fileSetBytes, forFiles, elapsedMs);
  settleSlab(memory, want.slabBytes, room, elapsedMs);
  memory.peakBytes = Math.max(memory.peakBytes, currentBytes(memory));
  const over = unreclaimableBytes(memory) - high;
  const seconds = elapsedMs / 1000;
  if (over > 0) memory.events.high += RECLAIMS_PER_S * seconds;
  const swapped = memory.swapBytes / Math.max(1, memory.swapBytes + memory.anonBytes);
  const some = Math.min(0.95, cacheStall.some + swapped + (over > 0 ? 0.3 : 0));
  return { some, full: Math.min(some, cacheStall.full + swapped / 2 + (over > 0 ? 0.2 : 0)) };
}

/** The out-of-memory killer ends the largest process: its pages and its swap are free again. */
export function countKill(memory: MemoryState, byOwnLimit: boolean): void {
  if (byOwnLimit) {
    memory.events.max += 31;
    memory.events.oom += 1;
  }
  memory.events.oomKill += 1;
  memory.swapBytes = 0;
  memory.anonBytes = 0;
  memory.unevictableBytes = 0;
}

/** A limit set below what is in use: the kernel kills until nothing is left, init included. */
export function killAll(memory: MemoryState): void {
  memory.events.high += 17;
  memory.events.max += 31;
  memory.events.oom += 2043;
  memory.events.oomKill += 4;
  memory.anonBytes = 0;
  memory.unevictableBytes = 0;
  memory.shmemBytes = 0;
  memory.swapBytes = 0;
  memory.activeFileBytes = 0;
  memory.inactiveFileBytes = 0;
  memory.slabBytes = 0;
  memory.givenUpBytes = 0;
  memory.kernelBytes = 2 * MIB;
}
