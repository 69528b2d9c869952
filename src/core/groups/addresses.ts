import type { GroupNetwork } from './group-policy.ts';

/** IPv4 addresses for members: which there are, which of them is free. */

const toNumber = (address: string): number =>
  address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);

const toText = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');

/** The first address that nobody uses; undefined where the range is used up. */
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

/** How long the network part of the members' addresses is, where the configuration says so. */
export const prefixOf = ({ addresses }: GroupNetwork): string | undefined =>
  addresses[0]?.split('/')[1];
