import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseUsage } from '../../src/core/usage-history.ts';
import { readTrace } from '../../src/sim/traces.ts';
import { calm, guest, NodeUnderTest } from './node-under-test.ts';

/** The history of usage, from the daemon's first cycle to the trace that a person exports. */

const USAGE = 'var/lib/lxc_autoscale/usage';

const records = (root: string) => {
  const directory = join(root, USAGE);
  const names = existsSync(directory) ? readdirSync(directory).sort() : [];
  const lines = names.flatMap((name) => readFileSync(join(directory, name), 'utf8').split('\n'));
  return lines.map(parseUsage).filter((one) => one !== undefined);
};

const busy = guest(102, { cores: 4, memoryMib: 2048 }, { cpuCores: 2, anonMib: 1000 });

it('the daemon writes what it saw when it stops, and export gives it as a trace', async () => {
  const under = await NodeUnderTest.create([calm(101), busy]);
  await under.run(['once']);
  await under.passed(1500);
  const daemon = under.start(['daemon']);
  await daemon.saying('Next run in');
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  const all = records(under.root);
  expect(all.map(({ vmid }) => vmid)).toEqual([101, 102, 101, 102]);
  expect(all[0]).toMatchObject({ cpuCores: undefined, memoryMib: expect.closeTo(500, -2) });
  expect(all[3]).toMatchObject({ cpuAllowed: 4, memoryLimitMib: 2048 });
  expect(all[3]?.cpuCores).toBeCloseTo(2, 0);

  const out = join(under.root, 'trace.csv');
  const ended = await under.run(['export', '--since', '1h', '--out', out]);
  expect(ended).toEqual({ code: 0, stdout: '', stderr: '' });
  const read = await readTrace(out);
  expect(read.ok && read.trace.series.map(({ name }) => name)).toEqual(['101', '102']);
  expect((await under.run(['export', '102'])).stdout).toMatch(
    /^time_s,container,cpu_cores,memory_mb\n0,102,[12][.0-9]*,\d+\n$/,
  );
});

it.each([
  ['a dry run', ['--dry-run', 'once'], 'DEFAULT: {}\n'],
  ['usage_history: False', ['once'], 'DEFAULT: {usage_history: False}\n'],
])('%s leaves no history behind', async (_what, argv, yaml) => {
  const under = await NodeUnderTest.create([calm(101)]);
  under.configure(yaml);
  expect((await under.run(argv)).code).toBe(0);
  expect(existsSync(join(under.root, USAGE))).toBe(false);
});

it('a reload switches it off and on', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  const daemon = under.start(['daemon']);
  await daemon.saying('Next run in');
  under.configure('DEFAULT: {poll_interval: 1, usage_history: False}\n');
  daemon.signal('SIGHUP');
  await daemon.saying('The configuration was reloaded');
  await daemon.saying(/reloaded[\s\S]*Next run in/);
  expect(records(under.root)).toHaveLength(1);
  under.configure('DEFAULT: {poll_interval: 1}\n');
  daemon.signal('SIGHUP');
  await daemon.saying(/reloaded[\s\S]*reloaded[\s\S]*Next run in/);
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(records(under.root)).toHaveLength(2);
});
