/** Spans of time as people write them: `5m`, `1h30m`, `2 days`. */

const [SECOND, MINUTE, HOUR, DAY] = [1, 60, 3600, 86_400];
const UNITS: Readonly<Record<string, number>> = {
  s: SECOND,
  sec: SECOND,
  secs: SECOND,
  second: SECOND,
  seconds: SECOND,
  m: MINUTE,
  min: MINUTE,
  mins: MINUTE,
  minute: MINUTE,
  minutes: MINUTE,
  h: HOUR,
  hour: HOUR,
  hours: HOUR,
  d: DAY,
  day: DAY,
  days: DAY,
  w: 7 * DAY,
};

const MAX_CHARS = 40;
const PART = /([0-9]{1,9}(?:\.[0-9]{1,6})?) *([a-z]+) */y;

/** In seconds; undefined for what is none. Each number needs its unit, in any letter case. */
export function spanSeconds(text: string): number | undefined {
  if (text === '' || text.length > MAX_CHARS) return undefined;
  const lower = text.toLowerCase();
  let seconds = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < lower.length) {
    const [, number, word = ''] = PART.exec(lower) ?? [];
    const each = Object.hasOwn(UNITS, word) ? UNITS[word] : undefined;
    if (number === undefined || each === undefined) return undefined;
    seconds += Number(number) * each;
  }
  return seconds;
}
