import { describe, expect, it } from 'vitest';
import type { Step } from '../../../src/core/groups/step.ts';
import { ModelCluster, SOURCE } from './model-cluster.ts';

/** Commands take longer than it is from one look to the next, or do nothing at all. */

/** So many looks a second apart, with one phase of a command in every fifth. */
function slowly(cluster: ModelCluster, looks: number): void {
  for (let look = 0; look < looks; look += 1) {
    cluster.nowMs += 1000;
    cluster.look();
    if (look % 5 === 4) cluster.proceed(look);
  }
}

const countOf = (cluster: ModelCluster, kind: Step['kind']): number =>
  cluster.seen.filter((step) => step.kind === kind).length;

it.each(['destroy', 'stop'] as const)(
  'a group at rest takes each member out once, and makes none again (%s)',
  (scaleIn) => {
    const cluster = new ModelCluster({ scaleIn });
    cluster.quiet();
    cluster.load = 20;
    cluster.quiet();
    expect(cluster.inService()).toHaveLength(5);
    cluster.load = 0;
    const before = cluster.seen.length;
    slowly(cluster, 1200);
    const kinds = cluster.seen.slice(before).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'take-out')).toHaveLength(3);
    expect(kinds).not.toContain('clone');
    expect(kinds).not.toContain('start');
    expect(cluster.state.desired).toBe(2);
  },
);

it('what is wanted is raised by nobody who is on the way out', () => {
  const cluster = new ModelCluster();
  cluster.quiet();
  cluster.load = 20;
  cluster.quiet();
  cluster.load = 0;
  const wanted: (number | undefined)[] = [];
  for (let look = 0; look < 400; look += 1) {
    cluster.nowMs += 1000;
    cluster.look();
    wanted.push(cluster.state.desired);
    if (look % 7 === 6) cluster.proceed(look);
  }
  expect(wanted.every((one, index) => index === 0 || (one ?? 0) <= (wanted[index - 1] ?? 0))).toBe(
    true,
  );
  expect(wanted.at(-1)).toBe(2);
});

describe('a command that ends without an error and does nothing', () => {
  /** How many containers it is tried on. */
  const KINDS: readonly (readonly [Step['kind'], number])[] = [
    ['snapshot', 1] as const,
    ['clone', 1],
    ['delete-snapshot', 1],
    ['start', 2] as const,
    ['take-out', 1],
    ['destroy', 3],
  ];

  it.each(KINDS)('is not repeated again and again: %s', (kind, subjects) => {
    const cluster = new ModelCluster();
    const isIn = kind === 'take-out' || kind === 'destroy';
    if (isIn) {
      cluster.quiet();
      cluster.load = 20;
      cluster.quiet();
      cluster.load = 0;
    }
    cluster.idle.add(kind);
    const before = countOf(cluster, kind);
    const said = new Set<string>();
    for (let look = 0; look < 600; look += 1) {
      cluster.nowMs += 1000;
      for (const { key } of cluster.look().notes) said.add(key);
      while (cluster.work.length > 0) cluster.proceed(0);
    }
    // In ten minutes: at once, after one minute, two, and four more.
    expect(countOf(cluster, kind) - before).toBeLessThanOrEqual(5 * subjects);
    expect(countOf(cluster, kind) - before).toBeGreaterThanOrEqual(2);
    expect([...said].some((key) => key.startsWith(`no-effect/${kind}/`))).toBe(true);
    cluster.idle.delete(kind);
    cluster.quiet(200);
    expect([...cluster.state.failures]).toEqual([]);
    expect(cluster.inService()).toHaveLength(2);
    expect(cluster.members()).toHaveLength(2);
    expect([...cluster.box(SOURCE).snapshots.keys()]).toEqual([]);
  });
});

it('an id that is taken again and again is no reason to try one after the other', () => {
  const cluster = new ModelCluster();
  for (let look = 0; look < 120; look += 1) {
    cluster.nowMs += 1000;
    cluster.look();
    while (cluster.work.length > 0) {
      const isClone = cluster.work[0]?.step.kind === 'clone';
      cluster.proceed(0, isClone ? 'taken' : 'no');
    }
  }
  expect(countOf(cluster, 'clone')).toBeLessThanOrEqual(6);
});

it('a configuration that others change all the time is not fought over', () => {
  const cluster = new ModelCluster();
  for (let look = 0; look < 300; look += 1) {
    cluster.nowMs += 1000;
    cluster.look();
    while (cluster.work.length > 0) {
      const isSet = cluster.work[0]?.step.kind === 'configure';
      cluster.proceed(0, isSet ? 'overtaken' : 'no');
    }
  }
  expect(countOf(cluster, 'configure')).toBeLessThanOrEqual(5);
});

it('says that it may have no more members only where all of them are there', () => {
  const cluster = new ModelCluster({ minInstances: 1, maxInstances: 2 });
  cluster.load = 0.5;
  cluster.quiet();
  cluster.load = 20;
  cluster.look();
  cluster.nowMs += 11_000;
  const { standing } = cluster.look();
  expect(cluster.state.desired).toBe(2);
  expect(standing).toMatch(/^1 in service, 0 on the way, 2 wanted: /);
  expect(standing).not.toContain('no more members');
  cluster.quiet();
  expect(cluster.look().standing).toMatch(/; it may have no more members$/);
});

it.each([
  ['dir', 1],
  ['nfs', 1],
  ['lvm', 1],
  ['zfspool', 0],
  ['somebodys-own', 0],
])('a running source on a storage of type %s is not tried in vain', (type, said) => {
  const cluster = new ModelCluster();
  cluster.storageTypes.set('local-lvm', type);
  const notes = cluster.look().notes.filter(({ key }) => key === 'source');
  expect(notes).toHaveLength(said);
  expect(countOf(cluster, 'snapshot')).toBe(1 - said);
  for (const { text } of notes) {
    expect(text).toMatch(/runs, and its storage local-lvm \(\w+\) has no snapshots of containers/);
    expect(text).toMatch(/a template as the source, a source that is stopped, or all its volumes/);
  }
  // A source that is stopped works everywhere.
  cluster.box(SOURCE).running = false;
  cluster.quiet();
  expect(cluster.inService().length).toBeGreaterThanOrEqual(2);
});
