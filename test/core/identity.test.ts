import { describe, expect, it } from 'vitest';
import {
  describeIdentity,
  type GuestIdentity,
  guestIdentity,
  isSameGuest,
  parseGuestIdentity,
} from '../../src/core/identity.ts';

const A = 'hwaddr=BC:24:11:00:00:01,ip=dhcp';
const B = 'name=eth1,hwaddr=BC:24:11:00:00:02';
const C = 'hwaddr=bc:24:11:00:00:03';
const VOLUME = 'local-lvm:vm-101-disk-0,size=4G';

function known(rootfs: string, nets: readonly string[] = []): GuestIdentity {
  const identity = guestIdentity(rootfs, nets);
  if (identity === undefined) throw new Error(`not known: ${rootfs}`);
  return identity;
}

describe('the identity of a guest', () => {
  it.each<[string, string, string[], string, string[], boolean]>([
    ['itself', VOLUME, [A], VOLUME, [A], true],
    ['a resized volume', VOLUME, [A], 'local-lvm:vm-101-disk-0,size=9G', [A], true],
    ['the long form', VOLUME, [A], 'size=4G,volume=local-lvm:vm-101-disk-0', [A], true],
    ['another order of devices and fields', VOLUME, [A, B], VOLUME, [B, A], true],
    ['a device more', VOLUME, [A], VOLUME, [A, B], true],
    ['a device less', VOLUME, [A, B], VOLUME, [B], true],
    ['one device replaced', VOLUME, [A, B], VOLUME, [B, C], true],
    ['all devices replaced: made again on the same storage', VOLUME, [A], VOLUME, [B], false],
    ['the last device gone', VOLUME, [A], VOLUME, [], false],
    ['a first device', VOLUME, [], VOLUME, [A], false],
    ['no devices at all', VOLUME, [], VOLUME, [], true],
    ['a fixed address, another volume', VOLUME, [A], 'local-zfs:subvol-101-disk-1', [A], false],
    ['another volume, no devices', VOLUME, [], 'local-lvm:vm-101-disk-1', [], false],
    ['a path', '/srv/my guest,size=0', [A], '/srv/my guest', [A], true],
  ])('%s', (_, rootfs, nets, otherRootfs, otherNets, same) => {
    const [one, other] = [known(rootfs, nets), known(otherRootfs, otherNets)];
    expect(isSameGuest(one, other)).toBe(same);
    expect(isSameGuest(other, one)).toBe(same);
  });

  it.each<[string, string | undefined, string[]]>([
    ['no rootfs line', undefined, [A]],
    ['an empty one', '', [A]],
    ['one without a volume', 'size=4G', [A]],
    ['a word that is no volume', 'none', [A]],
    ['control characters', '/a\u0000b', [A]],
    ['a volume that is far too long', `/${'x'.repeat(300)}`, [A]],
    ['devices without an address', VOLUME, ['name=eth0,bridge=vmbr0']],
    ['a damaged address', VOLUME, ['hwaddr=BC:24:11']],
  ])('is not known with %s, and is then never the same', (_, rootfs, nets) => {
    expect(guestIdentity(rootfs, nets)).toBeUndefined();
    expect(isSameGuest(guestIdentity(rootfs, nets), guestIdentity(rootfs, nets))).toBe(false);
    expect(isSameGuest(guestIdentity(rootfs, nets), known(VOLUME, [A]))).toBe(false);
  });

  it('is read back from its text, and from no other', () => {
    for (const identity of [known(VOLUME, [B, A]), known('/srv/my guest'), known(VOLUME, [A])]) {
      expect(parseGuestIdentity(identity)).toBe(identity);
    }
    for (const wrong of ['', ' ', 'x y', 'bc:24:11:00:00:01', 7, null, `BC:24:11:00:00:01 a:b`]) {
      expect(parseGuestIdentity(wrong)).toBeUndefined();
    }
  });

  it('is told in words', () => {
    expect(describeIdentity(known(VOLUME, [A, B]))).toBe(
      'root volume local-lvm:vm-101-disk-0, hwaddr bc:24:11:00:00:01 bc:24:11:00:00:02',
    );
    expect(describeIdentity(known('a:b'))).toBe('root volume a:b, no network device');
    expect(describeIdentity(undefined)).toBe('no readable rootfs line or hardware address');
  });
});
