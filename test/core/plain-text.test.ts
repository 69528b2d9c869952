import { describe, expect, it } from 'vitest';
import { plainText } from '../../src/core/plain-text.ts';
import { fc } from '../fast-check.ts';

/** Text as an attacker would name a container: any UTF-16, rich in what does harm. */
const nasty = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('\x1b[2J', '\r\n', '\x9b', '\u2028', '\u202e', '\ud800', '\udc00', '\x7f'),
      fc.constantFrom('\u200b', '\u{e0041}', '\u00ad', '\ufeff', '\u0000', 'ä', '容', '\u{1f600}'),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

function isHarmless(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return false;
  if (code === 0x2028 || code === 0x2029 || code === 0x61c) return false;
  if (code >= 0x200b && code <= 0x200f) return false;
  if (code >= 0x202a && code <= 0x202e) return false;
  if (code >= 0x2066 && code <= 0x2069) return false;
  return !(code >= 0xd800 && code <= 0xdfff) && code !== 0xfeff && code >> 8 !== 0xe00;
}

describe('plainText', () => {
  it.each([
    ['web-shop 1', 'web-shop 1'],
    ['Größe 容器 \u{1f600} é', 'Größe 容器 \u{1f600} é'],
    ['a\nb\r\nc\td', 'a\\nb\\r\\nc\\td'],
    ['\x1b[31mred\x1b[0m', '\\x1b[31mred\\x1b[0m'],
    ['\x00\x07\x7f\x85\x9b', '\\x00\\x07\\x7f\\x85\\x9b'],
    ['abc\u202edcb\u2066', 'abc\\u202edcb\\u2066'],
    ['a\u2028b\u2029c', 'a\\u2028b\\u2029c'],
    ['\ud83d and \ude00', '\\ud83d and \\ude00'],
    ['\u{e0041}', '\\u{e0041}'],
    ['C:\\temp', 'C:\\temp'],
    ['', ''],
  ])('shows %j as %j', (text, expected) => {
    expect(plainText(text)).toBe(expected);
  });

  it('leaves nothing that breaks a line, steers a terminal or hides', () => {
    fc.assert(fc.property(nasty, (text) => [...plainText(text)].every(isHarmless)));
  });

  it('never exceeds the bound and never adds to what it has already treated', () => {
    fc.assert(
      fc.property(nasty, fc.integer({ min: 0, max: 300 }), (text, maxLength) => {
        const once = plainText(text, maxLength);
        return once.length <= maxLength && plainText(once, maxLength) === once;
      }),
    );
  });

  it('leaves harmless text alone', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii' }), (text) => plainText(text) === text),
    );
  });

  it('says how much it left out, and does not break a character', () => {
    expect(plainText('a'.repeat(100), 40)).toBe(`${'a'.repeat(14)} ... [86 more characters]`);
    expect(plainText('\u{1f600}'.repeat(50), 40)).toMatch(/^(\u{1f600})+ \.\.\. \[\d+ more/u);
    expect(plainText('\x1b'.repeat(50), 60)).toMatch(/^(\\x1b)+ \.\.\. \[\d+ more characters\]$/);
  });

  it('cuts a huge text without treating all of it', () => {
    const started = performance.now();
    expect(plainText('\x1b'.repeat(50_000_000)).length).toBeLessThanOrEqual(8192);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
