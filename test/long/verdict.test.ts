import { expect, it } from 'vitest';
import type { LongRun, Measured } from './long-run.ts';
import { trend } from './measures.ts';
import { verdict } from './verdict.ts';

const BOUNDS = { mbPerDay: 0.05, cycleDrift: 1.25, descriptors: 5 };
const EVERY_DAY = Array.from({ length: 30 * 12 + 1 }, (_, at) => at / 12);

/** Memory goes up and down with the garbage by 3 MB, with no end of it. */
const measuredOn = (day: number): Measured => ({
  day,
  cycles: Math.round(day * 288),
  cpuMs: day * 288 * 20,
  privateMb: 20 + ((day * 5) % 3),
  residentMb: 55,
  descriptors: 920,
  wakeUps: 0,
  writtenBytes: 0,
});

const GOOD: LongRun = {
  measured: EVERY_DAY.map(measuredOn),
  cycles: 8640,
  realMs: 1_200_000,
  sets: 900,
  exchanged: 119,
  messages: 700,
  scrapes: 360,
  visits: { answered: {}, refused: [] },
  clones: { made: 0, gone: 0, ofId: new Map() },
  errors: [],
  tenths: [],
  files: [],
  remembered: [],
  exitCode: 0,
  stderr: '',
};

const faultsOf = (change: Partial<LongRun>) => verdict({ ...GOOD, ...change }, BOUNDS).faults;

const withMeasured = (change: (each: Measured) => Partial<Measured>) =>
  faultsOf({ measured: GOOD.measured.map((each) => ({ ...each, ...change(each) })) });

const file = (path: string, bytes = 100) => ({ path, bytes, text: () => '' });

it('finds nothing wrong with a run in which nothing grows', () => {
  expect(faultsOf({})).toEqual([]);
});

it('finds memory that grows by a tenth of a megabyte a day', () => {
  expect(withMeasured(({ day, privateMb }) => ({ privateMb: privateMb + day / 10 }))).toEqual([
    expect.stringMatching(/^private memory grows by 0\.\d+ MB a day$/),
  ]);
});

it('finds descriptors that stay open, and cycles that get slower', () => {
  expect(withMeasured(({ day }) => ({ descriptors: 900 + Math.round(day) }))).toEqual([
    expect.stringMatching(/^descriptors go from/),
  ]);
  expect(withMeasured(({ day }) => ({ cpuMs: day * 288 * (20 + day / 2) }))).toEqual([
    expect.stringMatching(/^a cycle costs/),
  ]);
});

it('finds files beyond their bounds', () => {
  expect(faultsOf({ files: [file('var/log/a.log', 2_000_000)] })).toHaveLength(1);
  const copies = Array.from({ length: 13 }, (_, at) =>
    file(`var/lib/lxc_autoscale/backups/101/${at}.conf`),
  );
  expect(faultsOf({ files: copies })).toHaveLength(1);
  const clones = { made: 2, gone: 2, ofId: new Map([['101', 2]]) };
  expect(faultsOf({ files: copies, clones })).toEqual([]);
  const days = Array.from({ length: 16 }, (_, at) =>
    file(`var/lib/lxc_autoscale/usage/2026-11-${10 + at}-1.csv.gz`),
  );
  expect(faultsOf({ files: days })).toHaveLength(1);
  expect(faultsOf({ files: [file('var/lib/lxc_autoscale/state.json', 2_000_000)] })).toHaveLength(
    1,
  );
  expect(faultsOf({ files: [file('var/lib/lxc_autoscale/.state.json.tmp')] })).toHaveLength(1);
});

it('finds a run that shows nothing, and a daemon that failed', () => {
  expect(faultsOf({ sets: 0, messages: 0, scrapes: 0 })).toHaveLength(3);
  expect(faultsOf({ exitCode: 1 })).toHaveLength(1);
  expect(faultsOf({ stderr: 'no such thing' })).toHaveLength(1);
  const refused = ['GET /: 500'];
  expect(faultsOf({ visits: { answered: {}, refused } })).toEqual(['over HTTP: GET /: 500']);
  expect(faultsOf({ remembered: [123] })).toEqual(['it still speaks of 123']);
});

it('knows the slope of a line, and how sure it is', () => {
  const exact = trend([0, 1, 2, 3].map((x) => [x, 5 + 2 * x] as const));
  expect(exact.slope).toBeCloseTo(2, 12);
  expect(exact.error).toBeCloseTo(0, 12);
  // R: summary(lm(c(1, 3, 2, 5) ~ c(0, 1, 2, 3))): slope 1.1, standard error 0.5196
  const noisy = trend([1, 3, 2, 5].map((y, x) => [x, y] as const));
  expect(noisy.slope).toBeCloseTo(1.1, 12);
  expect(noisy.error).toBeCloseTo(0.5196, 4);
});
