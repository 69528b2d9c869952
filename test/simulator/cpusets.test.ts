import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chooseCpus, cpuListText, rebalance } from '../../src/simulator/cpusets.ts';

it('writes CPU lists as the kernel does', () => {
  expect(cpuListText([])).toBe('');
  expect(cpuListText([0])).toBe('0');
  expect(cpuListText([0, 2])).toBe('0,2');
  expect(cpuListText([3, 1, 0, 2, 7, 9, 8])).toBe('0-3,7-9');
});

it('starts a container on the least used CPUs', () => {
  expect(chooseCpus([[0, 1]], 2, 4)).toEqual([2, 3]);
  expect(chooseCpus([[0, 1]], 99, 4)).toEqual([0, 1, 2, 3]);
});

it('moves a container away from a crowded CPU', () => {
  const wishes = [
    { vmid: 101, cpus: [0, 1], cores: 2 },
    { vmid: 102, cpus: [1], cores: 1 },
    { vmid: 103, cpus: [1], cores: 1 },
  ];
  expect(rebalance(wishes, 4)).toEqual(new Map([[101, [0, 2]]]));
});

it('brings every set to its size, and leaves alone what is right and even', () => {
  const wish = fc.record({
    cores: fc.integer({ min: 1, max: 12 }),
    cpus: fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 8 }),
  });
  fc.assert(
    fc.property(fc.array(wish, { maxLength: 8 }), (raw) => {
      const wishes = raw.map((one, index) => ({ vmid: 101 + index, ...one }));
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
