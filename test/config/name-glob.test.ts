import { describe, expect, it } from 'vitest';
import { matchesGlob } from '../../src/config/name-glob.ts';
import { fc } from '../fast-check.ts';

/** Straight from the definition, and slow where there are many `*`. */
function naively(pattern: string, name: string): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return name === '';
  const after = rest.join('');
  if (first === '*')
    return naively(after, name) || (name !== '' && naively(pattern, name.slice(1)));
  return name !== '' && (first === '?' || first === name[0]) && naively(after, name.slice(1));
}

describe('matchesGlob', () => {
  it.each([
    ['web-*', 'web-1', true],
    ['web-*', 'web-', true],
    ['web-*', 'web', false],
    ['web-*', 'my-web-1', false],
    ['web-*', 'WEB-1', true],
    ['web', 'Web', true],
    ['web', 'web-1', false],
    ['*-web', 'my-web', true],
    ['*web*', 'web', true],
    ['web-?', 'web-1', true],
    ['web-?', 'web-12', false],
    ['web-?', 'web-', false],
    ['w*b-*1', 'web-db-11', true],
    ['*', '', true],
    ['?', '', false],
    ['', '', true],
    ['', 'a', false],
    ['a.c*', 'abc', false],
    ['a+*', 'aaa', false],
    ['*(a|b)', 'xa', false],
    ['ct1*', 'ct1\n', true],
    ['*a*b', 'aab-ab-a', false],
  ])('%j on %j: %s', (pattern, name, expected) => {
    expect(matchesGlob(pattern, name)).toBe(expected);
    expect(naively(pattern, name.toLowerCase())).toBe(expected);
  });

  it('is what the definition says, for any pattern and name', () => {
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '.'), maxLength: 9 });
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 12 });
    fc.assert(
      fc.property(pattern, name, (one, other) => {
        expect(matchesGlob(one, other)).toBe(naively(one, other));
      }),
      { numRuns: 20_000 },
    );
  });

  it('matches a name made from the pattern', () => {
    const piece = fc.oneof(
      fc.constantFrom('a', '-', '.').map((text) => [text, text] as const),
      fc.string({ maxLength: 1, minLength: 1 }).map((text) => ['?', text.slice(0, 1)] as const),
      fc.string({ maxLength: 5 }).map((text) => ['*', text] as const),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const [pattern, name] = [0, 1].map((side) => pieces.map((one) => one[side]).join(''));
        expect(matchesGlob(pattern ?? '', name ?? '')).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('needs no more steps than pattern times name, whatever a container is called', () => {
    const name = 'a'.repeat(255);
    const counted = { reads: 0 };
    const counting = (text: string): string =>
      new Proxy(Object(text), {
        get(target, key) {
          if (key !== 'length') counted.reads++;
          return Reflect.get(target, key);
        },
      });
    for (const pattern of ['*a'.repeat(127), `${'*a'.repeat(127)}b`, `${'*?'.repeat(100)}b`]) {
      counted.reads = 0;
      matchesGlob(counting(pattern), name);
      expect(counted.reads).toBeLessThanOrEqual(255 * (pattern.length + 2));
    }
  });
});
