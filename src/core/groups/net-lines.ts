import { prefixOf } from './addresses.ts';
import type { GroupNetwork } from './group-policy.ts';

/**
 * The `netN:` lines of a member. `pct clone` copies those of the source with their addresses, which
 * would then be in use twice; only the hardware addresses are made anew by it.
 */

type Fields = ReadonlyMap<string, string>;

/** `name=eth0,bridge=vmbr0,ip=10.0.0.2/24` as its fields, in their order. */
export function netFields(line: string): Fields {
  const pairs = line.split(',').map((word): [string, string] => {
    const at = word.indexOf('=');
    return at < 0 ? [word, ''] : [word.slice(0, at), word.slice(at + 1)];
  });
  return new Map(pairs);
}

const netLine = (fields: Fields): string =>
  [...fields].map(([key, value]) => `${key}=${value}`).join(',');

/** Where a prefix is to be found neither in the configuration nor with the source. */
const USUAL_PREFIX = '24';

/** Asked for anew by each container, so that they can be copied. */
const NOT_OWN = new Set(['dhcp', 'manual', 'auto']);

/**
 * @param lines `net0` and so on, as the clone has them
 * @param address for the first interface; undefined: by DHCP
 * @returns the lines to be set
 */
export function memberNets(
  lines: ReadonlyMap<string, string>,
  network: GroupNetwork,
  address: string | undefined,
): ReadonlyMap<string, string> {
  const result = new Map<string, string>();
  for (const [key, line] of lines) {
    const fields = new Map(netFields(line));
    const old = fields.get('ip');
    for (const [value, gateway] of [
      ['ip', 'gw'],
      ['ip6', 'gw6'],
    ] as const) {
      if (NOT_OWN.has(fields.get(value) ?? '')) continue;
      fields.delete(value);
      if (key !== 'net0' || value === 'ip6') fields.delete(gateway);
    }
    if (key === 'net0') first(fields, network, address, old);
    result.set(key, netLine(fields));
  }
  return result;
}

function first(
  fields: Map<string, string>,
  network: GroupNetwork,
  address: string | undefined,
  old: string | undefined,
): void {
  if (network.bridge !== undefined) fields.set('bridge', network.bridge);
  if (address === undefined) {
    fields.set('ip', 'dhcp');
    fields.delete('gw');
    return;
  }
  fields.set('ip', `${address}/${prefixOf(network) ?? old?.split('/')[1] ?? USUAL_PREFIX}`);
  if (network.gateway !== undefined) fields.set('gw', network.gateway);
}
