import { describe, expect, it } from 'vitest';
import { freeAddress } from '../../../src/core/groups/addresses.ts';
import type { GroupNetwork } from '../../../src/core/groups/group-policy.ts';
import { newGroupState, newMemory } from '../../../src/core/groups/group-state.ts';
import { memberNets } from '../../../src/core/groups/net-lines.ts';
import { fromSavedGroups, toSavedGroups } from '../../../src/core/groups/saved-groups.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { vmid } from '../builders.ts';

const network = (...addresses: string[]): GroupNetwork => ({
  type: 'static',
  addresses,
  bridge: undefined,
  gateway: undefined,
});

describe('freeAddress', () => {
  it.each([
    [['10.0.0.254', '10.0.1.1'], ['10.0.0.254', '10.0.0.255'], '10.0.1.0'],
    [['10.0.0.1', '10.0.0.5', '10.0.0.9'], ['10.0.0.1'], '10.0.0.5'],
    [['10.0.0.7'], [], '10.0.0.7'],
    [['10.0.0.5/30'], [], '10.0.0.5'],
    [['10.0.0.4/30'], ['10.0.0.5', '10.0.0.6'], undefined],
    [['10.0.0.1', '10.0.0.2'], ['10.0.0.1', '10.0.0.2'], undefined],
    [['200.0.0.0/8'], [], '200.0.0.1'],
  ])('of %j without %j is %s', (addresses, used, expected) => {
    expect(freeAddress(network(...addresses), new Set(used))).toBe(expected);
  });
});

describe('memberNets', () => {
  const nets = (lines: Record<string, string>) => new Map(Object.entries(lines));

  it('gives an address of its own, with the prefix and the gateway of the source', () => {
    const before = nets({ net0: 'name=eth0,bridge=vmbr0,gw=10.0.2.2,hwaddr=A,ip=10.0.2.101/20' });
    expect([...memberNets(before, network('10.0.2.9'), '10.0.2.9')]).toEqual([
      ['net0', 'name=eth0,bridge=vmbr0,gw=10.0.2.2,hwaddr=A,ip=10.0.2.9/20'],
    ]);
  });

  it('leaves no static address of the source on any interface, of any kind', () => {
    const before = nets({
      net0: 'name=eth0,bridge=vmbr0,ip=10.0.2.101/24,gw=10.0.2.1,ip6=fd00::1/64,gw6=fd00::f',
      net1: 'name=eth1,bridge=vmbr1,ip=10.9.0.1/24,gw=10.9.0.2',
      net2: 'name=eth2,bridge=vmbr2,ip=dhcp,ip6=auto',
    });
    const own = { ...network(), bridge: 'vmbr7', type: 'dhcp' as const };
    expect([...memberNets(before, own, undefined)]).toEqual([
      ['net0', 'name=eth0,bridge=vmbr7,ip=dhcp'],
      ['net1', 'name=eth1,bridge=vmbr1'],
      ['net2', 'name=eth2,bridge=vmbr2,ip=dhcp,ip6=auto'],
    ]);
  });

  it('takes prefix and gateway of the configuration first', () => {
    const before = nets({ net0: 'name=eth0,ip=10.0.2.101/24,gw=10.0.2.1' });
    const own = { ...network('10.5.0.0/16'), gateway: '10.5.0.1' };
    expect(memberNets(before, own, '10.5.0.2').get('net0')).toBe(
      'name=eth0,gw=10.5.0.1,ip=10.5.0.2/16',
    );
  });
});

describe('the saved state of groups', () => {
  const state = () => {
    const made = newGroupState();
    made.desired = 3;
    made.wantedReason = 'the mean is high';
    made.snapshot = 'autoscale-web-1';
    made.ledgered = true;
    made.snapshotBoot = 'a';
    made.snapshotMs = milliseconds(4);
    made.aboveSinceMs = milliseconds(5);
    made.reservation = {
      vmid: vmid(200),
      address: '10.0.0.1',
      nonce: 'a'.repeat(32),
      startedMs: milliseconds(1),
      reason: 'r',
      boot: 'a',
      begun: true,
      pid: 12,
      ended: undefined,
      orphanedMs: undefined,
    };
    made.members.set(vmid(201), { ...newMemory('why'), failed: 2 });
    made.failures.set('out', { count: 2, retryAtMs: milliseconds(99), message: 'no space' });
    made.avoid.set(vmid(300), milliseconds(50));
    return made;
  };
  const through = (boot: string) => {
    const saved = JSON.parse(JSON.stringify(toSavedGroups(new Map([['web', state()]]), 'a')));
    const read = fromSavedGroups(saved, boot);
    return read.ok ? read.value.get('web') : read;
  };

  it('comes back as it was', () => {
    expect(through('a')).toEqual(state());
  });

  it('keeps after a boot what bears no times: how many are wanted, and what is half-made', () => {
    const { desired, wantedReason, snapshot, snapshotBoot, reservation, ledgered } = state();
    const kept = { desired, wantedReason, snapshot, snapshotBoot, reservation, ledgered };
    expect(through('b')).toEqual({ ...newGroupState(), ...kept });
  });

  it.each([
    [null],
    [[]],
    [{ version: 9, groups: {} }],
    [{ version: 1, boot: 'a', groups: { web: 1 } }],
  ])('is refused as %j', (saved) => {
    expect(fromSavedGroups(saved, 'a')).toMatchObject({ ok: false, why: 'malformed' });
  });

  it('is refused where a reservation is not whole', () => {
    const saved = { version: 1, boot: 'a', groups: { web: { reservation: { vmid: 1 } } } };
    expect(fromSavedGroups(saved, 'a').ok).toBe(false);
  });
});
