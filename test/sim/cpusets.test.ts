import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/seeded-random.ts';
import { chooseCpus, cpuListText, parseCpuList, rebalance } from '../../src/sim/cpusets.ts';
import { fc } from '../fast-check.ts';

it('writes CPU lists as the kernel does', () => {
  expect(cpuListText([])).toBe('');
  expect(cpuListText([0])).toBe('0');
  expect(cpuListText([0, 2])).toBe('0,2');
  expect(cpuListText([3, 1, 0, 2, 7, 9, 8])).toBe('0-3,7-9');
});

it('reads CPU lists as the kernel does', () => {
  expect(parseCpuList('12-15')).toEqual([12, 13, 14, 15]);
  expect(parseCpuList('3,0-1')).toEqual([0, 1, 3]);
  expect(parseCpuList('all')).toBeUndefined();
});

it('starts a container on CPUs at random, whoever else is on them', () => {
  const random = seededRandom(7);
  const starts = Array.from({ length: 400 }, () => chooseCpus(1, 4, random)[0]);
  for (const cpu of [0, 1, 2, 3]) {
    expect(starts.filter((one) => one === cpu).length).toBeGreaterThan(60);
  }
  expect(chooseCpus(99, 4, random)).toEqual([0, 1, 2, 3]);
  const again = seededRandom(7);
  expect(Array.from({ length: 400 }, () => chooseCpus(1, 4, again)[0])).toEqual(starts);
});

const one = (vmid: number, cpus: readonly number[], cores: number | undefined, pinned = false) => ({
  vmid,
  cpus,
  cores,
  pinned,
});

describe('a pass of pvestatd', () => {
  it('moves containers to CPUs that have at least two fewer, the lowest first', () => {
    const wishes = [one(101, [1], 1), one(102, [1], 1), one(103, [1], 1)];
    expect(rebalance(wishes, 4)).toEqual(
      new Map([
        [101, [0]],
        [102, [2]],
      ]),
    );
  });

  it('leaves two on one CPU where no other has two fewer, however busy they are', () => {
    const wishes = [one(101, [0], 1), one(102, [0], 1), one(103, [1], 1), one(104, [1], 1)];
    expect(rebalance([...wishes, one(105, [2], 1), one(106, [3], 1)], 4)).toEqual(new Map());
  });

  it('adds the lowest CPUs that are free, and keeps the lowest of those it has', () => {
    expect(rebalance([one(101, [2], 3)], 4)).toEqual(new Map([[101, [0, 1, 2]]]));
    expect(rebalance([one(101, [1, 2, 3], 2)], 4)).toEqual(new Map([[101, [1, 2]]]));
    expect(rebalance([one(101, [1, 2, 3], undefined)], 4)).toEqual(new Map([[101, [0, 1, 2, 3]]]));
  });

  it('counts a container that is pinned, and leaves it where it is', () => {
    const pinned = [one(101, [3], 4, true), one(102, [3], 1, true)];
    expect(rebalance([...pinned, one(103, [3], 1)], 4)).toEqual(new Map([[103, [0]]]));
  });

  it('leaves a set of the right size that somebody has written by hand', () => {
    expect(rebalance([one(101, [2], 1), one(102, [2], 1)], 3)).toEqual(new Map([[101, [0]]]));
    expect(rebalance([one(101, [2], 1), one(102, [1], 1)], 3)).toEqual(new Map());
  });
});

it('brings every set to its size, and leaves alone what is right and even', () => {
  const wish = fc.record({
    cores: fc.integer({ min: 1, max: 12 }),
    cpus: fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 8 }),
  });
  fc.assert(
    fc.property(fc.array(wish, { maxLength: 8 }), (raw) => {
      const wishes = raw.map((each, index) => ({ vmid: 101 + index, pinned: false, ...each }));
      const changed = rebalance(wishes, 8);
      for (const { vmid, cpus, cores } of wishes) {
        const now = changed.get(vmid) ?? cpus;
        expect(now.length).toBe(Math.min(cores, 8));
        expect(new Set(now).size).toBe(now.length);
        expect(now.every((cpu) => cpu >= 0 && cpu < 8)).toBe(true);
      }
    }),
  );
});
