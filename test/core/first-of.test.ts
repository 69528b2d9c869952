import { expect, it } from 'vitest';
import { firstOf } from '../../src/core/first-of.ts';

it.each([
  [[], ''],
  [[101, 102], '101, 102'],
  [[101, 102, 103], '101, 102, and 1 more'],
])('names the first two of %j', (all, words) => {
  expect(firstOf(all, 2)).toBe(words);
});

it('goes on with the mark between them', () => {
  expect(firstOf(['a: 1, 2', 'b: 3', 'c: 4'], 2, '; ')).toBe('a: 1, 2; b: 3; and 1 more');
});
