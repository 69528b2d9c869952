/**
 * Which guest a configuration belongs to. An id is given away again after a guest is destroyed, so
 * the id alone proves nothing. The volume of the root file system proves little more: its name is
 * made of the id. The hardware addresses are drawn at random for each new guest. Pure.
 */

/**
 * What no two guests share, as one text that can be saved: the hardware addresses in lower case,
 * sorted, with commas between them; a blank; the root volume. A guest without network devices has
 * no addresses, so its identity begins with the blank.
 */
export type GuestIdentity = string & { readonly __identity: true };

const ADDRESS = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/;
/** A volume of a storage, or a path. Source: pct.conf(5). */
const VOLUME = /^(?:[A-Za-z][A-Za-z0-9_.-]*:[^\s,]+|\/[^\p{Cc},]+)$/u;
const LONGEST_VOLUME = 255;
const MOST_DEVICES = 128;

/** A property string of Proxmox VE: `volume,size=4G`, or `volume=volume,size=4G`. */
function fieldOf(line: string, key: string, isFirst: boolean): string | undefined {
  const [first = '', ...others] = line.split(',');
  if (isFirst && !first.includes('=')) return first;
  const field = [first, ...others].find((each) => each.startsWith(`${key}=`));
  return field?.slice(key.length + 1);
}

/**
 * @param rootfs the value of the `rootfs:` line
 * @param nets the values of the `netN:` lines
 * @returns undefined if the volume or, beside devices, every address is missing or in another
 *   form than Proxmox VE writes it: then it is not known which guest this is
 */
export function guestIdentity(
  rootfs: string | undefined,
  nets: readonly string[],
): GuestIdentity | undefined {
  const volume = fieldOf(rootfs ?? '', 'volume', true) ?? '';
  if (volume.length > LONGEST_VOLUME || !VOLUME.test(volume)) return undefined;
  const addresses = nets
    .slice(0, MOST_DEVICES)
    .map((net) => fieldOf(net, 'hwaddr', false)?.toLowerCase() ?? '')
    .filter((address) => ADDRESS.test(address));
  if (nets.length > 0 && addresses.length === 0) return undefined;
  return `${[...new Set(addresses)].sort().join(',')} ${volume}` as GuestIdentity;
}

interface Parts {
  readonly addresses: readonly string[];
  readonly volume: string;
}

function partsOf(identity: GuestIdentity): Parts {
  const at = identity.indexOf(' ');
  const addresses = identity.slice(0, at);
  return {
    addresses: addresses === '' ? [] : addresses.split(','),
    volume: identity.slice(at + 1),
  };
}

/** An identity that was saved; undefined for any other value. */
export function parseGuestIdentity(value: unknown): GuestIdentity | undefined {
  if (typeof value !== 'string' || !value.includes(' ')) return undefined;
  const { addresses, volume } = partsOf(value as GuestIdentity);
  const nets = addresses.map((address) => `hwaddr=${address}`);
  return guestIdentity(volume, nets) === value ? (value as GuestIdentity) : undefined;
}

/**
 * The same guest has the same root volume and at least one hardware address in common, or neither
 * has a network device. So a device may be added or removed as long as another one stays. What is
 * not known is never the same.
 */
export function isSameGuest(
  one: GuestIdentity | undefined,
  other: GuestIdentity | undefined,
): boolean {
  if (one === undefined || other === undefined) return false;
  if (one === other) return true;
  const [a, b] = [partsOf(one), partsOf(other)];
  return a.volume === b.volume && a.addresses.some((address) => b.addresses.includes(address));
}

/** `root volume local-lvm:vm-101-disk-0, hwaddr bc:24:11:00:00:01`. */
export function describeIdentity(identity: GuestIdentity | undefined): string {
  if (identity === undefined) return 'no readable rootfs line or hardware address';
  const { addresses, volume } = partsOf(identity);
  const hardware = addresses.length === 0 ? 'no network device' : `hwaddr ${addresses.join(' ')}`;
  return `root volume ${volume}, ${hardware}`;
}
