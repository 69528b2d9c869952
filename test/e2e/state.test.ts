import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { calm, guest, hungry, NodeUnderTest } from './node-under-test.ts';

/** What survives the end of the program, orderly or not. */

const STATE = 'var/lib/lxc_autoscale/state.json';
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it('once from cron scales CPU from its second run on', async () => {
  const busy = guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 4, anonMib: 500 });
  const under = await NodeUnderTest.create([busy]);
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.sets()).toEqual([]);
  await pause(1500);
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
  expect(under.log()).toMatch(/Container 101 \(ct101\) is left alone: .*failed/);
});

it('cores that were pending are confirmed by the next process', async () => {
  const busy = guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 3, anonMib: 500 });
  const under = await NodeUnderTest.create([busy], { pvestatdPeriodMs: 4000 });
  const first = under.start(['daemon']);
  await first.saying('Configured.');
  first.signal('SIGTERM');
  expect((await first.ended).code).toBe(0);
  await pause(4500);
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
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ version: 2 });
  },
);

it('a dry run leaves no state behind', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  await under.run(['--dry-run', 'once']);
  expect(() => readFileSync(join(under.root, STATE))).toThrow('ENOENT');
});
