/** A server that takes lines of the log by syslog: `udp://log.lan:514`, `tcp://[fd00::5]`. */
export interface SyslogAddress {
  readonly protocol: 'udp' | 'tcp';
  /** A name or a numeric address, without brackets. */
  readonly host: string;
  readonly port: number;
}

const SIX = '\\[([0-9A-Fa-f:.]{2,45})\\]';
const NAME = '([A-Za-z0-9._-]{1,253})';
const FORM = new RegExp(`^(udp|tcp)://(?:${SIX}|${NAME})(?::([1-9][0-9]{0,4}))?/?(?![\\s\\S])`);
const USUAL_PORT = 514;
const MOST_PORT = 65_535;

/** undefined for what is no such address. */
export function parseSyslogAddress(text: string): SyslogAddress | undefined {
  const [, protocol, six, name, digits] = FORM.exec(text) ?? [];
  const port = digits === undefined ? USUAL_PORT : Number(digits);
  const host = six ?? name;
  if (host === undefined || port > MOST_PORT || (six !== undefined && !isIPv6(six)))
    return undefined;
  return protocol === 'udp' || protocol === 'tcp' ? { protocol, host, port } : undefined;
}

function isIPv6(address: string): boolean {
  try {
    return new URL(`http://[${address}]/`).hostname !== '';
  } catch {
    return false;
  }
}

/** As it stands in the configuration. */
export const showSyslogAddress = ({ protocol, host, port }: SyslogAddress): string =>
  `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`;
