import { describe, expect, it } from 'vitest';
import { printable, printableKey } from '../../src/config/printable.ts';
import { fc } from '../fast-check.ts';

describe('printable', () => {
  it.each([
    ['web-1', 'web-1'],
    ['a\nb\r\tc', 'a\\nb\\r\\tc'],
    ['\u001b[31m\u0000\u009b', '\\x1b[31m\\x00\\x9b'],
    ['a\u202eb\u200b\ufeff', 'a\\u202eb\\u200b\\ufeff'],
    ['é 日本 😀', 'é 日本 😀'],
    ['a\ud800b', 'a\\ud800b'],
  ])('%j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it('cuts between characters, not within one', () => {
    expect(printable('😀😀😀', 2)).toBe('😀😀...');
    expect(printable('😀😀', 2)).toBe('😀😀');
    expect(printable('x'.repeat(1_000_000), 3)).toBe('xxx...');
  });

  it('leaves nothing that drives a terminal or breaks a line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
      }),
    );
  });
});

describe('printableKey', () => {
  it('ends where a value may have been glued to it', () => {
    expect(printableKey('gotify_token:abc')).toBe('gotify_token...');
    expect(printableKey('gotify_token=abc')).toBe('gotify_token...');
    expect(printableKey('max_cores')).toBe('max_cores');
  });
});
