import { describe, expect, it } from 'vitest';
import { closest, editDistance, unknownWord } from '../../src/config/suggest.ts';
import { fc } from '../fast-check.ts';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['abc', '', 3],
    ['abc', 'abc', 0],
    ['abc', 'acb', 1],
    ['behavior', 'behaviour', 1],
    ['kitten', 'sitting', 3],
  ])('from %j to %j: %i', (a, b, edits) => {
    expect(editDistance(a, b)).toBe(edits);
  });

  it('is the same both ways, zero for equal words only, at most the longer length', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const edits = editDistance(a, b);
        expect(edits).toBe(editDistance(b, a));
        expect(edits === 0).toBe(a === b);
        expect(edits).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(edits).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

describe('closest', () => {
  const words = ['min_cores', 'max_cores', 'min_memory', 'behaviour', 'on'];
  it.each([
    ['max_core', 'max_cores'],
    ['MAX-CORES', 'max_cores'],
    ['mni_cores', 'min_cores'],
    ['behavior', 'behaviour'],
    ['colour', undefined],
    ['', undefined],
    ['x'.repeat(100_000), undefined],
  ])('%.20s', (word, meant) => {
    expect(closest(word, words)).toBe(meant);
  });
});

describe('an unknown word', () => {
  it('is answered with what was likely meant, or with all that there are', () => {
    const names = ['gotify', 'email'];
    expect(unknownWord('channel', 'gotfy', names)).toBe(
      "unknown channel 'gotfy'. Did you mean 'gotify'?",
    );
    expect(unknownWord('channel', 'irc', names)).toBe(
      "unknown channel 'irc', known are gotify, email",
    );
    expect(unknownWord('group', 'web', [], '; there is none')).toBe(
      "unknown group 'web'; there is none",
    );
  });
});
