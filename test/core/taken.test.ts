import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Rule } from '../../src/core/decision.ts';
import { flapsAt, type Taken, takenAfter, waitForCalmMs } from '../../src/core/taken.ts';
import { milliseconds } from '../../src/core/units.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const at = milliseconds;

const shrunk = (known: Taken | undefined, ms: number, before = 4): Taken | undefined =>
  takenAfter(known, { verdict: 'shrink', rule: 'below-lower', measured: { before } }, at(ms));

const grown = (known: Taken | undefined, ms: number, rule: Rule = 'above-upper') =>
  takenAfter(known, { verdict: 'grow', rule, measured: { before: 1 } }, at(ms));

/** Taken from and grown again so often, each time as soon as it may be. */
function flapping(times: number): { readonly known: Taken | undefined; readonly atMs: number } {
  let known: Taken | undefined;
  let atMs = 0;
  for (let count = 0; count < times; count += 1) {
    atMs += waitForCalmMs(known, at(atMs)) + MINUTE;
    known = shrunk(known, atMs);
    atMs += 20 * MINUTE;
    known = grown(known, atMs);
  }
  return { known, atMs };
}

/** The table in the comment: how often, and the hours that follow. */
function sampleTable(): readonly (readonly [times: number, hours: number])[] {
  const source = readFileSync(new URL('../../src/core/taken.ts', import.meta.url), 'utf8');
  const row = (title: string): number[] =>
    (new RegExp(`\\| ${title} +\\|(.*)\\|`).exec(source)?.[1] ?? '').split('|').map(Number);
  const hours = row('hours to the next');
  return row('such growths in a row').map((times, index) => [times, hours[index] ?? 0]);
}

describe('the wait after demand that comes and goes', () => {
  const rows = sampleTable();
  it('has a table of seven', () => expect(rows.length).toBe(7));
  it.each(rows)('after %i times it is %i h', (times, hours) => {
    const { known, atMs } = flapping(times);
    expect(waitForCalmMs(known, at(atMs))).toBe(hours * HOUR);
  });

  it('is none where nothing was taken, nor where it was taken for more than an hour', () => {
    expect(waitForCalmMs(grown(undefined, 0), at(0))).toBe(0);
    const later = grown(shrunk(undefined, 0), HOUR + 1);
    expect(waitForCalmMs(later, at(HOUR + 1))).toBe(0);
    expect(waitForCalmMs(grown(shrunk(undefined, 0), HOUR), at(HOUR))).toBe(HOUR);
  });

  it('does not count several steps up after one shrink', () => {
    const twice = grown(grown(shrunk(undefined, 0), MINUTE), 2 * MINUTE);
    expect(twice?.flaps).toBe(1);
  });

  it.each(['saturated', 'peak-again', 'below-minimum'] as const)('does not count %s', (rule) => {
    expect(grown(shrunk(undefined, 0), MINUTE, rule)?.flaps).toBe(0);
  });

  it('is no shrink where a boost ends', () => {
    const end = { verdict: 'shrink', rule: 'boost-end', measured: { before: 3 } } as const;
    expect(takenAfter(undefined, end, at(0))).toBeUndefined();
  });

  it('is forgotten by half after each calm day', () => {
    const { known, atMs } = flapping(4);
    if (known === undefined) throw new Error('nothing was taken');
    const over = atMs + 8 * HOUR;
    expect([1, DAY - 1, DAY, 2 * DAY, 9 * DAY].map((ms) => flapsAt(known, at(over + ms)))).toEqual([
      4, 4, 3, 2, 0,
    ]);
    const again = grown(shrunk(known, over + 2 * DAY), over + 2 * DAY + MINUTE);
    expect(waitForCalmMs(again, at(over + 2 * DAY + MINUTE))).toBe(4 * HOUR);
  });
});

describe('the norm', () => {
  it('is the most that it had before it was taken from', () => {
    expect(shrunk(shrunk(undefined, 0, 4), MINUTE, 2)?.norm).toBe(4);
    expect(shrunk(shrunk(undefined, 0, 4), MINUTE, 6)?.norm).toBe(6);
    expect(grown(shrunk(undefined, 0, 4), 2 * DAY)?.norm).toBe(4);
  });
});
