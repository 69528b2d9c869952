import { expect, it } from 'vitest';
import { classic } from '../../src/lab/baselines.ts';
import { coldDays, TRACE_BOUNDS } from '../../src/lab/demand.ts';
import { halvesOf } from '../../src/lab/halves.ts';
import { intervals } from '../../src/lab/interval.ts';
import { trial } from '../../src/lab/trial.ts';
import { made } from './traces.ts';

const flat = (value: number, steps = 288): number[] => Array<number>(steps).fill(value);

it('an interval is as wide as containers differ, and the same each time', () => {
  const alike = ['a', 'b', 'c', 'd'].map((name) => made(name, flat(1.5)));
  const mixed = ['a', 'b', 'c', 'd'].map((name, index) => made(name, flat(1.5 + index)));
  const of = (demands: typeof alike) =>
    intervals(trial(demands, classic, TRACE_BOUNDS).containers, ({ cpu }) => [cpu.slack]);
  const [same = [0, 1]] = of(alike);
  expect(same[1] - same[0]).toBeCloseTo(0);
  const [apart = [0, 0]] = of(mixed);
  expect(apart[1] - apart[0]).toBeGreaterThan(0.02);
  expect(of(mixed)).toEqual([apart]);
});

it('days of one container are drawn together', () => {
  const demand = made('a', [...flat(1.5), ...flat(7)]);
  const days = coldDays(demand);
  expect(days.map(({ cpu }) => [cpu.length, cpu[0]])).toEqual([
    [288, 1.5],
    [288, 7],
  ]);
  const { containers } = trial(days, classic, TRACE_BOUNDS);
  const [slack = [0, 1]] = intervals(containers, ({ cpu }) => [cpu.slack]);
  expect(slack[0]).toBe(slack[1]);
});

it('days at the beginning are replayed and not counted', () => {
  const days = (first: number, others: number) => [...flat(first), ...flat(others, 2 * 288)];
  const demand = made('a', days(7, 1.5), days(9000, 1000));
  const after = trial([demand], classic, TRACE_BOUNDS, undefined, 1);
  expect([after.cpu.short, after.cpu.freeDays]).toEqual([0, 1]);
  expect([after.memory?.short, after.memory?.freeDays]).toEqual([0, 1]);
  const whole = trial([demand], classic, TRACE_BOUNDS);
  expect(whole.cpu.short).toBeGreaterThan(0);
  expect(whole.cpu.freeDays).toBeCloseTo(2 / 3);
  expect(whole.memory?.freeDays).toBeCloseTo(2 / 3);
});

it('each container is in one half', () => {
  const demands = Array.from({ length: 21 }, (_, index) => made(`c${index}`, [1]));
  const { one, other } = halvesOf(demands);
  expect([one.size, other.size]).toEqual([11, 10]);
  expect(demands.every(({ name }) => one.has(name) !== other.has(name))).toBe(true);
});
