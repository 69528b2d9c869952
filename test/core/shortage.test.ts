import { describe, expect, it } from 'vitest';
import type { MemoryUsage } from '../../src/core/observation.ts';
import { isHeldBack, isMissed, whyShort } from '../../src/core/shortage.ts';
import { mib, ratio } from '../../src/core/units.ts';
import { memoryUse } from './builders.ts';

const short = (own: Partial<MemoryUsage>) => whyShort(memoryUse(300, own));

describe('a want of memory', () => {
  it('is told by pressure, from one part in a hundred on', () => {
    expect(short({ pressure: ratio(0.01) })).toEqual({ kind: 'memory-pressure', share: 0.01 });
    expect(short({ pressure: ratio(0.0099) })).toBeUndefined();
  });

  it('is told by pages that were read again, from a quarter of a MiB a second on', () => {
    expect(short({ refaultMibPerS: 0.25 })).toEqual({ kind: 'refaults', mibPerS: 0.25 });
    expect(short({ refaultMibPerS: 0.24 })).toBeUndefined();
  });

  it('is told by swap that grows, from a MiB on', () => {
    expect(short({ swapGrowthMib: mib(1) })).toEqual({ kind: 'swap-growth', mib: 1 });
    expect(short({ swapGrowthMib: mib(0.9) })).toBeUndefined();
  });

  it('is not told by swap that is merely there, nor by missing pressure', () => {
    expect(short({ swapMib: mib(500), pressure: undefined })).toBeUndefined();
  });

  it('is told without PSI by the other two', () => {
    expect(short({ pressure: undefined, refaultMibPerS: 2 })?.kind).toBe('refaults');
    expect(short({ pressure: undefined, swapGrowthMib: mib(9) })?.kind).toBe('swap-growth');
  });
});

describe('a container far below its limit', () => {
  const signs = { pressure: ratio(0.4), refaultMibPerS: 30, swapGrowthMib: mib(20) };
  it('is not short of memory, whatever a limit inside of it does', () => {
    expect(short({ ...signs, nearLimit: false })).toBeUndefined();
    expect(short({ ...signs, nearLimit: true })?.kind).toBe('memory-pressure');
  });

  it('does not miss what was taken from it', () => {
    const missed = (nearLimit: boolean): boolean =>
      isMissed(memoryUse(300, { ...signs, nearLimit }), 600_000);
    expect([missed(false), missed(true)]).toEqual([false, true]);
  });
});

describe('a container at its limit of 1024 MiB', () => {
  const atLimit = (own: Partial<MemoryUsage>): boolean =>
    isHeldBack(memoryUse(300, { newLimitHits: 5, cacheMib: mib(700), ...own }));

  it('that streams a file through its cache is not held back', () => {
    expect(atLimit({})).toBe(false);
  });

  it.each([
    ['waits for memory', { pressure: ratio(0.2) }],
    ['reads again what it gave up', { refaultMibPerS: 1 }],
    ['swaps', { swapGrowthMib: mib(10) }],
    ['has hardly any cache left', { cacheMib: mib(102) }],
    ['has no limit of its own to measure the cache by', { limitMib: undefined }],
    ['shows nothing, since there is no PSI', { pressure: undefined }],
  ])('that %s is', (_what, own) => expect(atLimit(own)).toBe(true));

  it('that has not met it since the last sample is not, whatever else it shows', () => {
    const other = { newLimitHits: 0, cacheMib: mib(0), pressure: ratio(0.9) };
    expect(atLimit(other)).toBe(false);
  });
});
