import { expect, it } from 'vitest';
import { fnv1a } from '../../src/core/fnv1a.ts';
import { seededRandom } from '../../src/core/seeded-random.ts';

it('makes the number of a text that others make of its bytes', () => {
  // http://www.isthe.com/chongo/src/fnv/test_fnv.c
  expect(['', 'a', 'foobar'].map(fnv1a)).toEqual([0x811c9dc5, 0xe40c292c, 0xbf9cf968]);
  expect(fnv1a('é')).toBe(0x1e9de8c1);
});

it('draws the same numbers for the same seed, and others for another', () => {
  const drawn = (seed: number): number[] => Array.from({ length: 1000 }, seededRandom(seed));
  expect(drawn(7)).toEqual(drawn(7));
  expect(drawn(7)).not.toEqual(drawn(8));
  expect(drawn(7).every((one) => one >= 0 && one < 1)).toBe(true);
  const mean = drawn(7).reduce((sum, one) => sum + one, 0) / 1000;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
});
