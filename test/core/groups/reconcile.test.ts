import { describe, expect, it } from 'vitest';
import { groupReport } from '../../../src/core/groups/group-report.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { fc } from '../../fast-check.ts';
import { vmid } from '../builders.ts';
import { addressOf, type Box, ModelCluster, SOURCE } from './model-cluster.ts';

const settled = (cluster: ModelCluster): ModelCluster => {
  cluster.quiet();
  return cluster;
};

const idsOf = (boxes: readonly Box[]): number[] => boxes.map(({ vmid: id }) => id);

function expectClean(cluster: ModelCluster): void {
  const source = cluster.box(SOURCE);
  expect(source).toMatchObject({ running: true, lock: undefined, tags: ['prod'], description: [] });
  expect([...source.snapshots.keys()]).toEqual([]);
  expect(cluster.state.reservation).toBeUndefined();
  const states = cluster.members().map((box) => cluster.stateOf(box));
  for (const state of states) expect(['serving', 'leaving']).toContain(state);
  const addresses = [...cluster.boxes.values()].map(addressOf);
  expect(new Set(addresses).size).toBe(addresses.length);
}

/** The source is looked at, cloned and given snapshots; nothing else is ever done to it. */
function expectSourceSpared(cluster: ModelCluster): void {
  const allowed = ['snapshot', 'delete-snapshot', 'unlock-source'];
  for (const step of cluster.seen) {
    if (step.vmid === SOURCE) expect(allowed).toContain(step.kind);
  }
}

