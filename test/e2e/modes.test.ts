import { expect, it } from 'vitest';
import { guest, NodeUnderTest } from './node-under-test.ts';

/** The modes of scaling from outside: boost, cpulimit, off-peak time, and the hand of an admin. */

const QUICK = 'poll_interval: 1, cooldown_seconds: 0, evaluation_periods: 1, max_cores: 6';
const BOOST = `${QUICK}, scaling_mode: boost, consecutive_samples: 2, boost_duration: 10`;

/** Wants more than its two cores. */
const saturated = (vmid: number) =>
  guest(vmid, { cores: 2, memoryMib: 1024 }, { cpuCores: 4, anonMib: 500 });

const coresSet = (under: NodeUnderTest): string[] =>
  under.sets().map((argv) => argv.slice(3, 5).join(' '));

/** Whether pvestatd deals them out before the change is read back is a matter of time. */
const inForce = (cores: number): RegExp =>
  new RegExp(
    `-> ${cores} cores, since [^\\n]* Confirmed\\.|: ${cores} cores confirmed, now in its`,
  );

async function boosted(under: NodeUnderTest) {
  under.configure(`DEFAULT: {${BOOST}}\n`);
  const daemon = under.start(['daemon']);
  await daemon.saying(inForce(3));
  return daemon;
}

it('a boost lasts as long as it should, and goes back to what was before', async () => {
  const under = await NodeUnderTest.create([saturated(101)]);
  const daemon = await boosted(under);
  await daemon.saying('its boost is over');
  await daemon.saying(inForce(2));
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(coresSet(under).slice(0, 2)).toEqual(['--cores 3', '--cores 2']);
  const [up, down] = under.journal().filter(({ action }) => /crease Cores/.test(String(action)));
  expect(up).toMatchObject({ rule: 'saturated', before: 2, after: 3 });
  expect(down).toMatchObject({ rule: 'boost-end', before: 3, after: 2 });
});

it('a boost outlives neither a kill -9 nor the time in which no daemon ran', async () => {
  const under = await NodeUnderTest.create([saturated(101)]);
  const first = await boosted(under);
  first.signal('SIGKILL');
  await first.ended;
  await under.passed(11_000);
  expect(under.node.limits(101)?.cores).toBe(3);
  const second = under.start(['daemon']);
  await second.saying('its boost is over');
  await second.saying(inForce(2));
  second.signal('SIGTERM');
  await second.ended;
  expect(coresSet(under).slice(0, 2)).toEqual(['--cores 3', '--cores 2']);
  expect(under.log()).not.toContain('not by this program');
});

it('a boost steps aside for what an admin has set meanwhile', async () => {
  const under = await NodeUnderTest.create([saturated(101)]);
  const daemon = await boosted(under);
  under.node.editConfig(101, (conf) => conf.replace(/^cores: 3$/m, 'cores: 5'));
  await daemon.saying(/its number of cores was set from 3 cores to 5 cores, not by this program/);
  await daemon.cycles(11);
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(coresSet(under)).toEqual(['--cores 3']);
  expect(under.node.limits(101)?.cores).toBe(5);
});

it('a cpulimit changes in tenths, at once, and a rollback takes it out again', async () => {
  const idle = guest(101, { cores: 4, memoryMib: 1024 }, { cpuCores: 0.3, anonMib: 500 });
  const under = await NodeUnderTest.create([idle]);
  under.configure(`DEFAULT: {${QUICK}, cpu_unit: cpulimit, min_cores: 0.5}\n`);
  const daemon = under.start(['daemon']);
  await daemon.saying('Confirmed.');
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(coresSet(under)[0]).toMatch(/^--cpulimit 0\.[67]$/);
  const [change] = under.journal();
  expect(change).toMatchObject({
    action: 'Decrease Cores',
    unit: 'cpulimit',
    before: 4,
    status: 'confirmed',
  });
  expect(under.conf(101)).toMatch(/^cpulimit: 0\.[67]$/m);
  const back = await under.run(['rollback', '101']);
  expect(back.code).toBe(0);
  expect(under.conf(101)).not.toMatch(/^cpulimit/m);
});

it('the off-peak time takes what is beyond the need, and its end gives it back', async () => {
  const inBand = guest(101, { cores: 4, memoryMib: 4096 }, { cpuCores: 1.4, anonMib: 900 });
  const under = await NodeUnderTest.create([inBand]);
  const nights = 'off_peak_cron: "* * * * *", off_peak_minutes: 60, first_shrink_seconds: 0';
  under.configure(`DEFAULT: {${QUICK}, energy_mode: true, ${nights}}\n`);
  const daemon = under.start(['daemon']);
  await daemon.saying(inForce(2));
  await daemon.saying(/memory 4096 -> 3072 MB, since .*off-peak/);
  // Neither does the band ask for it back, nor is there more to take.
  await daemon.cycles(3);
  expect(under.sets().length).toBeLessThanOrEqual(2);
  under.configure(`DEFAULT: {${QUICK}, energy_mode: false, ${nights}}\n`);
  daemon.signal('SIGHUP');
  await daemon.saying(inForce(4));
  await daemon.saying(/memory 3072 -> 4096 MB, since the off-peak time is over/);
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(under.node.limits(101)).toMatchObject({ cores: 4, memoryMib: 4096 });
});

it('a value that was set by hand stays, also when that was while no daemon ran', async () => {
  const under = await NodeUnderTest.create([
    guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 1, anonMib: 900 }),
  ]);
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.node.limits(101)?.memoryMib).toBe(1536);
  under.node.editConfig(101, (conf) => conf.replace(/^memory: 1536$/m, 'memory: 1040'));
  await under.passed(1200);
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.log()).toContain('its memory was set from 1536 MB to 1040 MB, not by this program');
  expect(under.sets()).toHaveLength(1);
});
