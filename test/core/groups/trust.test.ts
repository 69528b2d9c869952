import { describe, expect, it } from 'vitest';
import type { LedgerMember } from '../../../src/core/groups/ledger.ts';
import { ledgerText, newLedger, parseLedger } from '../../../src/core/groups/ledger.ts';
import { guestIdentity, parseGuestIdentity } from '../../../src/core/identity.ts';
import { vmid } from '../builders.ts';
import { type Box, ModelCluster, SOURCE } from './model-cluster.ts';

/** Only the ledger makes a container a member. What others can write makes none, and ends none. */

const settled = (cluster: ModelCluster): ModelCluster => {
  cluster.quiet();
  return cluster;
};

/** A container of others, with whatever it is made to say. */
const add = (cluster: ModelCluster, id: number, own: Partial<Box> = {}): Box => {
  const box: Box = {
    vmid: vmid(id),
    running: true,
    lock: undefined,
    tags: [],
    description: ['production'],
    net0: 'name=eth0,hwaddr=BC:24:11:FF:FF:FF,ip=10.0.0.200/24',
    rootfs: `local-lvm:vm-${id}-disk-7`,
    protection: true,
    onboot: true,
    snapshots: new Map(),
    unfinished: new Set(),
    version: 0,
    ...own,
  };
  cluster.boxes.set(vmid(id), box);
  return box;
};

const LINE = 'lxc-autoscale: group=web vmid=150 state=cloning served=0 made=1700000000';

/** Each way to say that one is a member, by what others may write. */
const CLAIMS: readonly (readonly [string, (member: Box) => Partial<Box>])[] = [
  ['the line of the case', () => ({ description: [`${LINE} check=73131f60`] })],
  ['the state leaving', () => ({ description: [LINE.replace('cloning', 'leaving')] })],
  ['the tag', () => ({ tags: ['autoscale-group-web'] })],
  ['the description of a member', ({ description }) => ({ description })],
  ['the description and tags of a member', ({ description, tags }) => ({ description, tags })],
  ['all of a member', ({ vmid: _, ...all }) => ({ ...all, protection: false })],
  ['all of a member, stopped', ({ vmid: _, ...all }) => ({ ...all, running: false })],
  ['all of a member, locked', ({ vmid: _, ...all }) => ({ ...all, lock: 'create' })],
];

describe.each(['destroy', 'stop', 'off'] as const)('with scale_in: %s', (scaleIn) => {
  it.each(CLAIMS)('a container of others is never touched by %s', (_what, claim) => {
    const cluster = settled(new ModelCluster({ scaleIn }));
    const box = add(cluster, 150, claim(cluster.box(200)));
    const before = structuredClone(box);
    const { notes, members } = cluster.look();
    expect(notes.map(({ text }) => text)).toContainEqual(expect.stringMatching(/^150 says by its/));
    expect(members.map(({ guest }) => Number(guest.vmid))).not.toContain(150);
    for (const load of [20, 0]) {
      cluster.load = load;
      settled(cluster);
    }
    expect(cluster.seen.filter((step) => step.vmid === 150)).toEqual([]);
    expect(cluster.box(150)).toEqual(before);
  });
});

it('what has the id of a member that is gone is left alone, and said', () => {
  const cluster = settled(new ModelCluster());
  const { tags, description } = cluster.box(201);
  // In the same look, so that nobody has seen the id free.
  const rootfs = 'local-lvm:vm-201-disk-0';
  const box = add(cluster, 201, { tags, description, rootfs, protection: false });
  const before = structuredClone(box);
  const { notes } = cluster.look();
  expect(notes.map(({ text }) => text)).toContain(
    '201 is another container now, and no member any longer: it is not touched',
  );
  const steps = cluster.seen.length;
  cluster.load = 0;
  settled(cluster);
  expect(cluster.seen.slice(steps).filter((step) => step.vmid === 201)).toEqual([]);
  expect(cluster.box(201)).toEqual(before);
  expect(cluster.ledger().members.has(vmid(201))).toBe(false);
});

it('a member whose root volume is another one is another container', () => {
  const cluster = settled(new ModelCluster());
  cluster.box(200).rootfs = 'local-zfs:subvol-200-disk-1';
  expect(cluster.look().notes.map(({ key }) => key)).toContain('stranger/200');
});