describe('a group', () => {
  it('gets its least number of members, from a snapshot that goes again', () => {
    const cluster = settled(new ModelCluster());
    expect(idsOf(cluster.inService())).toEqual([200, 201]);
    expectClean(cluster);
    const kinds = cluster.seen.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'snapshot')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'delete-snapshot')).toHaveLength(1);
  });

  it('grows with its load up to the maximum, and shrinks to the minimum, the newest first', () => {
    const cluster = settled(new ModelCluster());
    cluster.load = 20;
    settled(cluster);
    expect(idsOf(cluster.inService())).toEqual([200, 201, 202, 203, 204]);
    cluster.load = 0.1;
    settled(cluster);
    expect(idsOf(cluster.members())).toEqual([200, 201]);
    const destroyed = cluster.seen.filter(({ kind }) => kind === 'destroy');
    expect(destroyed.map(({ vmid: id }) => Number(id))).toEqual([204, 203, 202]);
    expectClean(cluster);
    expectSourceSpared(cluster);
  });

  it('starts what it has made only where its memory still fits', () => {
    const cluster = new ModelCluster();
    const isMade = ({ kind }: { readonly kind: string }): boolean => kind === 'configure';
    while (!cluster.seen.some(isMade)) cluster.quiet(1);
    cluster.hostHeadroomMib = -1;
    cluster.quiet(20);
    expect(cluster.seen.some(({ kind }) => kind === 'start')).toBe(false);
    const notes = cluster.look().notes.map(({ text }) => text);
    expect(notes).toContainEqual(expect.stringMatching(/^200 is not started yet: it needs \d+ MB/));
    cluster.hostHeadroomMib = 0;
    cluster.quiet(3);
    expect(idsOf(cluster.inService())).toEqual([200]);
  });

  it('keeps what it stops, and uses it again before it makes a new one', () => {
    const cluster = settled(new ModelCluster({ scaleIn: 'stop' }));
    cluster.load = 20;
    settled(cluster);
    cluster.load = 0.1;
    settled(cluster);
    expect(cluster.members()).toHaveLength(5);
    expect(cluster.inService()).toHaveLength(2);
    const clones = () => cluster.seen.filter(({ kind }) => kind === 'clone').length;
    const before = clones();
    cluster.load = 20;
    settled(cluster);
    expect(cluster.inService()).toHaveLength(5);
    expect(clones()).toBe(before);
  });

  it('never shrinks where scale_in is off', () => {
    const cluster = settled(new ModelCluster({ scaleIn: 'off' }));
    cluster.load = 20;
    settled(cluster);
    cluster.load = 0;
    settled(cluster);
    expect(cluster.inService()).toHaveLength(5);
    expect(cluster.look().standing).toMatch(/; none is taken away, since scale_in is off$/);
  });

  it('says of each member why it was made and why it goes, with what was measured', () => {
    const cluster = settled(new ModelCluster({ maxInstances: 3 }));
    cluster.load = 2.7;
    settled(cluster);
    cluster.load = 0.1;
    settled(cluster);
    const reasons = cluster.seen.flatMap((step) => ('reason' in step ? [step.reason] : []));
    expect([...new Set(reasons)]).toEqual([
      'the group has at least 2 members',
      expect.stringMatching(
        /^3 members are wanted: the mean of 2 in service is .* upper threshold of 80 % CPU$/,
      ),
      expect.stringMatching(/^the mean of 3 .* below the lower threshold of 30 % CPU$/),
    ]);
    expect(cluster.state.wantedReason).toBeUndefined();
    expect(cluster.look().standing).toMatch(/; it has as few members as it may$/);
  });

  it('says that all members that it may have are not enough, once they are there', () => {
    const cluster = settled(new ModelCluster({ maxInstances: 3 }));
    cluster.load = 20;
    const full = (): string[] => {
      const { notes } = cluster.look();
      return notes.filter(({ key }) => key === 'full').map(({ text }) => text);
    };
    expect(full()).toEqual([]);
    cluster.nowMs += 11_000;
    expect(full()).toEqual([]);
    expect(cluster.state.desired).toBe(3);
    settled(cluster);
    expect(cluster.look().standing).toMatch(/; it may have no more members$/);
    expect(full()).toEqual([
      expect.stringMatching(/^the group needs more than the 3 members .*; raise max_instances/),
    ]);
    cluster.load = 1;
    settled(cluster);
    expect(full()).toEqual([]);
  });

  it('names what failed in words, with what was said', () => {
    const cluster = new ModelCluster();
    cluster.look();
    cluster.proceed(0, 'failed');
    const report = () => {
      const plan = cluster.look();
      return groupReport(cluster.policy, plan, cluster.state, [], cluster.nowMs);
    };
    expect(report().failures).toMatchObject([
      { what: 'making another member', count: 1, message: 'no space left' },
    ]);
    const failure = { count: 1, retryAtMs: milliseconds(0), message: 'm' };
    cluster.state.failures.set('admit/200', failure);
    expect(report().failures[1]).toMatchObject({ what: 'taking container 200 into service' });
  });

  it.each([
    [{ listed: [] }, 'no member is in service'],
    [{ listed: [{ from: vmid(SOURCE), to: vmid(SOURCE) }] }, 'all in service are still warming up'],
  ])('where no load counts yet it says why: %j', (own, words) => {
    const cluster = new ModelCluster({ ...own, warmupMs: milliseconds(60_000) });
    expect(cluster.look().standing).toContain(words);
  });

  it('leaves a member alone that was stopped by hand, and says so', () => {
    const cluster = settled(new ModelCluster());
    cluster.box(200).running = false;
    const plan = cluster.look();
    const remedy = 'it is skipped until somebody starts or destroys it';
    expect(plan.notes.map(({ text }) => text)).toContainEqual(
      `200 was stopped, and not by this program; ${remedy}`,
    );
    const before = cluster.seen.length;
    settled(cluster);
    const later = cluster.seen.slice(before).filter((step) => step.vmid === 200);
    expect(later).toEqual([]);
    expect(idsOf(cluster.inService())).toEqual([201, 202]);
  });

  it.each([['its tag is gone', (box: Box) => Object.assign(box, { tags: ['mine'] })]])(
    'never removes a member where %s',
    (_what, change) => {
      const cluster = settled(new ModelCluster());
      cluster.load = 20;
      settled(cluster);
      for (const box of cluster.members()) change(box);
      cluster.load = 0;
      const before = cluster.seen.length;
      settled(cluster);
      const kinds = cluster.seen.slice(before).filter((step) => step.vmid < 205);
      expect(kinds.map(({ kind }) => kind)).not.toContain('destroy');
      expect(kinds.map(({ kind }) => kind)).not.toContain('take-out');
      expect(cluster.members().length).toBeGreaterThanOrEqual(5);
    },
  );

  it('takes no clone of a member for one of its own', () => {
    const cluster = settled(new ModelCluster());
    const member = cluster.box(200);
    cluster.boxes.set(vmid(555), { ...member, vmid: vmid(555), net0: 'name=eth0,ip=10.0.0.99/24' });
    cluster.load = 0;
    settled(cluster);
    expect(cluster.seen.filter((step) => step.vmid === 555)).toEqual([]);
  });

  it('replaces an unhealthy member: first the new one, then the old one', () => {
    const cluster = settled(new ModelCluster());
    for (let round = 0; round < 60; round += 1) {
      cluster.nowMs += 5000;
      cluster.look({ 200: false });
      expect(cluster.inService().length).toBeGreaterThanOrEqual(2);
      while (cluster.work.length > 0) cluster.proceed(0);
    }
    expect(idsOf(cluster.members())).toEqual([201, 202]);
    const admitted = cluster.seen.findIndex((step) => step.kind === 'admit' && step.vmid === 202);
    const taken = cluster.seen.findIndex((step) => step.kind === 'take-out');
    expect(admitted).toBeGreaterThan(0);
    expect(taken).toBeGreaterThan(admitted);
  });

  it('leaves one that is frozen as it is, and takes nobody away meanwhile', () => {
    const cluster = new ModelCluster();
    cluster.load = 2.4;
    settled(cluster);
    const before = idsOf(cluster.members());
    expect(before.length).toBeGreaterThan(2);
    cluster.frozen.add(vmid(200));
    cluster.load = 0.01;
    for (let round = 0; round < 60; round += 1) {
      cluster.nowMs += 5000;
      // Its check cannot be passed while it stands still.
      cluster.look({ 200: false });
      while (cluster.work.length > 0) cluster.proceed(0);
    }
    expect(idsOf(cluster.members())).toEqual(before);
    cluster.frozen.clear();
    cluster.look({ 200: true });
    for (let round = 0; round < 30; round += 1) {
      cluster.nowMs += 5000;
      cluster.look();
      while (cluster.work.length > 0) cluster.proceed(0);
    }
    expect(cluster.members().length).toBeLessThan(before.length);
  });

  it('replaces nobody where no member at all passes its check', () => {
    const cluster = settled(new ModelCluster({ maxInstances: 2 }));
    for (let round = 0; round < 60; round += 1) {
      cluster.nowMs += 5000;
      cluster.look({ 200: false, 201: false });
      while (cluster.work.length > 0) cluster.proceed(0);
    }
    expect(idsOf(cluster.members())).toEqual([200, 201]);
  });

  it('takes an id over nobody, and none that a VM has', () => {
    const cluster = new ModelCluster();
    cluster.foreignIds.add(vmid(200)).add(vmid(202));
    settled(cluster);
    expect(idsOf(cluster.members())).toEqual([201, 203]);
  });

  it('says that its addresses are used up, and makes no more', () => {
    const network = { ...new ModelCluster().policy.network, addresses: ['10.0.0.10'] };
    const cluster = settled(new ModelCluster({ network }));
    expect(cluster.members()).toHaveLength(1);
    expect(cluster.look().notes.map(({ key }) => key)).toContain('address');
    expectClean(cluster);
  });

  it('destroys what was never in service after its cloning was cut off', () => {
    const cluster = new ModelCluster();
    cluster.look();
    cluster.proceed(0);
    cluster.proceed(0);
    cluster.look();
    cluster.proceed(0);
    cluster.proceed(0);
    cluster.look();
    expect(cluster.box(200)).toMatchObject({ lock: 'create' });
    expect(cluster.box(SOURCE)).toMatchObject({ lock: 'disk' });
    cluster.crash('power');
    settled(cluster);
    expect(cluster.seen.map(({ kind }) => kind)).toContain('discard');
    expect(cluster.seen.map(({ kind }) => kind)).toContain('unlock-source');
    expect(cluster.inService()).toHaveLength(2);
    expectClean(cluster);
  });

  it('takes no lock off the source for a clone of its own that was never begun', () => {
    const cluster = new ModelCluster();
    cluster.unseenEnd = false;
    cluster.look();
    cluster.proceed(0);
    cluster.proceed(0);
    cluster.look();
    const { reservation } = cluster.state;
    if (reservation === undefined) throw new Error('nothing is reserved');
    cluster.work.length = 0;
    Object.assign(reservation, { begun: false, pid: undefined, ended: undefined });
    cluster.box(SOURCE).lock = 'disk';
    cluster.look();
    expect(cluster.seen.map(({ kind }) => kind)).not.toContain('unlock-source');
    expect(cluster.box(SOURCE)).toMatchObject({ lock: 'disk' });
  });

  it('leaves the container of somebody else alone that has the id it had reserved', () => {
    const cluster = new ModelCluster();
    cluster.look();
    cluster.proceed(0);
    cluster.proceed(0);
    cluster.look();
    cluster.crash('power');
    const other = { ...cluster.box(SOURCE), vmid: vmid(200), lock: 'create', snapshots: new Map() };
    cluster.boxes.set(vmid(200), { ...other, net0: 'name=eth0,ip=10.0.0.77/24' });
    settled(cluster);
    expect(cluster.box(200)).toMatchObject({ lock: 'create' });
    expect(idsOf(cluster.inService())).toEqual([201, 202]);
  });
});

