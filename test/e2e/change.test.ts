import { expect, it } from 'vitest';
import { calm, guest, hungry, NodeUnderTest, wantingBoth } from './node-under-test.ts';

/** What one change looks like from outside: on the node, in the logs, and in the backups. */

it('costs one pct set with the digest, and nothing else', async () => {
  const under = await NodeUnderTest.create([hungry(101), calm(102)]);
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.node.calls.length).toBe(1);
  const [set] = under.sets();
  expect(set?.slice(0, 5)).toEqual(['pct', 'set', '101', '--memory', '1536']);
  expect(set?.[5]).toBe('--digest');
  expect(set?.[6]).toMatch(/^[0-9a-f]{40}$/);
  expect(under.node.limits(101)).toMatchObject({ memoryMib: 1536, live: { memoryMib: 1536 } });
});

it('has its backup on the disk before pct is called', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  const before = under.conf(101);
  const seen: string[][] = [];
  under.node.onCommand(() => {
    seen.push(under.backups(101));
    return undefined;
  });
  await under.run(['once']);
  expect(seen).toEqual([[before]]);
});

it('is told in the text log and in the JSON log, with the reason and the numbers', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  const { stdout } = await under.run(['once']);
  const log = under.log();
  expect(stdout).toBe(log);
  const stamp = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - INFO - `;
  expect(log).toMatch(new RegExp(`^${stamp}Starting resource allocation process...\n`));
  expect(log).toMatch(
    new RegExp(`\n${stamp}Initial resources before adjustments: 7 cores, \\d+ MB memory\n`),
  );
  expect(log).toMatch(new RegExp(`\n${stamp}Increasing memory for container 101 by 512MB...\n`));
  expect(log).toMatch(/Container 101 \(ct101\): memory 1024 -> 1536 MB.*Confirmed\..*Backup: /);
  const memory = (when: string) =>
    Number(new RegExp(`${when} .* ([0-9]+) MB memory`).exec(log)?.[1]);
  expect(log).toMatch(new RegExp(`\n${stamp}Final resources after adjustments: 7 cores, `));
  expect(memory('Final')).toBe(memory('Initial') - 512);
  expect(log).toMatch(new RegExp(`\n${stamp}Resource allocation process completed.\n$`));

  const [event, ...more] = under.journal();
  expect(more).toEqual([]);
  expect(Object.keys(event ?? {}).slice(0, 5)).toEqual([
    'timestamp',
    'proxmox_host',
    'container_id',
    'action',
    'change',
  ]);
  expect(event).toMatchObject({
    proxmox_host: 'pve1',
    container_id: '101',
    action: 'Increase Memory',
    change: '512MB',
    before: 1024,
    after: 1536,
    cycle: 1,
    status: 'confirmed',
    thresholds: { lower: 20, upper: 80, min: 512 },
  });
  expect(event?.['reason']).toMatch(/8\d(\.\d)? %.*80 %/);
});

it('waits for a rate with CPU, is pending first, and confirmed when in force', async () => {
  const busy = guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 6, anonMib: 500 });
  const under = await NodeUnderTest.create([busy]);
  under.node.setPvestatd(false);
  const daemon = under.start(['daemon']);
  await daemon.saying('Configured.');
  await daemon.cycles(2);
  under.node.setPvestatd(true);
  await daemon.saying('4 cores confirmed, now in its cpuset');
  daemon.signal('SIGTERM');
  await daemon.ended;
  const [first] = under.journal();
  expect(first).toMatchObject({
    action: 'Increase Cores',
    change: '2',
    cycle: 2,
    status: 'pending',
    before: 2,
    after: 4,
  });
  const confirmed = under.journal().find(({ event }) => event === 'confirmed');
  expect(confirmed).toMatchObject({ container_id: '101', action: 'None', change: '0', by: '4' });
  // Between the two nothing further was asked for, though the container went on being saturated.
  const sets = under.sets().map((argv) => argv.slice(3, 5).join(' '));
  expect(sets[0]).toBe('--cores 4');
  expect(Number(confirmed?.['cycle'])).toBeGreaterThan(2);
});

it('takes cores and memory in one command', async () => {
  const { under, grow } = await wantingBoth();
  await grow();
  const daemon = under.start(['daemon']);
  await daemon.saying('Configured.');
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  const [set] = under.sets();
  expect(set?.slice(3, 7)).toEqual(['--cores', '3', '--memory', '1536']);
  expect(under.journal().map(({ action }) => action)).toEqual([
    'Increase Cores',
    'Increase Memory',
  ]);
});

it('an idle container gives back, in small and safe steps', async () => {
  const idle = guest(101, { cores: 4, memoryMib: 8192 }, { cpuCores: 0.05, anonMib: 300 });
  const under = await NodeUnderTest.create([idle]);
  under.configure('DEFAULT: {poll_interval: 1, first_shrink_seconds: 0}\n');
  const daemon = under.start(['daemon']);
  await daemon.saying('Decreasing cores for container 101 by 3...');
  await daemon.saying('Decreasing memory for container 101 by 2048MB');
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(under.node.oomKills(101)).toBe(0);
  expect(under.node.limits(101)?.memoryMib).toBeGreaterThanOrEqual(512);
});

it('a cycle without changes starts no process', async () => {
  const under = await NodeUnderTest.create([calm(101), calm(102), calm(103)]);
  const daemon = under.start(['daemon']);
  await daemon.saying(/(Resource allocation process completed[\s\S]*){4}/);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  expect(under.node.calls).toEqual([]);
  expect(under.journal()).toEqual([]);
});

it('--dry-run does everything but the change, and says what would be done', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  expect((await under.run(['--dry-run', 'once'])).code).toBe(0);
  expect(under.node.calls).toEqual([]);
  expect(under.backups(101)).toEqual([]);
  expect(under.log()).toMatch(/Would increase memory for container 101 by 512MB: 1024 -> 1536 MB/);
  expect(under.journal()).toMatchObject([
    { action: 'None', change: '0MB', event: 'would', by: '512MB', status: 'dry-run' },
  ]);
});

it('leaves ignored, locked and stopped containers and templates alone, and says why', async () => {
  const under = await NodeUnderTest.create([
    hungry(101),
    guest(102, { cores: 2, memoryMib: 1024, lock: 'backup' }, { cpuCores: 1, anonMib: 900 }),
    { ...hungry(103), running: false },
    { ...hungry(104), conf: `${hungry(104).conf}template: 1\n` },
  ]);
  under.configure('DEFAULT: {ignore_lxc: "101,110"}\n');
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.node.calls).toEqual([]);
  const log = under.log();
  expect(log).toMatch(/Container 101 \(ct101\) is skipped: .*ignore_lxc/);
  expect(log).toMatch(/Container 102 \(ct102\) is skipped: .*backup/);
  expect(log).toMatch(/Container 103 is not running\. Skipping adjustments\.\n/);
  expect(log).toMatch(/Container 104 \(ct104\) is skipped: .*template/);
});

it('a name with control characters cannot break a line or reach the terminal', async () => {
  const evil = hungry(101);
  const conf = evil.conf.replace(/hostname: .*/, 'hostname: a\x1b[31mb\rINFO - all is well');
  const under = await NodeUnderTest.create([{ ...evil, conf }]);
  const { stdout } = await under.run(['once']);
  expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
  for (const line of under.log().trimEnd().split('\n')) expect(line).toMatch(/^\d{4}-\d\d-\d\d /);
  expect(under.journal()).toHaveLength(1);
});

it('help comes within 20 s of saturation with the default intervals', {
  timeout: 240_000,
  retry: 2,
}, async () => {
  const startMs = performance.now();
  let saturatedMs = Number.POSITIVE_INFINITY;
  const demand = () => ({ cpuCores: performance.now() < saturatedMs ? 0.8 : 4, anonMib: 500 });
  const under = await NodeUnderTest.create([
    { ...guest(101, { cores: 2, memoryMib: 1024 }, demand()), demand },
  ]);
  under.configure('DEFAULT: {}\n');
  const daemon = under.start(['daemon']);
  await daemon.saying('Next run in 300 seconds.');
  saturatedMs = performance.now() + 3000;
  await daemon.saying('Increasing cores for container 101 by 2...');
  const tookMs = performance.now() - saturatedMs;
  process.stderr.write(`from saturation to pct set: ${(tookMs / 1000).toFixed(1)} s\n`);
  expect(tookMs).toBeLessThan(20_000);
  expect(under.log()).toContain('Early evaluation of 101');
  expect(performance.now() - startMs).toBeLessThan(80_000);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});

it('carries out so many changes at once, and no more', async () => {
  const ids = [101, 102, 103, 104, 105];
  const under = await NodeUnderTest.create(ids.map(hungry));
  let running = 0;
  let most = 0;
  under.node.onCommand(() => ({ kind: 'slow', delayMs: 400 }));
  const watch = setInterval(() => {
    running = under.node.calls.filter(({ exit }) => exit === undefined).length;
    most = Math.max(most, running);
  }, 20);
  expect((await under.run(['once'])).code).toBe(0);
  clearInterval(watch);
  expect(most).toBe(3);
  expect(under.sets()).toHaveLength(ids.length);
});
