import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  asSeen,
  type DaySeen,
  lackWords,
  leastUnseen,
  leftOfDay,
  peakOfSeen,
  seeDay,
  whyNotUnseen,
} from '../../src/core/day-seen.ts';
import type { Verdict } from '../../src/core/policies/threshold.ts';
import { milliseconds } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { measured } from './builders.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = 1_800_000_000_000;

/** Looks five minutes apart at a guest that was started an hour before the first one. */
function seen(values: readonly number[], everyMs = 5 * MINUTE): DaySeen {
  let day: DaySeen | undefined;
  values.forEach((usedMib, index) => {
    day = seeDay(day, lookAt(index * everyMs, usedMib));
  });
  if (day === undefined) throw new Error('nothing was seen');
  return day;
}

const lookAt = (ms: number, usedMib: number, upMs = HOUR + ms) => ({
  usedMib,
  upMs: milliseconds(upMs),
  wallMs: milliseconds(START + ms),
});

const A_DAY = 288;
const steady = (usedMib: number, looks: number): number[] => Array<number>(looks).fill(usedMib);

const shrink = (before: number, after: number): Verdict => ({
  verdict: 'shrink',
  after,
  rule: 'below-lower',
  limits: [],
  measured: measured({ before, used: 100, min: 64, max: 65_536, need: 164 }),
});

describe('the results in the comment', () => {
  const source = readFileSync(new URL('../../src/core/day-seen.ts', import.meta.url), 'utf8');
  const rows = [...source.matchAll(/^ \* \| (\d+) +\| (\d+) +\| (\d+) +\|/gm)].map((row) =>
    row.slice(1).map(Number),
  );

  it('are three', () => expect(rows).toHaveLength(3));
  it.each(rows)('%i, %i in a day: %i', (before = 0, peak = 0, after = 0) => {
    const verdict = asSeen(shrink(before, 64), seen(steady(peak, A_DAY + 1)));
    const goesTo = verdict.verdict === 'hold' ? before : verdict.after;
    expect(goesTo).toBe(after);
  });
});

describe('the day that stands in for a proof', () => {
  it('must be whole', () => {
    expect(leftOfDay(undefined)).toBe(24 * HOUR);
    const almost = seen(steady(100, A_DAY));
    expect(leftOfDay(almost)).toBe(5 * MINUTE);
    const because = { kind: 'day-unseen', leftMs: 5 * MINUTE };
    expect(asSeen(shrink(1024, 512), almost)).toMatchObject({ verdict: 'hold', because });
    const whole = seeDay(almost, lookAt(A_DAY * 5 * MINUTE, 100));
    expect(leftOfDay(whole)).toBe(0);
    expect(asSeen(shrink(1024, 512), whole)).toMatchObject({ verdict: 'shrink', after: 768 });
  });

  it.each([
    ['a restart of the guest', lookAt(A_DAY * 5 * MINUTE, 100, MINUTE)],
    ['a gap of more than an hour', lookAt(A_DAY * 5 * MINUTE + 2 * HOUR, 100)],
    ['a clock that is set back by more', lookAt(-HOUR, 100)],
    ['a clock that leaps ahead', lookAt(9 * 24 * HOUR, 100, HOUR + A_DAY * 5 * MINUTE)],
  ])('begins anew after %s', (_what, look) => {
    expect(leftOfDay(seeDay(seen(steady(100, A_DAY + 1)), look))).toBe(24 * HOUR);
  });

  it('goes on over a gap that is short, which counts for five minutes at most', () => {
    const before = seen(steady(100, 100));
    const after = seeDay(before, lookAt(99 * 5 * MINUTE + 50 * MINUTE, 100));
    expect(leftOfDay(before) - leftOfDay(after)).toBe(5 * MINUTE);
  });

  it('says of each guest what is missing', () => {
    expect(lackWords(false, seen(steady(100, A_DAY + 1)), {})).toContain('memory_shrink: unproven');
    expect(lackWords(true, undefined, {})).toContain('a whole day of the guest');
    expect(lackWords(true, undefined, { reaches: {} as never })).toMatch(
      /^memory never shrinks, .* from here$/,
    );
    expect(lackWords(true, seen(steady(100, 251)), {})).toContain('another 3 h 10 min');
    expect(lackWords(true, seen(steady(100, A_DAY + 1)), {})).toBeUndefined();
  });
});

/** What happens between two looks, and what the look shows. */
const looks = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 1000, max: 20 * MINUTE }),
    usedMib: fc.integer({ min: 1, max: 4000 }),
  }),
  { minLength: 300, maxLength: 500 },
);

it('never falls below what was used in the last day that was seen, and a quarter more', () => {
  const input = [looks, fc.integer({ min: 64, max: 8192 }), fc.integer({ min: 16, max: 8192 })];
  fc.assert(
    fc.property(
      ...(input as [typeof looks, fc.Arbitrary<number>, fc.Arbitrary<number>]),
      (all, before, after) => {
        let day: DaySeen | undefined;
        let ms = 0;
        const shown: { ms: number; usedMib: number }[] = [];
        for (const { afterMs, usedMib } of all) {
          ms += afterMs;
          shown.push({ ms, usedMib });
          day = seeDay(day, lookAt(ms, usedMib));
        }
        const verdict = asSeen(shrink(before, Math.min(after, before - 1)), day);
        if (verdict.verdict === 'hold') return;
        const ofDay = shown.filter((one) => ms - one.ms < 24 * HOUR);
        const peak = Math.max(...ofDay.map(({ usedMib }) => usedMib));
        expect(ms).toBeGreaterThanOrEqual(24 * HOUR);
        expect(verdict.after).toBeGreaterThanOrEqual(peak * 1.25);
        expect(verdict.after).toBeGreaterThanOrEqual(before * 0.75);
        expect(verdict.after).toBeLessThan(before);
        expect(verdict.measured.dayPeakMib).toBeGreaterThanOrEqual(peak);
      },
    ),
  );
});

it('is asked once more right before the change', () => {
  const one = { fromMib: 1024, toMib: 768, dayPeakMib: 500, usedMib: 100 };
  expect(whyNotUnseen(one)).toBeUndefined();
  expect(whyNotUnseen({ ...one, usedMib: 700 })).toContain('it keeps 880 MB by now');
  expect(whyNotUnseen({ ...one, toMib: 752 })).toContain('a quarter');
  expect(leastUnseen(peakOfSeen(seen([100, 500, 200])))).toBe(640);
});