it('a clone that never becomes ready is removed, and the next one waits ever longer', () => {
  const health = { kind: 'tcp' as const, port: 1, path: '', healthyCount: 1, unhealthyCount: 3 };
  const cluster = new ModelCluster({ health, scaleIn: 'off' });
  cluster.quiet(240);
  const clones = cluster.seen.filter(({ kind }) => kind === 'clone');
  // In two hours; tried again at once it would be a hundred.
  expect(clones.length).toBeGreaterThanOrEqual(2);
  expect(clones.length).toBeLessThanOrEqual(16);
  expect(cluster.members().length).toBeLessThanOrEqual(2);
});

it('a snapshot that power loss has cut off is removed, and its lock too', () => {
  const cluster = new ModelCluster();
  cluster.look();
  cluster.proceed(0);
  expect(cluster.box(SOURCE)).toMatchObject({ lock: 'snapshot' });
  cluster.look();
  expect(cluster.seen.map(({ kind }) => kind)).toEqual(['snapshot']);
  cluster.crash('power');
  settled(cluster);
  const forced = cluster.seen.filter((step) => step.kind === 'delete-snapshot' && step.force);
  expect(forced).toHaveLength(1);
  expect(cluster.inService()).toHaveLength(2);
  expectClean(cluster);
});

it('a snapshot that a former daemon has begun is removed, however late it comes about', () => {
  const cluster = new ModelCluster();
  cluster.look();
  cluster.crash('daemon');
  cluster.look();
  cluster.proceed(1, 'broken');
  cluster.look();
  cluster.proceed(0);
  cluster.proceed(0);
  expect(cluster.box(SOURCE).snapshots.size).toBe(1);
  settled(cluster);
  expectClean(cluster);
});

