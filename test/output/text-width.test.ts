import { describe, expect, it } from 'vitest';
import { clip, padTo, textWidth } from '../../src/output/text-width.ts';

describe('the width of a text', () => {
  it.each([
    ['', 0],
    ['web-1', 5],
    ['\u00e9', 1],
    ['e\u0301', 1],
    ['\u8cc7\u6599', 4],
    ['\uc11c\ubc84', 4],
    ['\uff76\uff85', 2],
    ['\uff21', 2],
    ['\u{1f680}', 2],
    ['a\u3000b', 4],
    ['web\u200b1', 4],
    ['a\u200db\ufeff', 2],
    ['a\u00adb', 3],
    ['\u2764\ufe0f', 1],
    ['\u1112\u1161\u11ab', 2],
  ])('of %j is %d', (text, width) => {
    expect(textWidth(text)).toBe(width);
    expect(textWidth(padTo(text, 9))).toBe(9);
  });

  it('is what a cut text keeps to, by whole characters', () => {
    expect(clip('\u8cc7\u6599\u5eab\u4f3a', 7)).toBe('\u8cc7\u6599...');
    expect(clip('\u8cc7\u6599\u5eab\u4f3a', 8)).toBe('\u8cc7\u6599\u5eab\u4f3a');
    expect(clip('\u8cc7\u6599\u5eab', 4)).toBe('...');
    expect(clip('database', 2)).toBe('..');
  });
});
