import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { guest, NodeUnderTest, type Running } from './node-under-test.ts';

/** `memory_guard`: memory.high a little below the limit, for as long as somebody raises that. */

const MIB = 1024 * 1024;
/** As Proxmox VE sets it with a limit of 1024 MB. */
const PLAIN = `${1016 * MIB}\n`;
const GUARDED = `${940 * MIB}\n`;
const ON = 'DEFAULT: {poll_interval: 1, sample_interval: 1, memory_guard: True}\n';

const fileOf = (under: NodeUnderTest): string =>
  join(under.root, 'sys/fs/cgroup/lxc/101/memory.high');
const high = (under: NodeUnderTest): string => readFileSync(fileOf(under), 'utf8');

async function guardedNode(yaml = ON) {
  const demand = { now: { cpuCores: 1, anonMib: 500 } };
  const spec = { ...guest(101, { cores: 2, memoryMib: 1024 }, demand.now) };
  const under = await NodeUnderTest.create([{ ...spec, demand: () => demand.now }]);
  under.configure(yaml);
  return { under, demand };
}

const ended = async (daemon: Running): Promise<number | null> => {
  daemon.signal('SIGTERM');
  return (await daemon.ended).code;
};

it('is set by the daemon, shown, taken back without the option, and at its end', async () => {
  const { under } = await guardedNode();
  expect(high(under)).toBe(PLAIN);
  const daemon = under.start(['daemon']);
  await daemon.saying(
    /101: memory\.high 1016MB -> 940MB, by memory_guard \(limit 1024 MB, 5\d\d MB/,
  );
  expect(high(under)).toBe(GUARDED);
  await daemon.cycles(1);
  const explained = await under.run(['explain', '101']);
  expect(explained.stdout).toMatch(/memory guard +.*memory\.high is 940 MB, below the limit/);
  const status = await under.run(['status']);
  expect(status.stdout).toMatch(/101: memory_guard holds memory\.high below the limit/);
  const json = JSON.parse((await under.run(['status', '--json'])).stdout);
  expect(json.containers[0].memory.guardMib).toBe(940);

  under.configure('DEFAULT: {poll_interval: 1, memory_guard: False}\n');
  daemon.signal('SIGHUP');
  await daemon.saying('101: memory.high is as Proxmox VE sets it');
  expect(high(under)).toBe(PLAIN);

  under.configure(ON);
  daemon.signal('SIGHUP');
  await expect.poll(() => high(under)).toBe(GUARDED);
  expect(await ended(daemon)).toBe(0);
  expect(high(under)).toBe(PLAIN);
});

it('follows the limit: a leap is slowed, its limit grows, and nobody is killed', async () => {
  const { under, demand } = await guardedNode();
  const daemon = under.start(['daemon']);
  await daemon.saying('by memory_guard');
  demand.now = { cpuCores: 1, anonMib: 1300 };
  await daemon.saying(/memory \S* ?1024 .*its memory guard slows it|rises by/);
  await expect.poll(() => under.node.limits(101)?.memoryMib).toBeGreaterThan(1500);
  await expect.poll(() => Number(high(under)) / MIB).toBeGreaterThan(1400);
  expect(under.node.oomKills(101)).toBe(0);
  expect(await ended(daemon)).toBe(0);
});

it('leaves alone what an admin has set, and is set anew after a restart', async () => {
  const { under } = await guardedNode();
  const own = `${800 * MIB}\n`;
  writeFileSync(fileOf(under), own);
  const daemon = under.start(['daemon']);
  await daemon.saying(
    '101 has no memory_guard: memory.high is 800 MB, which was not set from here',
  );
  await daemon.cycles(2);
  expect(high(under)).toBe(own);
  under.node.stopContainer(101);
  await daemon.cycles(2);
  under.node.startContainer(101);
  await expect.poll(() => high(under)).toBe(GUARDED);
  expect(await ended(daemon)).toBe(0);
  expect(high(under)).toBe(PLAIN);
});

it('is not set by once, and what a killed daemon has left is put back by release', async () => {
  const { under } = await guardedNode();
  await under.run(['once']);
  expect(high(under)).toBe(PLAIN);
  const daemon = under.start(['daemon']);
  await daemon.saying('by memory_guard');
  daemon.signal('SIGKILL');
  await daemon.ended;
  expect(high(under)).toBe(GUARDED);
  const released = await under.run(['release']);
  expect(released.stdout).toContain('101: memory.high was too low, and is restored.');
  expect(high(under)).toBe(PLAIN);
  expect(await under.run(['release'])).toMatchObject({ code: 0, stdout: '', stderr: '' });

  const far = join(under.root, 'var/lib/lxc_autoscale/memory-high/nodes/pve2');
  mkdirSync(far, { recursive: true });
  for (const name of ['104', '104.guard', '105.guard']) writeFileSync(join(far, name), '{}');
  const named = await under.run(['release']);
  expect(named.code).toBe(1);
  expect(named.stderr).toMatch(/Node pve2: memory\.high of containers 104, 105 may be low/);
});
