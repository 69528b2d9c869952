import { expect } from 'vitest';
import { configuration, type GroupKeys, GroupUnderTest, SOURCE } from '../e2e/group-under-test.ts';
import { crashes } from './scenario.ts';
import type { Death, Site } from './site.ts';

/**
 * A group on its way out and in, cut off at its writes. Its commands are cut off in
 * test/e2e/groups-killed.test.ts: here only whether they were begun.
 */

const groups = new WeakMap<Site['under'], GroupUnderTest>();

const groupOf = ({ under }: Site): GroupUnderTest => {
  const group = groups.get(under);
  if (group === undefined) throw new Error('there is no group on this site');
  return group;
};

/** One member too few, and then one too many. */
const OUT_KEYS = { scale_out_grace_period: 300 };
const IN_KEYS = { scale_in: 'destroy', min_instances: 1 };

/** One cycle only, so that what is written is written by the group. */
const QUIET = { poll_interval: 3600, sample_interval: 1 };

async function create(keys: GroupKeys): Promise<GroupUnderTest> {
  const group = await GroupUnderTest.create(keys);
  group.under.node.onClone(() => ({ durationMs: 20 }));
  group.under.configure(configuration(keys, QUIET));
  groups.set(group.under, group);
  return group;
}

/** A clone whose process is not known is waited for a minute. */
const LIMIT_MS = 80_000;

/** Until the group has so many members, and nothing is under way. */
const until =
  (members: number) =>
  async (site: Site): Promise<Death> => {
    const group = groupOf(site);
    const cycles = (): number => site.under.log().split('Next run in').length;
    const before = cycles();
    const life = site.begin(['daemon']);
    const isThere = (): boolean =>
      cycles() > before &&
      group.members().length === members &&
      group.inService().length === members &&
      group.isClean();
    await site.until(life, isThere, LIMIT_MS);
    if (life.child.exitCode === null) life.child.kill('SIGTERM');
    return life.ended;
  };

await crashes('a group on its way out', {
  points: 60,
  // The lease is renewed (utimes) only in a life that takes its 20 s.
  own: /^(?!utimes ).*(leases|priv\/lock|groups\.json|\.output)/,
  create: async () => (await create(OUT_KEYS)).under,
  live: until(2),
  goOn: until(2),
  otherEnd: true,
  expectEnd: (site) => {
    expect(groupOf(site).members()).toHaveLength(2);
    groupOf(site).expectClean();
  },
});

await crashes('a group on its way in', {
  points: 60,
  own: /^rmdir etc/,
  create: async () => {
    const group = await create(IN_KEYS);
    group.ask(1.9);
    const daemon = group.under.start(['daemon']);
    await group.until(() => group.inService().length === 2 && group.isClean());
    daemon.signal('SIGTERM');
    await daemon.ended;
    group.ask(0.1);
    group.under.configure(configuration(IN_KEYS, QUIET));
    return group.under;
  },
  live: until(1),
  goOn: until(1),
  otherEnd: true,
  expectEnd: (site) => {
    expect(groupOf(site).inService()).toEqual([SOURCE]);
    groupOf(site).expectClean();
  },
});
