import type { GroupNetwork } from './group-policy.ts';

/** IPv4 addresses for members: which there are, which of them is free. */

const toNumber = (address: string): number =>
  address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);

const toText = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');

/** The first address that nobody uses; undefined if the range is used up. */
export function freeAddress(
  { addresses }: GroupNetwork,
  used: ReadonlySet<string>,
): string | undefined {
  for (const [from, to] of rangesOf(addresses)) {
    for (let number = from; number <= to; number += 1) {
      const address = toText(number);
      if (!used.has(address)) return address;
    }
  }
  return undefined;
}

/** How many different ones there are. */
export function addressCount({ addresses }: GroupNetwork): number {
  const ranges = [...rangesOf(addresses)].sort(([a], [b]) => a - b);
  let count = 0;
  let next = 0;
  for (const [from, to] of ranges) {
    count += Math.max(0, to - Math.max(from, next) + 1);
    next = Math.max(next, to + 1);
  }
  return count;
}

/** The first address that both would give out; undefined: none. */
export function sharedAddress(one: GroupNetwork, other: GroupNetwork): string | undefined {
  const others = rangesOf(other.addresses);
  for (const [from, to] of rangesOf(one.addresses)) {
    const met = others.find(([start, end]) => start <= to && from <= end);
    if (met !== undefined) return toText(Math.max(from, met[0]));
  }
  return undefined;
}

/** A pair is a range; any other list is a list; a network is all of it but its first and last. */
function rangesOf(addresses: readonly string[]): readonly (readonly [number, number])[] {
  const [first = '', second, ...more] = addresses;
  const [base = '', prefix] = first.split('/');
  if (prefix !== undefined) {
    const size = 2 ** (32 - Number(prefix));
    const start = Math.floor(toNumber(base) / size) * size;
    return size <= 2 ? [[start, start + size - 1]] : [[start + 1, start + size - 2]];
  }
  if (second !== undefined && more.length === 0) return [[toNumber(first), toNumber(second)]];
  return addresses.map((address) => [toNumber(address), toNumber(address)] as const);
}

const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const LENGTH = '(?:/([0-9]|[12][0-9]|3[0-2]))?';
const ADDRESS = new RegExp(`^(${OCTET}(?:\\.${OCTET}){3})${LENGTH}(?![\\s\\S])`);

/** Addresses that are not of a single other host. */
export interface Nobodys {
  readonly network: string;
  readonly name: 'this network' | 'loopback' | 'link-local' | 'multicast and broadcast';
}

const NOBODYS: readonly Nobodys[] = [
  { network: '0.0.0.0/8', name: 'this network' },
  { network: '127.0.0.0/8', name: 'loopback' },
  { network: '169.254.0.0/16', name: 'link-local' },
  { network: '224.0.0.0/3', name: 'multicast and broadcast' },
];

/** Which of those a range from one address to another meets; undefined: none. */
export function nobodysIn(first: string, last: string = first): Nobodys | undefined {
  const [from, to] = [toNumber(first), toNumber(last)];
  return NOBODYS.find(({ network }) => {
    const [base = '', prefix] = network.split('/');
    const [start, end] = networkOf(base, Number(prefix));
    return start <= to && from <= end;
  });
}

function networkOf(address: string, prefix: number): readonly [first: number, last: number] {
  const size = 2 ** (32 - prefix);
  const first = Math.floor(toNumber(address) / size) * size;
  return [first, first + size - 1];
}

/**
 * The address of a member, to which this node may turn; undefined for what is none. A container
 * says itself what it has, and must not have the node ask its own services, or many at once.
 *
 * @param text `10.0.0.5`, or with the length of its network, whose ends are then refused too
 * @param own addresses of this node, with those by which it reaches all of a network
 */
export function memberAddress(text: string, own: ReadonlySet<string>): string | undefined {
  const [, address, length] = ADDRESS.exec(text) ?? [];
  if (address === undefined || own.has(address)) return undefined;
  if (nobodysIn(address) !== undefined) return undefined;
  const isOneOfMany = length !== undefined && Number(length) <= 30;
  const isEnd = isOneOfMany && networkOf(address, Number(length)).includes(toNumber(address));
  return isEnd ? undefined : address;
}

/** Of an address of this node with its mask: by which it reaches all of that network. */
export function broadcastOf(address: string, netmask: string): string {
  const host = 2 ** 32 - 1 - toNumber(netmask);
  return toText(Math.floor(toNumber(address) / (host + 1)) * (host + 1) + host);
}

/** The first and the last address of a network such as `10.0.0.0/24`. */
export function endsOf(network: string): readonly [first: string, last: string] {
  const [base = '', prefix] = network.split('/');
  const [first, last] = networkOf(base, Number(prefix));
  return [toText(first), toText(last)];
}

/** How long the network part of the members' addresses is, where the configuration says so. */
export const prefixOf = ({ addresses }: GroupNetwork): string | undefined =>
  addresses[0]?.split('/')[1];