/** Writes an entry for a container into the ledger, as only root can. */
function enter(cluster: ModelCluster, id: number, own: Partial<LedgerMember> = {}): void {
  const ledger = cluster.ledger();
  const { net0, rootfs } = cluster.box(id);
  ledger.members.set(vmid(id), {
    vmid: vmid(id),
    node: 'pve1',
    nonce: '0'.repeat(32),
    state: 'leaving',
    served: true,
    madeS: 1,
    address: undefined,
    identity: guestIdentity(rootfs, [net0]),
    ...own,
  });
  cluster.ledgerFile = ledgerText('web', ledger);
}

it.each(['leaving', 'failed', 'cloning'] as const)(
  'the source of a group is never ours, even if the ledger said so: %s',
  (state) => {
    const cluster = settled(new ModelCluster());
    cluster.box(SOURCE).tags = ['autoscale-group-web'];
    enter(cluster, SOURCE, { state });
    const before = cluster.seen.length;
    const { members } = cluster.look();
    expect(members.map(({ guest }) => Number(guest.vmid))).not.toContain(SOURCE);
    settled(cluster);
    const steps = cluster.seen.slice(before).filter((step) => step.vmid === SOURCE);
    const kinds = new Set(steps.map(({ kind }) => kind));
    for (const kind of kinds) expect(['snapshot', 'delete-snapshot']).toContain(kind);
    expect(cluster.box(SOURCE).running).toBe(true);
  },
);

it('the source of another group is never ours either', () => {
  const cluster = settled(new ModelCluster());
  cluster.sources.add(vmid(200)).add(vmid(201));
  cluster.load = 0;
  const before = cluster.seen.length;
  for (const id of [200, 201]) enter(cluster, id, { state: 'leaving' });
  settled(cluster);
  const steps = cluster.seen.slice(before).filter((step) => step.vmid < 202);
  expect(steps).toEqual([]);
});

describe('a fresh clone', () => {
  const cloned = (): ModelCluster => {
    const cluster = new ModelCluster();
    while (!cluster.seen.some(({ kind }) => kind === 'clone')) {
      cluster.nowMs += 1000;
      cluster.look();
      if (!cluster.seen.some(({ kind }) => kind === 'clone')) cluster.proceed(0);
    }
    return cluster;
  };

  it.each(['daemon', 'power'] as const)('that runs is never configured (%s)', (what) => {
    const cluster = cloned();
    while (cluster.work.length > 0) cluster.proceed(0);
    cluster.crash(what);
    Object.assign(cluster.box(200), { running: true });
    const plan = cluster.look();
    expect(plan.notes.map(({ key }) => key)).toContain('started/200');
    cluster.box(200).running = false;
    settled(cluster);
    expect(cluster.seen.filter((step) => step.vmid === 200 && step.kind !== 'clone')).toEqual([]);
  });

  it('that was seen whole, and runs before it is configured, is never configured', () => {
    const cluster = cloned();
    while (cluster.work.length > 0) cluster.proceed(0);
    cluster.look();
    expect(cluster.ledger().members.get(vmid(200))?.identity).toBeDefined();
    cluster.crash('power');
    const before = cluster.seen.length;
    cluster.box(200).running = true;
    expect(cluster.look().notes.map(({ key }) => key)).toContain('started/200');
    settled(cluster);
    expect(cluster.seen.slice(before).filter((step) => step.vmid === 200)).toEqual([]);
  });

  it('is not taken for one where it lacks what the very command has written', () => {
    const cluster = cloned();
    cluster.crash('power');
    add(cluster, 200, { tags: ['autoscale-group-web'], running: false, protection: false });
    settled(cluster);
    expect(cluster.seen.filter((step) => step.vmid === 200 && step.kind !== 'clone')).toEqual([]);
    expect(cluster.inService()).toHaveLength(2);
  });

  it('in which nothing stands but its lock is waited for, and never removed', () => {
    const cluster = cloned();
    cluster.proceed(0);
    expect(cluster.box(200)).toMatchObject({ lock: 'create', description: [] });
    cluster.crash('daemon');
    cluster.look();
    expect(cluster.state.reservation?.vmid).toBe(200);
    settled(cluster);
    expect(cluster.inService().map(({ vmid: id }) => Number(id))).toEqual([200, 201]);
  });

  it('keeps protection that its source has not', () => {
    const cluster = cloned();
    while (cluster.work.length > 0) cluster.proceed(0);
    cluster.box(200).protection = true;
    settled(cluster);
    expect(cluster.box(200).protection).toBe(true);
  });

  it('loses the protection that it has of its source', () => {
    const cluster = new ModelCluster();
    cluster.box(SOURCE).protection = true;
    settled(cluster);
    expect(cluster.members().map(({ protection }) => protection)).toEqual([false, false]);
    expect(cluster.box(SOURCE).protection).toBe(true);
  });
});

