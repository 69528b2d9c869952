import { describe, expect, it } from 'vitest';
import {
  type Allocation,
  allocationOf,
  describeDiff,
  differing,
  diffOf,
  isEmpty,
  isExactly,
  isMore,
  isSameCpuLimit,
  isSameValue,
  LEVERS,
  pick,
  withDiff,
} from '../../src/core/allocation.ts';
import { mib } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { guest } from './builders.ts';

const some: Allocation = { cores: 2, cpuLimit: null, memoryMib: mib(512) };

describe('what is the same', () => {
  it.each([
    [0.33, 0.333, true],
    [0.13, 0.125, true],
    [0.32, 0.333, false],
    [null, null, true],
    [null, 0.005, false],
    [0.5, null, false],
  ])('of a cpulimit, which pct rounds: %j and %j: %j', (one, other, is) => {
    expect(isSameCpuLimit(one, other)).toBe(is);
    expect(isSameValue('cpuLimit', one, other)).toBe(is);
  });

  it('of whole numbers is the number, and what is not known is the same as nothing', () => {
    expect(isSameValue('cores', 2, 2.004)).toBe(false);
    expect(isSameValue('memoryMib', 512, 512)).toBe(true);
    for (const lever of LEVERS) expect(isSameValue(lever, null, undefined)).toBe(false);
  });

  it('to the last digit is not what pct rounds', () => {
    const [one, other] = [0.33, 0.333].map((cpuLimit) => ({ ...some, cpuLimit }));
    if (one === undefined || other === undefined) throw new Error('two are needed');
    expect(isExactly(one, other)).toBe(false);
    expect(differing(one, other)).toEqual([]);
    expect(isExactly(one, { ...one })).toBe(true);
  });
});

describe('a part of an allocation', () => {
  it('says by null that a line goes, and nothing of what is left out', () => {
    expect(isEmpty({})).toBe(true);
    expect(isEmpty({ cores: null })).toBe(false);
    expect(pick(some, ['cpuLimit'])).toEqual({ cpuLimit: null });
  });

  it('is what a configuration says, and no more of it', () => {
    expect(allocationOf(guest(101))).toEqual({ cores: 2, cpuLimit: null, memoryMib: 1024 });
  });

  it('tells more from less, no line at all being more than any number', () => {
    expect(isMore(null, 64)).toBe(true);
    expect(isMore(64, null)).toBe(false);
    expect(isMore(null, null)).toBe(false);
    expect(isMore(2, 1)).toBe(true);
  });

  it('is described by its lines', () => {
    const target = { cores: null, cpuLimit: 0.5, memoryMib: mib(256) };
    expect(describeDiff(some, target)).toBe(
      'cores 2 -> all, cpulimit none -> 0.5, memory 512 -> 256 MB',
    );
    expect(describeDiff({}, {})).toBe('');
  });
});

describe('the difference of two allocations', () => {
  const any: fc.Arbitrary<Allocation> = fc.record({
    cores: fc.option(fc.integer({ min: 1, max: 8 })),
    cpuLimit: fc.option(fc.integer({ min: 1, max: 80 }).map((tenths) => tenths / 10)),
    memoryMib: fc.integer({ min: 16, max: 64 }).map(mib),
  });

  it('leads from one to the other, and names nothing else', () => {
    fc.assert(
      fc.property(any, any, (before, after) => {
        const levers = differing(before, after);
        const diff = diffOf(pick(before, levers), pick(after, levers));
        expect(Object.keys(diff)).toEqual(levers);
        expect(withDiff(before, diff)).toEqual(after);
      }),
    );
  });
});
