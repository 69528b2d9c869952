/** Which proxy a request goes through, by the variables that programs of this kind go by. */

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * The address of the proxy for a request; undefined: none. As curl does it: small letters before
 * capitals, an empty variable means no proxy, and nothing goes to this host by a proxy.
 *
 * @param ofNode `http_proxy` of the node's `datacenter.cfg`, if no variable says otherwise
 */
export function proxyFor(
  { protocol, hostname, port }: Pick<URL, 'protocol' | 'hostname' | 'port'>,
  variables: Variables,
  ofNode: string | undefined,
): string | undefined {
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === 'localhost' || host === '::1' || /^127\./.test(host)) return undefined;
  const scheme = protocol.replace(/:$/, '');
  const either = (name: string): string | undefined =>
    variables[name] ?? variables[name.toUpperCase()];
  const asked = port === '' ? (scheme === 'https' ? '443' : '80') : port;
  if (isExcepted(either('no_proxy') ?? '', host, asked)) return undefined;
  const proxy = either(`${scheme}_proxy`) ?? either('all_proxy') ?? ofNode;
  const address = proxy?.trim() ?? '';
  if (address === '') return undefined;
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(address) ? address : `http://${address}`;
}

/** Names with all below them, addresses, networks; each also with a port; `*` for all. */
function isExcepted(list: string, host: string, port: string): boolean {
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === '') return false;
    if (entry === '*') return true;
    const [, name = '', itsPort] = /^(.*?)(?::([0-9]+))?$/.exec(entry.toLowerCase()) ?? [];
    const isV6 = (name.match(/:/g) ?? []).length > 0;
    const whole = isV6 ? entry.toLowerCase() : name;
    if (!isV6 && itsPort !== undefined && itsPort !== port) return false;
    const wanted = whole.replace(/^\[|\]$/g, '').replace(/^\*?\./, '');
    return host === wanted || host.endsWith(`.${wanted}`) || isWithin(host, wanted);
  });
}

const V4 = /^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(?:\/([0-9]{1,2}))?$/;

/** Whether an IPv4 address is in a network such as `10.0.0.0/8`. */
function isWithin(host: string, network: string): boolean {
  const [address, net] = [V4.exec(host), V4.exec(network)];
  const bits = Number(net?.[5] ?? Number.NaN);
  if (address === null || net === null || !(bits >= 0 && bits <= 32)) return false;
  const number = (found: RegExpExecArray): number =>
    found.slice(1, 5).reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const size = 2 ** (32 - bits);
  return Math.floor(number(address) / size) === Math.floor(number(net) / size);
}

/** `http_proxy` of a `datacenter.cfg`. Source: pve-docs, chapter "Datacenter Configuration". */
export const proxyIn = (datacenter: string): string | undefined =>
  /^http_proxy:[ \t]*(\S+)[ \t]*$/m.exec(datacenter)?.[1];
