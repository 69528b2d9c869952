import { join } from 'node:path';
import { expect, it } from 'vitest';
import { encodeUsage, type UsageRecord } from '../../src/core/usage-history.ts';
import { createUsageStore } from '../../src/store/usage-store.ts';
import { vmid } from '../node/local/world.ts';
import { calm, NodeUnderTest } from './node-under-test.ts';

/** What is made of ten days of recorded usage by the commands that judge by it. */

const DAYS = 10;
const STEP_S = 300;
const START_S = Date.UTC(2026, 10, 1) / 1000;

/** Busy from nine to five, idle otherwise. */
const worker = (hour: number): number => (hour >= 9 && hour < 17 ? 2.4 : 0.3);

/** An office by day, a database held back by its limit, and one that was off for three days. */
function recordsAt(timeS: number): readonly UsageRecord[] {
  const hour = Math.floor(timeS / 3600) % 24;
  const day = Math.floor((timeS - START_S) / 86_400);
  const of = (id: number, cpu: number, mib: number, cores: number, limitMib: number) => ({
    timeS,
    vmid: vmid(id),
    cpuCores: cpu,
    memoryMib: mib,
    cpuDemand: cpu,
    cpuPeak: cpu,
    cpuAllowed: cores,
    memoryPeakMib: mib,
    memoryLimitMib: limitMib,
    cpuWaitPercent: 0,
    memoryWaitPercent: 0,
  });
  return [
    of(101, worker(hour), 600 + 50 * worker(hour), 8, 8192),
    of(102, 1, 1020, 2, 1024),
    ...(day >= 4 && day < 7 ? [] : [of(103, 0.1, 200, 1, 512)]),
  ];
}

async function recorded(): Promise<NodeUnderTest> {
  const under = await NodeUnderTest.create([calm(101)]);
  under.configure('DEFAULT: {max_memory: 16384}\n');
  const complaints: string[] = [];
  const store = createUsageStore({
    directory: join(under.root, 'var/lib/lxc_autoscale/usage'),
    days: () => 14,
    complain: (text) => complaints.push(text),
  });
  for (let timeS = START_S; timeS < START_S + DAYS * 86_400; timeS += STEP_S) {
    const lines = recordsAt(timeS).map(encodeUsage).join('\n');
    store.append(`${lines}\n`, timeS, STEP_S);
  }
  await store.close();
  expect(complaints).toEqual([]);
  return under;
}

it('recommends by the daemon’s own history, and changes nothing', async () => {
  const under = await recorded();
  const { code, stdout, stderr } = await under.run(['recommend', '--json']);
  expect([code, stderr]).toEqual([0, '']);
  const { containers } = JSON.parse(stdout);
  const [office, held, off] = containers;
  expect(containers).toHaveLength(3);
  expect(office).toMatchObject({ container: '101', hours: 240, sure: 'high' });
  expect(office.cores).toMatchObject({ recommended: 3, peak: 2.4, had: 8, saves: 5, at_limit: 0 });
  expect(office.memory_mb.recommended).toBeGreaterThanOrEqual(720);
  expect(office.memory_mb.saves).toBe(8192 - office.memory_mb.recommended);
  // What a limit held back is not taken for what was wanted.
  expect(held.memory_mb).toMatchObject({ had: 1024, at_limit: 1 });
  expect(held.memory_mb.recommended).toBeGreaterThan(1024);
  // A container that was off for three of the days was watched for seven.
  expect(off).toMatchObject({ container: '103', hours: 168 });

  const table = await under.run(['recommend']);
  expect(table.stdout).toMatch(/^101 +3 +2\.4 +\d+ MB +720 MB +5 cores, \d+ MB +high, 10 days/m);
  expect(table.stdout).toContain(
    '102: all of its memory was in use 100 % of the time; it may want',
  );
  // A policy that allows less does not say what is needed; only one that is named does.
  under.configure('DEFAULT: {max_cores: 1, max_memory: 512}\n');
  const recommended = async (...more: readonly string[]) => {
    const { stdout: json } = await under.run(['recommend', '--json', ...more]);
    return JSON.parse(json).containers[0].cores.recommended;
  };
  expect(await recommended()).toBe(3);
  expect(
    await recommended('--config', join(under.root, 'etc/lxc_autoscale/lxc_autoscale.yaml')),
  ).toBe(1);
  expect(under.node.calls).toEqual([]);
});

it('replays the history through any policy', async () => {
  const under = await recorded();
  const policies = ['--policy', 'threshold', 'adaptive'];
  const { code, stdout, stderr } = await under.run([
    'backtest',
    '--history',
    '--json',
    ...policies,
  ]);
  expect([code, stderr]).toEqual([0, '']);
  const [threshold, adaptive] = JSON.parse(stdout).policies;
  expect([threshold.policy, adaptive.policy]).toEqual(['threshold', 'adaptive']);
  // A replay begins with twice the median. Thresholds find that in their band. `adaptive` grows to
  // where a leap to three times the use fits, also after ten equal days: 5.1 points more are idle.
  expect(adaptive.memory.slack).toBeLessThanOrEqual(threshold.memory.slack + 0.061);
  expect(adaptive.memory.oom_steps).toBe(0);
});
