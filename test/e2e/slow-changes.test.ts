import { expect, it } from 'vitest';
import { guest, hungry, NodeUnderTest } from './node-under-test.ts';

/** Changes that take long hide nobody else's need. */

const WAIT_MS = 120_000;

it('who begins to starve while others are changed is helped right after', {
  timeout: 3 * WAIT_MS,
}, async () => {
  let wanted = 500;
  const test = await NodeUnderTest.create([
    hungry(101),
    {
      ...guest(102, { cores: 2, memoryMib: 1024 }, { cpuCores: 1, anonMib: 500 }),
      demand: () => ({ cpuCores: 1, anonMib: wanted }),
    },
  ]);
  test.configure('DEFAULT: {poll_interval: 600, sample_interval: 8}\n');
  let first = true;
  test.node.onCommand(() => {
    // Only the change of the cycle is slow; meanwhile 102 fills up.
    if (!first) return undefined;
    first = false;
    wanted = 1020;
    return { kind: 'slow', delayMs: 20_000 };
  });
  const daemon = test.start(['daemon']);
  await daemon.saying(/Container 101 .*memory 1024 -> \d+ MB/, WAIT_MS);
  await daemon.saying('Early evaluation of 102', WAIT_MS);
  await daemon.saying(/Container 102 .*memory 1024 -> \d+ MB/, WAIT_MS);
  const times =
    test.log().match(/^\S+ (\S+) .*(?:memory 1024 -> |Early evaluation of 102)/gm) ?? [];
  const second = (line = ''): number => {
    const [, h = 0, m = 0, s = 0] = /(\d+):(\d+):(\d+)/.exec(line) ?? [];
    return (Number(h) * 60 + Number(m)) * 60 + Number(s);
  };
  const changed = times.findIndex((line) => line.includes('Container 101'));
  const early = times.findIndex((line) => line.includes('Early evaluation of 102'));
  expect(early).toBe(changed + 1);
  // A sample would have to come first, after eight seconds, if nobody had looked meanwhile.
  expect(second(times[early]) - second(times[changed])).toBeLessThan(6);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});
