import { describe, expect, it } from 'vitest';
import {
  bytes,
  bytesToMib,
  kibToMib,
  mib,
  mibToBytes,
  parseVmid,
  percentToRatio,
  secondsToMs,
} from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';

describe('parseVmid', () => {
  it.each(['100', '101', '999', '1000', '123456', '999999999'])('takes %s', (text) => {
    expect(parseVmid(text)).toBe(Number(text));
  });

  it.each([
    ['empty', ''],
    ['below the smallest', '99'],
    ['zero', '0'],
    ['above the largest', '1000000000'],
    ['far above it', '99999999999999999999'],
    ['a newline at the end', '100\n'],
    ['a carriage return', '100\r\n'],
    ['a newline before', '\n100'],
    ['two lines', '100\n101'],
    ['a leading zero', '0100'],
    ['all zeros', '000'],
    ['an exponent', '1e3'],
    ['hexadecimal', '0x64'],
    ['a blank before', ' 100'],
    ['a blank after', '100 '],
    ['a tab', '100\t'],
    ['a sign', '+100'],
    ['a negative number', '-100'],
    ['a fraction', '100.0'],
    ['a separator', '1_000'],
    ['a comma', '1,000'],
    ['Arabic digits', '١٢٣'],
    ['Devanagari digits', '१२३'],
    ['full-width digits', '１００'],
    ['a combining mark', '100\u0301'],
    ['a zero-width space', '100\u200b'],
    ['a NUL', '100\0'],
    ['a path', '100/../101'],
    ['a file name', '100.conf'],
    ['letters', 'abc'],
    ['no number', 'NaN'],
  ])('refuses %s', (_what, text) => {
    expect(parseVmid(text)).toBeUndefined();
  });

  it('takes back every id that it could have written, and nothing else', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999_999_999 }), (id) => {
        expect(parseVmid(String(id))).toBe(id);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('1', '0', ' ', '\n', 'e', '-') }), (text) => {
        const id = parseVmid(text);
        if (id !== undefined) expect(String(id)).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('conversions', () => {
  it('between MiB and bytes lose nothing', () => {
    expect(mibToBytes(mib(512))).toBe(536_870_912);
    expect(bytesToMib(bytes(536_870_912))).toBe(512);
    expect(bytesToMib(bytes(537_395_200))).toBe(512.5);
  });

  it('know the units of the kernel and of people', () => {
    expect(kibToMib(1024)).toBe(1);
    expect(percentToRatio(80)).toBe(0.8);
    expect(secondsToMs(300)).toBe(300_000);
  });
});