describe('whatever happens', () => {
  type Event =
    | { readonly kind: 'look' }
    | { readonly kind: 'crash' }
    | { readonly kind: 'power' }
    | {
        readonly kind: 'proceed';
        readonly index: number;
        readonly fails: 'no' | 'failed' | 'broken';
      }
    | { readonly kind: 'time'; readonly ms: number }
    | { readonly kind: 'load'; readonly load: number };
  const look = fc.constant<Event>({ kind: 'look' });
  const proceed = fc.record({
    kind: fc.constant('proceed' as const),
    index: fc.nat(5),
    fails: fc.constantFrom('no', 'no', 'no', 'no', 'no', 'failed', 'broken'),
  }) as fc.Arbitrary<Event>;
  const event = fc.oneof(
    { weight: 6, arbitrary: look },
    { weight: 6, arbitrary: proceed },
    { weight: 1, arbitrary: fc.constant<Event>({ kind: 'crash' }) },
    { weight: 1, arbitrary: fc.constant<Event>({ kind: 'power' }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.nat(90_000) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('load' as const),
        load: fc.constantFrom(0, 0.5, 2, 10),
      }),
    },
  ) as fc.Arbitrary<Event>;

  const proceeds: Event = { kind: 'proceed', index: 0, fails: 'no' };
  const CLONE_FAILS_EARLY: Event[] = [
    { kind: 'look' } as const,
    proceeds,
    proceeds,
    { kind: 'look' } as const,
    proceeds,
    { kind: 'proceed', index: 0, fails: 'failed' },
  ];

  function happen(cluster: ModelCluster, one: Event): void {
    if (one.kind === 'look') cluster.look();
    else if (one.kind === 'crash') cluster.crash('daemon');
    else if (one.kind === 'power') cluster.crash('power');
    else if (one.kind === 'proceed') cluster.proceed(one.index, one.fails);
    else if (one.kind === 'time') cluster.nowMs += one.ms;
    else cluster.load = one.load;
  }

  it.each(['stop', 'destroy'] as const)(
    'never beyond the maximum, the source is spared, and in the end all is right (%s)',
    (scaleIn) => {
      fc.assert(
        fc.property(fc.array(event, { maxLength: 120 }), (events) => {
          const cluster = new ModelCluster({ scaleIn });
          for (const one of events) {
            happen(cluster, one);
            expect(cluster.members().length).toBeLessThanOrEqual(5);
          }
          cluster.load = 1;
          cluster.quiet(200);
          expect(cluster.inService().length).toBeGreaterThanOrEqual(2);
          expect(cluster.inService()).toHaveLength(cluster.state.desired ?? 0);
          expectClean(cluster);
          expectSourceSpared(cluster);
        }),
        { numRuns: 150, examples: [[CLONE_FAILS_EARLY]] },
      );
    },
  );
});
