import { hostname, networkInterfaces } from 'node:os';

/**
 * Names and addresses under which this machine reaches itself, in small letters.
 * @param name of the machine, without its domain
 */
export function ownHosts(name: string): ReadonlySet<string> {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .map(({ address }) => address);
  const all = ['localhost', name, hostname(), ...addresses];
  return new Set(all.map((one) => one.toLowerCase()));
}