it('what is protected is never destroyed, and not taken out to be', () => {
  const cluster = settled(new ModelCluster());
  cluster.load = 20;
  settled(cluster);
  for (const box of cluster.members()) box.protection = true;
  cluster.load = 0;
  settled(cluster);
  expect(cluster.members().filter(({ running }) => running)).toHaveLength(5);
  enter(cluster, 200, { state: 'leaving' });
  settled(cluster);
  expect(cluster.members()).toHaveLength(5);
  const { notes } = cluster.look();
  expect(notes.map(({ text }) => text)).toContain(
    '200 is protected, and is kept, stopped; to have it destroyed: pct set 200 --protection 0',
  );
  expect(cluster.seen.map(({ kind }) => kind)).not.toContain('destroy');
});

it('removes no snapshot but its own, whatever another is called', () => {
  const cluster = new ModelCluster();
  const source = cluster.box(SOURCE);
  source.snapshots.set('autoscale-web-1', '5');
  cluster.look();
  cluster.proceed(0);
  cluster.look();
  const [, own = ''] = source.snapshots.keys();
  expect(own).toMatch(/^autoscale-web-0001/);
  // Somebody has removed ours, and taken one of the same name.
  source.snapshots.set(own, '7');
  cluster.work.splice(0);
  source.lock = undefined;
  source.unfinished.clear();
  cluster.crash('power');
  settled(cluster);
  expect([...source.snapshots.keys()]).toEqual(['autoscale-web-1', own]);
});

describe('a ledger', () => {
  const ledger = () => {
    const made = newLedger();
    made.members.set(vmid(200), {
      vmid: vmid(200),
      node: 'pve1',
      nonce: 'ab'.repeat(16),
      state: 'serving',
      served: true,
      madeS: 1_795_000_000,
      address: '10.0.0.10',
      identity: parseGuestIdentity('bc:24:11:00:00:01 local-lvm:vm-200-disk-0'),
    });
    const times = { madeS: 1, snaptime: '2' };
    made.snapshots.set('s1', { name: 's1', source: vmid(SOURCE), ...times });
    return made;
  };

  it('comes back as it was', () => {
    expect(parseLedger('web', ledgerText('web', ledger()))).toEqual({ ok: true, value: ledger() });
  });

  const text = ledgerText('web', ledger());
  it.each([
    ['of another group', text, 'mail'],
    ['empty', '', 'web'],
    ['cut off', text.slice(0, -20), 'web'],
    ['of another version', text.replace('"version": 1', '"version": 2'), 'web'],
    ['with an id that is none', text.replace('"vmid": 200', '"vmid": 2'), 'web'],
    ['without a state', text.replace('"serving"', '"served"'), 'web'],
    ['without a nonce', text.replace(/"nonce": "[^"]*"/, '"nonce": ""'), 'web'],
    ['without an identity', text.replace(/,\s*"identity": "[^"]*"/, ''), 'web'],
    ['with an identity that is none', text.replace('bc:24:11:00:00:01 ', ''), 'web'],
    ['with an address that is none', text.replace('10.0.0.10', 'all'), 'web'],
    ['without its snapshots', text.replace('"snapshots"', '"shots"'), 'web'],
  ])('counts for nothing where it is %s', (_what, content, group) => {
    expect(parseLedger(group, content)).toMatchObject({ ok: false, why: 'malformed' });
  });
});

it('what one look does not show is not forgotten, and no other is made in its place', () => {
  const cluster = settled(new ModelCluster());
  const boxes = new Map(cluster.boxes);
  const { members } = cluster.ledger();
  cluster.boxes.clear();
  const { steps } = cluster.look();
  expect(steps).toEqual([]);
  for (const [id, box] of boxes) cluster.boxes.set(id, box);
  cluster.quiet();
  expect([...cluster.ledger().members.keys()]).toEqual([...members.keys()]);
  expect(cluster.inService()).toHaveLength(members.size);
});

it('what stays away is gone after a minute, and is replaced', () => {
  const cluster = settled(new ModelCluster());
  const [first = SOURCE] = cluster.ledger().members.keys();
  const { madeS } = cluster.ledger().members.get(vmid(Number(first))) ?? { madeS: 0 };
  cluster.boxes.delete(vmid(Number(first)));
  cluster.look();
  expect(cluster.ledger().members.has(vmid(Number(first)))).toBe(true);
  cluster.nowMs += 60_000;
  cluster.quiet();
  expect(cluster.inService()).toHaveLength(2);
  expect(cluster.ledger().members.get(vmid(Number(first)))?.madeS).not.toBe(madeS);
});
