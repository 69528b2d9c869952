/** Whoever has one address of IPv6 has all of its /64, so that counts for one visitor. */

/**
 * What tells a visitor from others: an address of IPv4, also one that is written in IPv6, or the
 * first four groups of one of IPv6. What is no address stands for itself.
 */
export function visitorNetwork(address: string): string {
  const plain = address.replace(/%.*$/s, '');
  const mapped = /^::ffff:([0-9.]+)$/i.exec(plain)?.[1];
  if (mapped !== undefined) return mapped;
  if (!plain.includes(':')) return plain;
  const [before = '', after] = plain.toLowerCase().split('::');
  const first = groupsOf(before);
  const last = groupsOf(after ?? '');
  const gap = after === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const all = [...first, ...Array.from({ length: gap }, () => '0'), ...last];
  return `${all.slice(0, 4).join(':')}::/64`;
}

const groupsOf = (text: string): readonly string[] =>
  text === ''
    ? []
    : text
        .split(':')
        // An address of IPv4 at the end is two groups.
        .flatMap((group) => (group.includes('.') ? ['0', '0'] : [group.replace(/^0+(?=.)/, '')]));
