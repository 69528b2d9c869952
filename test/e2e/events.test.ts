import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { cpuMsOf } from '../long/measures.ts';
import { until } from '../patience.ts';
import { watchesOf } from '../watches.ts';
import { calm, NodeUnderTest, type Running } from './node-under-test.ts';

/** Cycles and samples are so seldom that whatever happens has an event to thank for it. */
const SELDOM = 'DEFAULT: {poll_interval: 3600, sample_interval: 3600}\n';
const FREQUENT = 'DEFAULT: {poll_interval: 3, sample_interval: 1}\n';

const watched = ({ child }: Running, count: number): Promise<void> =>
  until(
    () => watchesOf(child.pid) === count,
    () => `${watchesOf(child.pid)} watches`,
  );

async function end(daemon: Running): Promise<void> {
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
}

it('a kill is answered by the event that tells of it', async () => {
  const demand = { cpuCores: 1, anonMib: 500 };
  const under = await NodeUnderTest.create([
    { ...calm(101), demand: () => ({ ...demand }) },
    calm(102),
  ]);
  under.configure(SELDOM);
  const daemon = under.start(['daemon']);
  await watched(daemon, 2);
  demand.anonMib = 2000;
  await until(
    () => under.sets().length > 0,
    () => under.log(),
  );
  expect(under.sets()[0]?.slice(2, 4)).toEqual(['101', '--memory']);
  // The cycle of the start was the only one that was due.
  expect(under.log().split('Next run in').length - 1).toBe(1);
  // It is listened to again, as soon as that is done.
  await watched(daemon, 2);
  demand.anonMib = 5000;
  await until(
    () => under.sets().length > 1,
    () => under.log(),
  );
  await end(daemon);
});

it('containers come and go, and leave no watch behind', async () => {
  const under = await NodeUnderTest.create([calm(101), calm(102), calm(103)]);
  under.configure(FREQUENT);
  const daemon = under.start(['daemon']);
  await watched(daemon, 3);
  for (let round = 0; round < 3; round += 1) {
    under.node.stopContainer(101);
    under.node.destroyContainer(102);
    await watched(daemon, 1);
    under.node.startContainer(101);
    under.node.addContainer(calm(102));
    await watched(daemon, 3);
  }
  for (let round = 0; round < 3; round += 1) {
    under.node.stopContainer(103);
    under.node.startContainer(103);
    await daemon.cycles(2);
  }
  await watched(daemon, 3);
  await end(daemon);
});

it('a flood of events is heard once, and costs nothing after that', async () => {
  const under = await NodeUnderTest.create([calm(101), calm(102)]);
  under.configure(SELDOM);
  const daemon = under.start(['daemon']);
  await watched(daemon, 2);
  const file = join(under.root, 'sys/fs/cgroup/lxc/101/memory.events.local');
  let high = 0;
  const flood = (): void => {
    high += 1;
    writeFileSync(file, `low 0\nhigh ${high}\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n`);
  };
  flood();
  await watched(daemon, 1);
  const { pid } = daemon.child;
  if (pid === undefined) throw new Error('it does not run');
  const before = cpuMsOf(pid);
  for (let each = 0; each < 5000; each += 1) flood();
  expect(cpuMsOf(pid) - before).toBeLessThan(100);
  expect(watchesOf(pid)).toBe(1);
  await end(daemon);
});
