import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Demand } from '../../src/sim/plant.ts';
import { PATIENCE_MS } from '../patience.ts';
import { guest, NodeUnderTest } from './node-under-test.ts';

/** What the kernel says that is not what it seems, read by the real daemon from real files. */

const QUICK = 'poll_interval: 1, sample_interval: 1, cooldown_seconds: 0, evaluation_periods: 1';

/** A container that can be frozen and so on before the daemon looks at it. */
async function daemonOn(settings: { cores: number; memoryMib: number }, demand: Demand, more = '') {
  const spec = guest(101, settings, demand);
  const under = await NodeUnderTest.create([{ ...spec, conf: `${spec.conf}${more}` }]);
  under.configure(`DEFAULT: {${QUICK}, min_memory: 512}\n`);
  return under;
}

/** Waits for so many whole cycles after what the log says now. */
async function cycles(under: NodeUnderTest, count: number): Promise<void> {
  const ended = () => under.log().split('Next run in').length - 1;
  const until = ended() + count;
  const limitMs = performance.now() + PATIENCE_MS;
  while (ended() < until) {
    if (performance.now() > limitMs) throw new Error(`no ${count} cycles:\n${under.log()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Far from both thresholds, so that a sample which comes late on a busy machine crosses none. */
const MODEST: Demand = { cpuCores: 2, anonMib: 1200 };

const setsOf = (under: NodeUnderTest): readonly string[] =>
  under.node.calls.filter(({ argv }) => argv[1] === 'set').map(({ argv }) => argv.join(' '));

const rowOf = async (under: NodeUnderTest) => {
  const { stdout } = await under.run(['status', '--json']);
  return JSON.parse(stdout).containers[0];
};

it('kills and hits of a limit inside of it make a container no larger', async () => {
  const nested = { memoryMib: 64, anonMib: 200 };
  const under = await daemonOn(
    { cores: 2, memoryMib: 1024 },
    { cpuCores: 1, anonMib: 500, nested },
  );
  under.start(['daemon']);
  await cycles(under, 8);
  expect(setsOf(under)).toEqual([]);
  const { stdout } = await under.run(['explain', '101']);
  expect(stdout).toMatch(/0 OOM kills and 0 limit hits .*kills? for a limit inside of it/);
});

it('a kernel that does not tell whose limit it was takes the usage for it', async () => {
  const nested = { memoryMib: 64, anonMib: 200 };
  const under = await daemonOn(
    { cores: 2, memoryMib: 1024 },
    { cpuCores: 1, anonMib: 500, nested },
  );
  const hide = () =>
    rmSync(join(under.root, 'sys/fs/cgroup/lxc/101/memory.events.local'), { force: true });
  hide();
  const timer = setInterval(hide, 20);
  under.start(['daemon']);
  await cycles(under, 6);
  clearInterval(timer);
  expect(setsOf(under)).toEqual([]);
});

it('slab that can be reclaimed is no need, and status and explain say so', async () => {
  const demand = { cpuCores: 1, anonMib: 700, fileSetMib: 30, slabMib: 100_000 };
  const under = await daemonOn({ cores: 2, memoryMib: 2048 }, demand);
  under.node.advance(180_000);
  under.start(['daemon']);
  await cycles(under, 6);
  expect(setsOf(under).filter((call) => call.includes('--memory'))).toEqual([]);
  const row = await rowOf(under);
  expect(row.memory.usedMib).toBeGreaterThan(690);
  expect(row.memory.usedMib).toBeLessThan(760);
  const account = await under.run(['explain', '101', '--json']);
  expect(account.stdout).toContain('MB slab that can be reclaimed');
});

it('a frozen container is named, and left as it is', async () => {
  const under = await daemonOn({ cores: 4, memoryMib: 2048 }, MODEST);
  const daemon = under.start(['daemon']);
  await cycles(under, 3);
  under.node.setFrozen(101, true);
  await daemon.saying('is skipped: it is frozen');
  await cycles(under, 5);
  expect(await rowOf(under)).toMatchObject({ state: 'frozen', now: { brief: 'frozen' } });
  expect((await under.run(['explain', '101'])).stdout).toContain('it is frozen');
  under.node.setFrozen(101, false);
  await cycles(under, 4);
  expect(await rowOf(under)).toMatchObject({ state: 'running' });
  expect(setsOf(under)).toEqual([]);
});

it('a cgroup that was left behind is a stopped container', async () => {
  const under = await daemonOn({ cores: 4, memoryMib: 2048 }, MODEST);
  const daemon = under.start(['daemon']);
  await cycles(under, 2);
  under.node.leaveBehind(101);
  await daemon.saying('its cgroup was left behind');
  await cycles(under, 3);
  expect(await rowOf(under)).toMatchObject({ state: 'stopped (cgroup left behind)' });
  expect(setsOf(under)).toEqual([]);
});

it('CPUs that are offline are said to be what a container starves for', async () => {
  const under = await daemonOn({ cores: 4, memoryMib: 2048 }, { cpuCores: 4, anonMib: 1200 });
  under.node.setPvestatd(false);
  const cpus = under.node.machine.running(101)?.limits.cpus ?? [];
  under.node.setUnusableCpus(cpus.slice(2));
  const daemon = under.start(['daemon']);
  await daemon.saying('it can use only 2 of its 4 CPUs');
  expect(setsOf(under)).toEqual([]);
  expect((await rowOf(under)).cpu).toMatchObject({ allowedCores: 2 });
});

it('a raw cpuset line is named by the log, explain and check-config', async () => {
  const line = 'lxc.cgroup2.cpuset.cpus: 4-7';
  const settings = { cores: 2, memoryMib: 2048 };
  const under = await daemonOn(settings, { cpuCores: 3.9, anonMib: 1200 }, `${line}\n`);
  const daemon = under.start(['daemon']);
  await daemon.saying(`has the line "${line}", so its CPU is not scaled; \`cpu_unit: cpulimit\``);
  await cycles(under, 3);
  expect(setsOf(under)).toEqual([]);
  expect((await under.run(['explain', '101'])).stdout).toContain(line);
  expect((await under.run(['check-config'])).stdout).toContain(line);
});
