import { MEMORY_QUANTUM_MIB } from './allocation.ts';
import type { HoldReason } from './decision.ts';
import { roundDown, roundUp } from './guards.ts';
import type { GuestConfig } from './observation.ts';
import type { Verdict } from './policies/threshold.ts';
import { type Milliseconds, milliseconds } from './units.ts';

/**
 * Memory that shrinks where a node tells no more of a guest than how much it uses
 * (`memory_shrink: unproven`). Nothing can be proven there, so the past stands in for the proof: a
 * whole day of this life of the guest must have been seen. It keeps the most that it used in that
 * day and a quarter more, and one step takes a quarter at most.
 *
 * | has  | most in a day | goes to | why                                        |
 * | ---- | ------------- | ------- | ------------------------------------------ |
 * | 4096 | 400           | 3072    | a quarter is the most that one step takes  |
 * | 1024 | 700           | 880     | 700 and a quarter, in steps of 16          |
 * | 1024 | 820           | 1024    | that with a quarter is more than it has    |
 */

/** What was seen of the use of memory of one life of a guest. Times are of the wall clock. */
export interface DaySeen {
  /** The first look. */
  readonly sinceMs: Milliseconds;
  /** The last one. */
  readonly atMs: Milliseconds;
  /** How much of the hour under way was seen, and the most that was used in it. */
  readonly openMs: Milliseconds;
  readonly openMib: number;
  /** The most that was used in each whole hour that was seen, the newest first; 24 at most. */
  readonly hours: readonly number[];
}

/** What one look shows of a guest. */
export interface DayLook {
  /** The most that was in use since the look before. */
  readonly usedMib: number;
  /** Since its start. */
  readonly upMs: Milliseconds;
  readonly wallMs: Milliseconds;
}

const HOUR_MS = 3_600_000;
const HOURS = 24;
/** A look speaks for no more time than this before it. */
const LONGEST_LOOK_MS = 300_000;
/** Who was not seen for longer may have done anything meanwhile. */
const LONGEST_GAP_MS = HOUR_MS;
/** An uptime is told late, and clocks are set by as much. */
const LAG_MS = 60_000;

/** Takes one more look in. Another life, a gap, and a clock that has leapt begin the day anew. */
export function seeDay(before: DaySeen | undefined, look: DayLook): DaySeen {
  const { usedMib, upMs, wallMs } = look;
  const fresh: DaySeen = {
    sinceMs: wallMs,
    atMs: wallMs,
    openMs: milliseconds(0),
    openMib: usedMib,
    hours: [],
  };
  if (before === undefined) return fresh;
  const sinceMs = wallMs - before.atMs;
  const isOtherLife = wallMs - upMs > before.sinceMs + LAG_MS;
  if (isOtherLife || Math.abs(sinceMs) > LONGEST_GAP_MS) return fresh;
  const openMs = before.openMs + Math.min(Math.max(0, sinceMs), LONGEST_LOOK_MS);
  const openMib = Math.max(before.openMib, usedMib);
  const day = { ...before, atMs: wallMs };
  if (openMs < HOUR_MS) return { ...day, openMib, openMs: milliseconds(openMs) };
  const hours = [openMib, ...before.hours].slice(0, HOURS);
  return { ...day, hours, openMib: usedMib, openMs: milliseconds(openMs - HOUR_MS) };
}

/** How much of a day is still to be seen. */
export function leftOfDay(day: DaySeen | undefined): Milliseconds {
  if (day === undefined) return milliseconds(HOURS * HOUR_MS);
  if (day.hours.length >= HOURS) return milliseconds(0);
  return milliseconds((HOURS - day.hours.length) * HOUR_MS - day.openMs);
}

/** The most that was used in the day that was seen. */
export const peakOfSeen = ({ hours, openMib }: DaySeen): number => Math.max(openMib, ...hours);

const MARGIN = 1.25;
const LARGEST_STEP = 0.25;

/** The least limit that memory may have where nothing can be proven. */
export const leastUnseen = (peakMib: number): number =>
  roundUp(peakMib * MARGIN, MEMORY_QUANTUM_MIB);

/** The least limit that one step may lead to. */
const leastOfStep = (beforeMib: number): number =>
  beforeMib - roundDown(beforeMib * LARGEST_STEP, MEMORY_QUANTUM_MIB);

/** A shrink as the day that was seen allows it, or why there is none. */
export function asSeen(verdict: Verdict, day: DaySeen | undefined): Verdict {
  if (verdict.verdict !== 'shrink') return verdict;
  const { measured, after } = verdict;
  const held = (because: HoldReason): Verdict => ({ verdict: 'hold', because, measured });
  const leftMs = leftOfDay(day);
  if (day === undefined || leftMs > 0) return held({ kind: 'day-unseen', leftMs });
  const peakMib = peakOfSeen(day);
  const least = leastUnseen(peakMib);
  const step = leastOfStep(measured.before);
  const to = Math.max(after, least, step);
  if (to >= measured.before) return held({ kind: 'kept-unseen', peakMib, mib: least });
  const limits = [
    ...verdict.limits,
    ...(to > after && to === least ? (['need'] as const) : []),
    ...(to > after && to === step && to !== least ? (['quarter'] as const) : []),
  ];
  const need = Math.max(measured.need, least);
  return { ...verdict, after: to, limits, measured: { ...measured, need, dayPeakMib: peakMib } };
}

/** A limit that is to go down without a proof, and what is known of the guest at that moment. */
export interface UnseenShrink {
  readonly fromMib: number;
  readonly toMib: number;
  readonly dayPeakMib: number;
  readonly usedMib: number;
}

/** Asked right before the change: why it must not be made any more. */
export function whyNotUnseen(shrink: UnseenShrink): string | undefined {
  const { fromMib, toMib, dayPeakMib, usedMib } = shrink;
  const least = leastUnseen(Math.max(dayPeakMib, usedMib));
  if (toMib < least) return `it keeps ${least} MB by now, since nothing can be proven here`;
  if (toMib >= leastOfStep(fromMib)) return undefined;
  return 'one step takes at most a quarter where nothing can be proven';
}

/** What of a guest's memory is missing for it to shrink; undefined: nothing. */
export function lackWords(
  mayShrink: boolean,
  day: DaySeen | undefined,
  { reaches }: Pick<GuestConfig, 'reaches'>,
): string | undefined {
  // Of a virtual machine the past stands in for nothing: its figure counts page cache.
  if (reaches !== undefined) return NEVER;
  if (!mayShrink) return `${NEVER}; \`memory_shrink: unproven\` allows it after a day`;
  const leftMs = leftOfDay(day);
  return leftMs === 0 ? undefined : `memory does not shrink before ${ofDayWords(leftMs)} was seen`;
}

const NEVER = 'memory never shrinks, since what it needs cannot be seen from here';

/** `another 3 h 10 min of the guest`, `a whole day of the guest`. */
export function ofDayWords(leftMs: number): string {
  const minutes = Math.ceil(leftMs / 60_000);
  if (minutes >= HOURS * 60) return 'a whole day of the guest';
  return `another ${Math.floor(minutes / 60)} h ${minutes % 60} min of the guest`;
}
