import { parseRestorePoint } from '../rollback.ts';
import { spanSeconds } from '../span.ts';
import { type Milliseconds, milliseconds } from '../units.ts';

/** From when on the history is told: a time, or a span up to now. */
export type Since =
  /** A day, a minute or a second in local time: `2026-11-21 22:04`. */
  | { readonly kind: 'time'; readonly text: string }
  /** A day by its distance from today: 1 is yesterday; a time of day: of the last time it was. */
  | { readonly kind: 'day'; readonly ago: 0 | 1 }
  | { readonly kind: 'clock'; readonly text: string }
  | { readonly kind: 'span'; readonly ms: Milliseconds };

/** A hundred years: more is no span that a log could hold. */
const LONGEST_SPAN_MS = 100 * 365 * 86_400_000;

/**
 * Reads `2h`, `1h30m`, `7d ago`, `today`, `yesterday`, `22:04`, `2026-11-21` or `2026-11-21 22:04`;
 * undefined for all else.
 */
export function parseSince(text: string): Since | undefined {
  const word = text.toLowerCase();
  if (word === 'today' || word === 'yesterday')
    return { kind: 'day', ago: word === 'today' ? 0 : 1 };
  if (/^(?:[01]?[0-9]|2[0-3]):[0-5][0-9]$/.test(text)) return { kind: 'clock', text: clock(text) };
  const seconds = spanSeconds(text.replace(/ ago$/i, ''));
  if (seconds !== undefined) {
    const ms = seconds * 1000;
    return ms > 0 && ms <= LONGEST_SPAN_MS ? { kind: 'span', ms: milliseconds(ms) } : undefined;
  }
  const point = parseRestorePoint(text);
  return point?.kind === 'time' ? { kind: 'time', text: point.text } : undefined;
}

/**
 * The first moment that counts, as the logs write it. Their times are local ones without a zone,
 * so such texts are compared, which is also what a person has read in them.
 */
export function sinceText(
  since: Since,
  nowMs: Milliseconds,
  localTime: (wallMs: Milliseconds) => string,
): string {
  if (since.kind === 'time') return since.text;
  if (since.kind === 'span') return localTime(milliseconds(nowMs - since.ms));
  const now = localTime(nowMs);
  if (since.kind === 'day') return dayBefore(now, since.ago);
  const isOver = since.text <= now.slice(11, 16);
  return `${dayBefore(now, isOver ? 0 : 1)} ${since.text}`;
}

const clock = (text: string): string => text.padStart(5, '0');

/** The day of a local time, or the one before it, as `2026-11-21`. */
function dayBefore(now: string, ago: 0 | 1): string {
  const day = new Date(`${now.slice(0, 10)}T00:00:00Z`);
  day.setUTCDate(day.getUTCDate() - ago);
  return day.toISOString().slice(0, 10);
}

/** No time zone lies further from UTC than this, whatever a day of clock change adds. */
const FARTHEST_ZONE_MS = 27 * 3_600_000;

/** The same as a time: the first second whose local time is not before it. */
export function sinceMs(
  since: Since,
  nowMs: Milliseconds,
  localTime: (wallMs: Milliseconds) => string,
): Milliseconds {
  if (since.kind === 'span') return milliseconds(nowMs - since.ms);
  const text = sinceText(since, nowMs, localTime);
  const inUtcMs = new Date(`${text.slice(0, 10)}T00:00:00Z`).getTime();
  let [low, high] = [(inUtcMs - FARTHEST_ZONE_MS) / 1000, (inUtcMs + 2 * FARTHEST_ZONE_MS) / 1000];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const isBefore = localTime(milliseconds(middle * 1000)).slice(0, text.length) < text;
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return milliseconds(low * 1000);
}
