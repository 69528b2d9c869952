/** Where the program listens: `127.0.0.1:9732`, `[::1]:9732` or `localhost:9732`. */
export interface ListenAddress {
  /** A numeric address. */
  readonly host: string;
  readonly port: number;
}

const FORM = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}|localhost)):([1-9][0-9]{0,4})(?![\s\S])/;
const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const DOTTED = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}(?![\\s\\S])`);
const MOST_PORT = 65_535;

/**
 * undefined for what is no numeric address with a port. Names are refused but for `localhost`: what
 * they stand for may change, and with it who can reach the listener.
 */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const [, six, other, digits] = FORM.exec(text) ?? [];
  const host = other === 'localhost' ? '127.0.0.1' : (six ?? other ?? '');
  const port = Number(digits);
  const isNumeric = six === undefined ? DOTTED.test(host) : shortest(six) !== undefined;
  return isNumeric && port <= MOST_PORT ? { host, port } : undefined;
}

/** Whether nobody but this machine can reach it. What is no address counts as public. */
export const isLoopback = (host: string): boolean =>
  DOTTED.test(host) ? host.startsWith('127.') : shortest(host) === '[::1]';

/** An IPv6 address in its one shortest form, in brackets; undefined for what is none. */
function shortest(address: string): string | undefined {
  try {
    return new URL(`http://[${address}]/`).hostname;
  } catch {
    return undefined;
  }
}

/** As it stands in the configuration. */
export const showAddress = ({ host, port }: ListenAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
