import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isSlowedByGuard, plainHigh, wantedGuard } from '../../src/core/memory-guard.ts';
import { mib, ratio } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';

const SOURCE = readFileSync(new URL('../../src/core/memory-guard.ts', import.meta.url), 'utf8');
const ROWS = [...SOURCE.matchAll(/^ \* \| (\d+) +\| (\d+) +\| (\d+|none)/gm)];
const MIB = 1024 * 1024;

describe('where memory.high is held', () => {
  it.each(ROWS.map(([, limit, used, at]) => [limit, used, at]))(
    'of %s MB, with %s in use: %s, as the table says',
    (limit, used, at) => {
      const wanted = wantedGuard({
        limitMib: Number(limit),
        workingSetMib: Number(used),
        nowMib: undefined,
      });
      expect(wanted ?? 'none').toBe(at === 'none' ? 'none' : Number(at));
    },
  );

  it('reads the whole table', () => {
    expect(ROWS.length).toBe(8);
  });

  it('does not follow each step of what is in use, and gives way to all of it', () => {
    const at = (workingSetMib: number, nowMib: number | undefined) =>
      wantedGuard({ limitMib: 1024, workingSetMib, nowMib });
    expect(at(900, 940)).toBe(945);
    expect(at(880, 945)).toBe(945);
    expect(at(400, 945)).toBe(945);
    expect(at(400, 980)).toBe(940);
    expect(at(990, 945)).toBeUndefined();
  });

  it('is never below what is in use and a margin, never at the limit, and stays', () => {
    const sizes = fc.double({ min: 16, max: 1_000_000, noNaN: true });
    const shares = fc.double({ min: 0, max: 1.1, noNaN: true });
    fc.assert(
      fc.property(sizes, shares, fc.option(shares, { nil: undefined }), (limitMib, used, now) => {
        const workingSetMib = limitMib * used;
        const nowMib = now === undefined ? undefined : Math.floor(limitMib * now);
        const wanted = wantedGuard({ limitMib, workingSetMib, nowMib });
        if (wanted === undefined) return;
        expect(wanted).toBeGreaterThanOrEqual(workingSetMib + Math.max(16, workingSetMib / 20));
        expect(wanted * MIB).toBeLessThan(plainHigh(limitMib * MIB));
        expect(Number.isInteger(wanted)).toBe(true);
        expect(wantedGuard({ limitMib, workingSetMib, nowMib: wanted })).toBe(wanted);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a guard that slows a container', () => {
  const slowed = (workingSetMib: number, pressure: number | undefined, highHits = 3) =>
    isSlowedByGuard(
      {
        workingSetMib: mib(workingSetMib),
        pressure: pressure === undefined ? undefined : ratio(pressure),
      },
      highHits,
      940,
    );

  it('is told by what is in use, events, and waiting', () => {
    expect(slowed(941, 0)).toBe(true);
    expect(slowed(920, 0.02)).toBe(true);
    expect(slowed(920, undefined)).toBe(true);
  });

  it('is not told of cache alone, nor without events, nor without a guard', () => {
    expect(slowed(920, 0)).toBe(false);
    expect(slowed(700, 0.5)).toBe(false);
    expect(slowed(941, 0.5, 0)).toBe(false);
    const usage = { workingSetMib: mib(1000), pressure: ratio(0.5) };
    expect(isSlowedByGuard(usage, 5, undefined)).toBe(false);
  });
});
