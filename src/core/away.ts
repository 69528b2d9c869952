import { type Milliseconds, milliseconds } from './units.ts';

/**
 * What a single look does not show may be there all the same: one list may be wrong. What has been
 * away for a minute is gone; until then what is known of it is kept.
 */
const GONE_AFTER_MS = milliseconds(60_000);

export const isAwayTooLong = (
  sinceMs: Milliseconds,
  nowMs: Milliseconds,
  goneAfterMs: Milliseconds = GONE_AFTER_MS,
): boolean => nowMs - sinceMs >= Math.max(goneAfterMs, GONE_AFTER_MS);

/** Since when something is to have been away whose end was seen. */
export const awayForGood = (nowMs: Milliseconds): Milliseconds =>
  milliseconds(nowMs - GONE_AFTER_MS);
