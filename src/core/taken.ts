import type { Change, Rule } from './decision.ts';
import { type Milliseconds, milliseconds } from './units.ts';

/**
 * What was taken back of one resource of a container, and how that went. Demand that comes and goes
 * faster than an hour is not followed down: each time that a shrink is followed by a growth within
 * an hour, the wait before the next shrink doubles, whatever the pressure says.
 *
 * | such growths in a row | 1 | 2 | 3 | 4 | 5  | 6  | 7  |
 * | --------------------- | - | - | - | - | -- | -- | -- |
 * | hours to the next     | 1 | 2 | 4 | 8 | 16 | 24 | 24 |
 */
export interface Taken {
  /** The most that it had before it was taken from: growth back to it is always allowed. */
  readonly norm: number;
  /** When it last shrank. */
  readonly shrunkMs: Milliseconds;
  /** How often in a row it grew again within an hour. */
  readonly flaps: number;
  /** When the last of these growths was; nothing, if there was none. */
  readonly flappedMs?: Milliseconds;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** From here on the wait does not become longer. */
const MOST_FLAPS = 6;

/** What is given for a while, or given back by plan, says nothing of the shrink before it. */
const NO_FLAP: ReadonlySet<Rule> = new Set([
  'saturated',
  'peak-again',
  'below-minimum',
  'waiting',
  'in-force',
]);

/** The end of something, or a limit that is put right, takes nothing that it had for good. */
const TAKES_NOTHING: ReadonlySet<Rule> = new Set(['boost-end', 'waiting-undone', 'in-force']);

type Step = Pick<Change, 'verdict' | 'rule'> & { readonly measured: { readonly before: number } };

/** What is known after a step; undefined: nothing was ever taken. */
export function takenAfter(
  known: Taken | undefined,
  { verdict, rule, measured }: Step,
  nowMs: Milliseconds,
): Taken | undefined {
  if (TAKES_NOTHING.has(rule)) return known;
  if (verdict === 'shrink') {
    const norm = Math.max(known?.norm ?? 0, measured.before);
    return { flaps: 0, ...known, norm, shrunkMs: nowMs };
  }
  if (known === undefined || NO_FLAP.has(rule)) return known;
  const { shrunkMs, flappedMs = Number.NEGATIVE_INFINITY } = known;
  if (nowMs - shrunkMs > HOUR_MS || flappedMs >= shrunkMs) return known;
  const flaps = Math.min(MOST_FLAPS, flapsAt(known, nowMs) + 1);
  return { ...known, flaps, flappedMs: nowMs };
}

/** How many there are in a row at a time: a calm day after the wait takes one of them away. */
export function flapsAt(known: Taken, nowMs: Milliseconds): number {
  const calmMs = nowMs - calmFrom(known);
  return Math.max(0, known.flaps - Math.max(0, Math.floor(calmMs / DAY_MS)));
}

const calmFrom = ({ flaps, flappedMs }: Taken): Milliseconds => {
  if (flaps === 0 || flappedMs === undefined) return milliseconds(Number.NEGATIVE_INFINITY);
  return milliseconds(flappedMs + Math.min(DAY_MS, HOUR_MS * 2 ** (flaps - 1)));
};

/** How long nothing is to be taken yet; 0 if it may be. */
export function waitForCalmMs(known: Taken | undefined, nowMs: Milliseconds): number {
  return known === undefined ? 0 : Math.max(0, calmFrom(known) - nowMs);
}
