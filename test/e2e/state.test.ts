import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import { until } from '../patience.ts';
import { calm, guest, hungry, NodeUnderTest } from './node-under-test.ts';

/** What survives the end of the program, orderly or not. */

const STATE = 'var/lib/lxc_autoscale/state.json';

it('once from cron scales CPU from its second run on', async () => {
  const busy = guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 4, anonMib: 500 });
  const under = await NodeUnderTest.create([busy]);
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.sets()).toEqual([]);
  await under.passed(1500);
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.sets().map((argv) => argv.slice(3, 5))).toEqual([['--cores', '4']]);
});

it('a failed change is not repeated at once by the next process after a kill -9', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  under.node.onCommand(() => ({ kind: 'fail', exit: 255, stderr: 'no\n' }));
  const daemon = under.start(['daemon']);
  await daemon.saying('FAILED. Container 101');
  await daemon.saying('Next run in');
  daemon.signal('SIGKILL');
  await daemon.ended;
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.sets()).toHaveLength(1);
  expect(under.log()).toMatch(/Container 101 \(ct101\) is skipped: .*failed/);
});

it('cores that were pending are confirmed by the next process', async () => {
  const busy = guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 3, anonMib: 500 });
  const under = await NodeUnderTest.create([busy]);
  under.node.setPvestatd(false);
  const first = under.start(['daemon']);
  await first.saying('Configured.');
  first.signal('SIGTERM');
  expect((await first.ended).code).toBe(0);
  under.node.setPvestatd(true);
  await until(() => under.node.limits(101)?.live?.cpus === 4);
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.log()).toContain('4 cores confirmed, now in its cpuset');
});

it.each(['', '{"version":1', 'null', '\u0000\u0001', '{"version":99}'])(
  'a damaged state (%j) is ignored with a warning, and a whole one takes its place',
  async (content) => {
    const under = await NodeUnderTest.create([calm(101)]);
    await under.run(['once']);
    const file = join(under.root, STATE);
    writeFileSync(file, content);
    expect((await under.run(['once'])).code).toBe(0);
    expect(under.log()).toContain('WARNING - The saved state is ignored, and a new one begins');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ version: 3 });
  },
);

it('a dry run leaves no state behind', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  await under.run(['--dry-run', 'once']);
  expect(() => readFileSync(join(under.root, STATE))).toThrow('ENOENT');
});

const RECORDS = 'etc/pve/priv/lxc_autoscale/guests';

it('a boost that a migration has brought here is ended here', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  const boost = { boosted: 2, endWallMs: Date.now() - 1000 };
  const record = {
    guest: 'bc:24:11:00:00:65 local-lvm:vm-101-disk-0',
    node: 'pve9',
    changes: [{ resource: 'cores', before: 1, boost }],
  };
  mkdirSync(join(under.root, RECORDS), { recursive: true });
  const path = join(under.root, RECORDS, '101.json');
  writeFileSync(path, JSON.stringify(record));
  const daemon = under.start(['daemon']);
  await daemon.saying('has a boost to 2 cores (1 core before), given by node pve9');
  await daemon.saying(/cores 2 -> 1[\s\S]*Next run in/);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  expect(under.node.limits(101)?.cores).toBe(1);
  expect(existsSync(path)).toBe(false);
});

it('what was saved of a guest does not apply to another one that was given its id', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  expect((await under.run(['once'])).code).toBe(0);
  const path = join(under.root, STATE);
  const saved = JSON.parse(readFileSync(path, 'utf8'));
  const [[, record]] = saved.guests;
  expect(record.identity).toBe('bc:24:11:00:00:65 local-lvm:vm-101-disk-0');
  const endMs = saved.savedMs;
  record.cores.boost = { before: 1, boosted: 2, endMs };
  record.memory.offPeak = { before: 4096 };
  record.oomFloor = { limitMib: 9000, atMs: endMs };
  record.failure = { count: 9, retryAtMs: endMs + 3_600_000 };
  writeFileSync(path, JSON.stringify(saved));
  under.node.destroyContainer(101);
  const conf = guestText({ vmid: 101, name: 'newcomer', cores: 2, memoryMib: 1024, life: 1 });
  under.node.addContainer({ ...calm(101), conf });
  under.node.advance(2000);
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.sets()).toEqual([]);
  expect(under.log()).toMatch(
    /101 \(newcomer\) is not the guest that had this id before.*nor a boost to 2 cores/,
  );
  const [[, newcomer]] = JSON.parse(readFileSync(path, 'utf8')).guests;
  expect(newcomer.identity).toBe('bc:24:11:01:00:65 local-lvm:vm-101-disk-0');
  const { oomFloor, failure, cores, memory } = newcomer;
  expect([oomFloor, failure, cores.boost, memory.offPeak]).toEqual(Array(4).fill(undefined));
});
