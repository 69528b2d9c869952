import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

const FAST_TIME = new URL('fast-time.cjs', import.meta.url).pathname;

/** What a program prints that lives on the fast clock. */
function run(program: string, env: Record<string, string>): unknown {
  const args = ['--require', FAST_TIME, '-e', program];
  const options = { env: { ...process.env, ...env }, encoding: 'utf8', timeout: 60_000 } as const;
  return JSON.parse(execFileSync(process.execPath, args, options));
}

const START_MS = Date.UTC(2026, 10, 22);
const START = { FAST_TIME_START: String(START_MS) };

it('goes by a factor, in all clocks alike', () => {
  const program = `
    const from = [Date.now(), performance.now(), Number(process.hrtime.bigint()) / 1e6];
    setTimeout(() => {
      const to = [Date.now(), performance.now(), Number(process.hrtime.bigint()) / 1e6];
      console.log(JSON.stringify({ from: from[0], passed: to.map((ms, at) => ms - from[at]) }));
    }, 600_000);`;
  const { from, passed } = run(program, { ...START, FAST_TIME_FACTOR: '10000' }) as {
    readonly from: number;
    readonly passed: readonly number[];
  };
  expect(from).toBeGreaterThanOrEqual(START_MS);
  for (const ms of passed) expect(ms).toBeGreaterThan(590_000);
});

it('jumps from timer to timer, each at its time and in their order', () => {
  const program = `
    const { setTimeout: pause } = require('node:timers/promises');
    const start = Date.now();
    const seen = [];
    const note = (what) => seen.push([what, Math.floor((Date.now() - start) / 60_000)]);
    const every = setInterval(() => note('hour'), 3_600_000);
    setTimeout(() => note('never'), 5_000_000).unref();
    clearTimeout(setTimeout(() => note('cleared'), 1000));
    pause(5_400_000).then(() => note('pause'));
    setTimeout(() => { clearInterval(every); console.log(JSON.stringify(seen)); }, 9_000_000);`;
  expect(run(program, { ...START, FAST_TIME_SKIP: '1' })).toEqual([
    ['hour', 60],
    // Nobody waits for a timer that is unref'd, so that it comes with the next one.
    ['never', 90],
    ['pause', 90],
    ['hour', 120],
  ]);
});

it('makes dates that are dates', () => {
  const program = `
    const date = new Date();
    const same = new Date(1e12).getTime() === 1e12 && date instanceof Date;
    console.log(JSON.stringify([same, date.toISOString().slice(0, 10), typeof Date()]));`;
  const what = run(program, { ...START, FAST_TIME_FACTOR: '2' });
  expect(what).toEqual([true, '2026-11-22', 'string']);
});
