import { parseVmid, type Vmid } from '../core/units.ts';
import { closest } from './suggest.ts';

/** A guest as far as a list can mean it; one whose configuration cannot be read has an id only. */
interface Named {
  readonly vmid: Vmid;
  readonly name: string;
}

/**
 * The guest that an entry of a list was most likely meant for, if no guest is called so: its id for
 * `ct101`, a name that is nearly the same; undefined: there is none. In lower case, untrusted text.
 */
export function meantGuest(entry: string, guests: readonly Named[]): string | undefined {
  const id = idMeant(entry, guests);
  if (id !== undefined) return `${id}`;
  if (/^tag:|[*?]/.test(entry)) return undefined;
  const names = guests.map(({ name }) => name.toLowerCase()).filter((name) => name !== '');
  return closest(entry, names);
}

/** The guest whose id stands behind its kind, as in `ct101`; undefined: there is none. */
export function idMeant(entry: string, guests: readonly Named[]): Vmid | undefined {
  const id = parseVmid(/^(?:ct|vm|lxc)-?([0-9]+)$/i.exec(entry)?.[1] ?? '');
  return guests.find(({ vmid }) => vmid === id)?.vmid;
}
