import { expect, it } from 'vitest';
import { broadcastOf, memberAddress } from '../../../src/core/groups/addresses.ts';

const OWN = new Set(['10.0.0.2', '10.0.0.255']);

it.each(['10.0.0.5', '10.0.0.5/24', '192.168.7.1/32', '8.8.8.8', '10.0.0.0/31', '223.1.1.1/16'])(
  '%s can be the address of a member',
  (text) => {
    expect(memberAddress(text, OWN)).toBe(text.split('/')[0]);
  },
);

it.each([
  '127.0.0.1/8',
  '127.0.0.1',
  '127.255.255.254/32',
  '0.0.0.0',
  '0.1.2.3/8',
  '169.254.0.1/16',
  '169.254.169.254',
  '224.0.0.1',
  '239.1.1.1/24',
  '240.0.0.1',
  '255.255.255.255',
  '255.255.255.255/32',
  '10.0.0.2',
  '10.0.0.2/24',
  '10.0.0.255',
  // The ends of its own network.
  '10.1.0.255/24',
  '10.1.0.0/24',
  '10.1.255.255/16',
  '10.1.0.3/30',
  // Other ways to write an address.
  '',
  '10.0.0',
  '10.0.0.5.6',
  '010.0.0.5',
  '10.0.0.05',
  '0x7f.0.0.1',
  '2130706433',
  '127.1',
  '10.0.0.5/33',
  '10.0.0.5/',
  '10.0.0.5/24/8',
  ' 10.0.0.5',
  '10.0.0.5\n',
  '10.0.0.256',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.5',
  'fe80::1',
  'fd00::5/64',
  'localhost',
])('%j can not', (text) => {
  expect(memberAddress(text, OWN)).toBeUndefined();
});

it.each([
  ['10.0.0.2', '255.255.255.0', '10.0.0.255'],
  ['10.0.3.2', '255.255.252.0', '10.0.3.255'],
  ['127.0.0.1', '255.0.0.0', '127.255.255.255'],
  ['10.0.0.2', '255.255.255.255', '10.0.0.2'],
])('from %s with the mask %s all are reached by %s', (address, netmask, broadcast) => {
  expect(broadcastOf(address, netmask)).toBe(broadcast);
});
