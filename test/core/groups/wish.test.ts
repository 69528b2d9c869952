import { describe, expect, it } from 'vitest';
import type { GroupPolicy } from '../../../src/core/groups/group-policy.ts';
import type { WishAnswer } from '../../../src/core/groups/wish.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { vmid } from '../builders.ts';
import { ModelCluster } from './model-cluster.ts';

/** A member more or less that a person asks for: by the same rules as for the load. */

function ready(own: Partial<GroupPolicy> = {}, load = 1): ModelCluster {
  const cluster = new ModelCluster(own);
  cluster.quiet();
  cluster.load = load;
  cluster.nowMs += 1000;
  return cluster;
}

const ask = (cluster: ModelCluster, direction: 'out' | 'in'): WishAnswer | undefined =>
  cluster.look({}, { direction, by: 'api:deploy' }).answer;

describe('one member more', () => {
  it('is made as for want of it, and says who has asked', () => {
    const cluster = ready();
    expect(cluster.inService()).toHaveLength(2);
    expect(ask(cluster, 'out')).toMatchObject({
      ok: true,
      says: 'Group web: 2 -> 3 members, by cloning container 101 from a snapshot.',
    });
    for (let round = 0; round < 20; round += 1) {
      cluster.nowMs += 100;
      cluster.look();
      cluster.proceed(0);
    }
    expect(cluster.inService()).toHaveLength(3);
    const made = cluster.seen.find((step) => step.kind === 'clone' && step.vmid === 202);
    expect(made).toMatchObject({
      reason: '3 members are wanted: it was asked for by api:deploy',
    });
  });

  it('is one that was stopped, where there is one', () => {
    const cluster = ready({ scaleIn: 'stop' }, 20);
    cluster.quiet();
    cluster.load = 0.1;
    cluster.quiet();
    expect(ask(cluster, 'out')).toMatchObject({
      says: 'Group web: 2 -> 3 members, by starting container 202 again.',
    });
  });

  it.each<[string, Partial<GroupPolicy>, (cluster: ModelCluster) => unknown, string]>([
    ['it has as many as it may', { maxInstances: 2 }, () => {}, 'it may have no more members'],
    [
      'the host has no room for it',
      {},
      (cluster) => {
        cluster.hostHeadroomMib = 100;
      },
      'no clone is made: it needs 512 MB of memory, and the host can spare 100 MB',
    ],
    [
      'one is on its way already',
      {},
      (cluster) => {
        ask(cluster, 'out');
        while (!cluster.seen.some(({ kind, vmid: id }) => kind === 'clone' && id === 202)) {
          cluster.proceed(0);
          cluster.look();
        }
      },
      'members are on their way in or out; ask again when that is over',
    ],
    [
      'its snapshot is being taken for another one',
      {},
      (cluster) => ask(cluster, 'out'),
      '3 members are wanted already',
    ],
    [
      'the last one failed just now',
      {},
      (cluster) => {
        ask(cluster, 'out');
        cluster.proceed(0, 'failed');
        cluster.state.desired = 2;
      },
      'the last try failed, and the next may begin in 60 s: no space left',
    ],
    [
      'its source is locked',
      {},
      (cluster) => {
        cluster.box(101).lock = 'backup';
      },
      'its source 101 is locked (backup); that is waited for',
    ],
  ])('is refused if %s', (_what, own, happens, why) => {
    const cluster = ready(own);
    happens(cluster);
    expect(ask(cluster, 'out')).toEqual({ ok: false, why });
  });
});

describe('one member less', () => {
  const three = (own: Partial<GroupPolicy> = {}): ModelCluster => {
    const cluster = ready(own, 2.2);
    cluster.quiet();
    cluster.load = 1.2;
    cluster.nowMs += 1000;
    expect(cluster.inService()).toHaveLength(3);
    return cluster;
  };

  it('is the newest of its own, though the load does not ask for it', () => {
    const cluster = three();
    expect(cluster.look().standing).toMatch(/between the thresholds$/);
    expect(ask(cluster, 'in')).toMatchObject({
      says: 'Group web: 3 -> 2 members, by taking container 202 out of service and destroying it.',
    });
    cluster.proceed(0);
    cluster.look();
    while (cluster.work.length > 0) {
      cluster.proceed(0);
      cluster.look();
    }
    expect(cluster.members().map(({ vmid: id }) => Number(id))).toEqual([200, 201]);
    const gone = cluster.seen.filter(({ kind }) => kind === 'destroy');
    expect(gone).toMatchObject([{ vmid: 202, reason: 'it was asked for by api:deploy' }]);
  });

  it.each<[string, Partial<GroupPolicy>, (cluster: ModelCluster) => unknown, string]>([
    ['scale_in is off', { scaleIn: 'off' }, () => {}, 'scale_in is off; set it to stop or destroy'],
    [
      'it has as few as it may',
      {},
      (cluster) => {
        cluster.load = 0.1;
        cluster.quiet();
      },
      'it has as few members as it may',
    ],
    [
      'the others could not carry its load',
      {},
      (cluster) => {
        cluster.load = 1.6;
      },
      'the others could not carry the load, and a step out would follow',
    ],
    [
      'the load of one is not known',
      {},
      (cluster) => cluster.frozen.add(vmid(201)),
      'the load of 1 in service is not known yet',
    ],
    [
      'one has only just begun its service',
      { warmupMs: milliseconds(600_000) },
      (cluster) => {
        const memory = cluster.state.members.get(vmid(202));
        if (memory !== undefined) memory.servingMs = milliseconds(cluster.nowMs);
      },
      'the load of 1 in service is not known yet',
    ],
    [
      'none of those in service is its own',
      {},
      (cluster) => {
        for (const id of [200, 201, 202]) cluster.box(id).tags = [];
      },
      'no member is taken out: none of those in service was made by it, and is kept by nobody',
    ],
  ])('is refused if %s', (_what, own, happens, why) => {
    const cluster = three(own);
    happens(cluster);
    const before = cluster.seen.length;
    expect(ask(cluster, 'in')).toEqual({ ok: false, why });
    expect(cluster.seen.slice(before)).toEqual([]);
  });
});
