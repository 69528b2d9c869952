import type { Vmid } from './units.ts';

/** A guest in words. */

/** A name that others wrote is cut to so many characters. */
export const LONGEST_NAME = 64;
/** The same in a column of a table. */
export const LONGEST_NAME_IN_TABLE = 32;

interface Guest {
  readonly vmid: Vmid;
  /** Left out for a container. */
  readonly kind?: 'qemu' | undefined;
}

export const guestNoun = ({ kind }: Pick<Guest, 'kind'>): 'VM' | 'container' =>
  kind === 'qemu' ? 'VM' : 'container';

/** The tool by which it is changed. */
export const toolOf = ({ kind }: Pick<Guest, 'kind'>): 'qm' | 'pct' =>
  kind === 'qemu' ? 'qm' : 'pct';

/** `Container 101`, or `VM 200`. */
export const guestLabel = ({ vmid, kind }: Guest): string =>
  `${kind === 'qemu' ? 'VM' : 'Container'} ${vmid}`;

/** `container 101`, or `VM 200`. */
export const guestInside = (guest: Guest): string => `${guestNoun(guest)} ${guest.vmid}`;

/** The name of one whose configuration cannot be read, as Proxmox VE names one that has none. */
export const unreadName = ({ vmid, kind }: Guest): string =>
  `${kind === 'qemu' ? 'VM' : 'CT'}${vmid}`;

/** To be spread into what is said of a guest. */
export const kindOf = ({ kind }: Pick<Guest, 'kind'>): { readonly kind?: 'qemu' } =>
  kind === undefined ? {} : { kind };
