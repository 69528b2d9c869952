import { describe, expect, it } from 'vitest';
import { isLoopback, parseListenAddress } from '../../src/core/listen-address.ts';
import { fc } from '../fast-check.ts';

describe('an address to listen on', () => {
  it.each([
    ['127.0.0.1:9732', '127.0.0.1', 9732],
    ['localhost:80', '127.0.0.1', 80],
    ['0.0.0.0:65535', '0.0.0.0', 65_535],
    ['[::1]:9732', '::1', 9732],
    ['[fe80::1]:1', 'fe80::1', 1],
  ])('%s', (text, host, port) => {
    expect(parseListenAddress(text)).toEqual({ host, port });
  });

  it.each([
    '',
    ':9732',
    '9732',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    '127.0.0.1:09',
    '256.0.0.1:1',
    '127.1:80',
    '::1:80',
    '[::1]',
    '[1.2.3.4]:80',
    'pve1:80',
    '127.0.0.1:80\n',
    ' 127.0.0.1:80',
    'http://127.0.0.1:80',
    '127.0.0.1:80/metrics',
  ])('is not %j', (text) => {
    expect(parseListenAddress(text)).toBeUndefined();
  });

  it('is never taken for one of this machine only where it is not', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(fc.tuple(octet, octet, octet, octet), (octets) => {
        expect(isLoopback(octets.join('.'))).toBe(octets[0] === 127);
      }),
    );
    for (const host of ['::', '::2', 'fe80::1', '1::1', '::ffff:1.2.3.4', '::1:1', '2001::1']) {
      expect([host, isLoopback(host)]).toEqual([host, false]);
    }
    for (const host of ['::1', '0:0:0:0:0:0:0:1', '0000:0000:0000:0000:0000:0000:0000:0001']) {
      expect([host, isLoopback(host)]).toEqual([host, true]);
    }
  });
});
