import { describe, expect, it } from 'vitest';
import {
  atLeast,
  atMost,
  coresNeed,
  largestWithoutShrink,
  memoryNeed,
  roundDown,
  roundUp,
  smallestWithoutGrowth,
} from '../../src/core/guards.ts';
import { fc } from '../fast-check.ts';

describe('rounding', () => {
  it.each([
    [1286, 16, 1280, 1296],
    [1280, 16, 1280, 1280],
    [5, 16, 0, 16],
    [1.2, 1, 1, 2],
    [2, 1, 2, 2],
  ])('%d in steps of %d: %d or %d', (value, quantum, down, up) => {
    expect(roundDown(value, quantum)).toBe(down);
    expect(roundUp(value, quantum)).toBe(up);
  });

  it('takes what fits exactly for what fits, whatever floating point says', () => {
    expect(1.6 / 0.8).toBeGreaterThanOrEqual(2);
    expect(roundUp(0.3 / 0.1, 1)).toBe(3);
    expect(roundDown((0.1 + 0.2) / 0.1, 1)).toBe(3);
    expect(roundDown(0.3 / 0.1, 1)).toBe(3);
    expect(roundUp((0.1 + 0.2) / 0.1, 1)).toBe(3);
  });
});

describe('bounds', () => {
  const proposal = { after: 8, limits: [] };

  it('leave alone what is within them, and say nothing', () => {
    expect(atMost(proposal, 8, 'maximum')).toBe(proposal);
    expect(atLeast(proposal, 8, 'minimum')).toBe(proposal);
  });

  it('cut what is not, and say which of them did', () => {
    expect(atMost(proposal, 4, 'maximum')).toEqual({ after: 4, limits: ['maximum'] });
    const raised = atLeast(proposal, 12, 'need');
    expect(raised).toEqual({ after: 12, limits: ['need'] });
    expect(atLeast(raised, 16, 'opposite')).toEqual({ after: 16, limits: ['need', 'opposite'] });
  });
});

describe('the need', () => {
  it.each([
    [0, 64],
    [100, 164],
    [640, 704],
    [1000, 1100],
    [10_000, 11_000],
  ])('of %d MiB in use is %d MiB: 10 %% of headroom, 64 MiB least', (inUse, need) => {
    expect(memoryNeed(inUse)).toBeCloseTo(need, 9);
  });

  it.each([
    [0, 1],
    [0.8, 1],
    [0.81, 2],
    [1.6, 2],
    [4, 5],
  ])('of %d cores in use is %d cores under a threshold of 80 %%', (used, need) => {
    expect(coresNeed(used, 0.8, 1)).toBe(need);
  });

  it('always has headroom, and no less of it the more is in use', () => {
    const amount = fc.double({ min: 0, max: 1e7, noNaN: true });
    fc.assert(
      fc.property(amount, amount, (one, other) => {
        expect(memoryNeed(one)).toBeGreaterThanOrEqual(one + 64);
        if (one <= other) expect(memoryNeed(one)).toBeLessThanOrEqual(memoryNeed(other));
      }),
    );
  });
});

describe('the allocations at which the opposite step would follow', () => {
  const share = fc.double({ min: 0.01, max: 1, noNaN: true });
  const amount = fc.double({ min: 0, max: 1e6, noNaN: true });

  it('are kept out on both sides', () => {
    fc.assert(
      fc.property(amount, share, fc.constantFrom(1, 16), (used, threshold, quantum) => {
        const smallest = smallestWithoutGrowth(used, threshold, quantum);
        if (smallest > 0) expect(used / smallest).toBeLessThanOrEqual(threshold + 1e-6);
        const largest = largestWithoutShrink(used, threshold, quantum);
        if (largest > 0) expect(used / largest).toBeGreaterThanOrEqual(threshold - 1e-6);
      }),
    );
  });

  it('do not exist below a lower threshold of zero', () => {
    expect(largestWithoutShrink(1, 0, 1)).toBe(Number.POSITIVE_INFINITY);
  });
});
