import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { calm, guest, NodeUnderTest } from './node-under-test.ts';

/** Observe mode says what it would do, in one place; and it is switched without an editor. */

const FILE = 'etc/lxc_autoscale/lxc_autoscale.yaml';
const idle = (vmid: number, name: string) =>
  guest(vmid, { name, cores: 6, memoryMib: 8192 }, { cpuCores: 0.1, anonMib: 400 });
const QUICK = 'evaluation_periods: 1\n  first_shrink_seconds: 0\n  start_grace_seconds: 0';
const YAML = `# mine\nDEFAULT:\n  poll_interval: 1\n  ${QUICK}\n  scaling_mode: observe\n`;

const config = (under: NodeUnderTest): string => readFileSync(join(under.root, FILE), 'utf8');

it('says what it would do, and does it after activate and a reload', async () => {
  const under = await NodeUnderTest.create([idle(101, 'intranet'), idle(102, 'wiki'), calm(103)]);
  under.configure(YAML);
  const daemon = under.start(['daemon']);
  await daemon.saying('If it were active: 2 containers, -');
  await daemon.cycles(2);
  const seen = (await under.run(['status'])).stdout;
  expect(seen).toMatch(
    /^OBSERVE MODE: nothing is changed\. If it were active: 2 containers, -\d+ cores, -.* GB\.\n/,
  );
  expect(seen).toMatch(/101 +intranet .*would: cpu 6>\d, mem 8192>\d+/);
  const report = JSON.parse((await under.run(['status', '--json'])).stdout);
  expect(report.observing).toMatchObject({ scope: 'all', observed: 3, containers: 2 });
  expect(report.containers[0].would.cores).toMatchObject({ from: 6 });
  expect(under.sets()).toEqual([]);

  const before = config(under);
  const tried = await under.run(['activate', '--dry-run']);
  expect(tried.stdout).toMatch(/^- {3}scaling_mode: observe$/m);
  expect(config(under)).toBe(before);
  const { code, stdout } = await under.run(['activate']);
  expect({ code, stdout }).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/kept as .*backup\nWritten: .*\nEverything is active now/),
  });
  expect(config(under)).toBe(before.replace('  scaling_mode: observe\n', ''));
  const kept = readdirSync(join(under.root, 'etc/lxc_autoscale'));
  expect(kept.filter((name) => name.endsWith('.backup'))).toHaveLength(1);
  await daemon.saying(/Decreasing (cores|memory) for container 101/);
  expect((await under.run(['status'])).stdout).not.toContain('OBSERVE MODE');
  expect((await under.run(['activate'])).stdout).toBe('Everything is already active.\n');
});

it('switches one container by its name, and refuses one that another tier has', async () => {
  const under = await NodeUnderTest.create([idle(101, 'intranet'), idle(102, 'wiki')]);
  under.configure(`${YAML}TIER_docs:\n  lxc_containers: [102]\n`);
  const one = await under.run(['activate', 'Intranet']);
  expect(one).toMatchObject({ code: 0, stderr: '' });
  expect(one.stdout).toMatch(/\nContainer 101 is active when the daemon starts\.\n$/);
  expect(config(under)).toContain('TIER_activated:\n  lxc_containers: [101]\n  scaling_mode: thr');
  expect((await under.run(['check-config'])).stdout).toMatch(/101 +intranet +TIER_activated/);
  const other = await under.run(['activate', '102']);
  expect(other).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('container 102 is in TIER_docs, whose settings it would lose'),
  });
  const seen = (await under.run(['status'])).stdout;
  expect(seen).toMatch(/^OBSERVED ONLY: 1 container\. If it were active: .*First CPU figures/);
});

it('writes nothing at level info while nothing happens', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  under.configure('DEFAULT:\n  poll_interval: 1\n  log_quiet_cycles: False\n');
  const daemon = under.start(['daemon']);
  await daemon.saying('Started, one cycle every 1 seconds.');
  await under.passed(5000);
  const quiet = under.log();
  expect(quiet.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(2);
  expect(JSON.parse((await under.run(['status', '--json'])).stdout).cycle).toBeGreaterThan(1);
});

it('takes nothing below what was given if the minimum is configured', async () => {
  const under = await NodeUnderTest.create([idle(101, 'intranet'), idle(102, 'wiki')]);
  under.configure(
    `DEFAULT:\n  poll_interval: 1\n  ${QUICK}\n  manual_hold_seconds: 0\n` +
      'TIER_kept:\n  lxc_containers: [101]\n  min_memory: configured\n  min_cores: 50 %\n',
  );
  const daemon = under.start(['daemon']);
  await daemon.saying(/Decreasing memory for container 102/);
  await daemon.saying(/Container 101 \(intranet\): cores 6 -> 3 cores/);
  await daemon.cycles(4);
  expect(under.conf(101)).toMatch(/^cores: 3$/m);
  expect(under.conf(101)).toMatch(/^memory: 8192$/m);
  expect(under.sets().filter((set) => set.includes('101') && set.includes('--memory'))).toEqual([]);
  const checked = (await under.run(['check-config'])).stdout;
  expect(checked).toMatch(/TIER_kept .* 50 %-8 .* configured-host/);
});
