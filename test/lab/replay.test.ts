import { expect, it } from 'vitest';
import { classic, oracle } from '../../src/lab/baselines.ts';
import { startOf, TRACE_BOUNDS } from '../../src/lab/demand.ts';
import type { LabPolicy, StepSeen } from '../../src/lab/replay.ts';
import { replay } from '../../src/lab/replay.ts';
import { figuresOf } from '../../src/lab/score.ts';
import { daemon, made } from './traces.ts';

it('starts with twice the median, in whole cores and 16 MiB, within the bounds', () => {
  const start = (cpu: number[], memory?: number[]) => startOf(made('a', cpu, memory), TRACE_BOUNDS);
  expect(start([1, 1.2, 9], [700, 700, 700])).toEqual({ cores: 3, memoryMib: 1408 });
  expect(start([0, 0.1], [1, 1])).toEqual({ cores: 1, memoryMib: 512 });
  expect(start([7, 7], [20_000, 20_000])).toEqual({ cores: 8, memoryMib: 16_384 });
  expect(start([1, 2])).toEqual({ cores: 3, memoryMib: 512 });
});

it('shows a policy what a daemon would see, and counts what was there and what was wanted', () => {
  const seen: StepSeen[] = [];
  const doubling: LabPolicy = {
    name: 'doubling',
    begin: () => (step, has) => {
      seen.push(step);
      has.cores = 4;
      has.memoryMib = 2048;
    },
  };
  // Starts with 2 cores and 2048 MiB.
  const { cpu, memory } = replay(made('a', [1, 3, 1], [900, 3000, 1024]), doubling, TRACE_BOUNDS);
  expect(seen).toEqual([
    { index: 0, cpuUsed: 1, memoryUsedMib: 900, outOfMemory: false },
    { index: 1, cpuUsed: 3, memoryUsedMib: 2048, outOfMemory: true },
  ]);
  const counted = {
    steps: 3,
    allocated: 10,
    demanded: 5,
    unused: 5,
    lacking: 0,
    shortSteps: 0,
    unavoidable: 0,
    killed: 0,
    daysBegun: 1,
    shortDays: 0,
  };
  expect(cpu).toEqual({ ...counted, resizes: 1, days: 900 / 86_400 });
  expect(memory).toMatchObject({ lacking: 952, shortSteps: 1, shortDays: 1, resizes: 0 });
  expect(figuresOf(cpu)).toMatchObject({ slack: 0.5, short: 0, unmet: 0, resizesPerDay: 96 });
});

it('counts a day that was begun as a day without a short step, or as none', () => {
  const still: LabPolicy = { name: 'still', begin: () => () => {} };
  const freeDays = (days: number, shortAt: readonly number[]): number => {
    const steps = Array.from({ length: days * 288 }, (_, index) =>
      shortAt.includes(index) ? 9 : 1,
    );
    return figuresOf(replay(made('a', steps), still, TRACE_BOUNDS).cpu).freeDays;
  };
  expect(freeDays(0.5, [])).toBe(1);
  expect(freeDays(0.5, [100])).toBe(0);
  expect(freeDays(1.5, [300])).toBe(0.5);
  expect(freeDays(1.5, [100, 300])).toBe(0);
  expect(freeDays(2, [100, 101])).toBe(0.5);
});

it('lets the oracle starve nobody, and classic only at first', () => {
  const wave = Array.from({ length: 200 }, (_, step) => (step % 20 < 10 ? 0.5 : 5));
  const demand = made('wave', wave);
  expect(replay(demand, oracle, TRACE_BOUNDS).cpu.shortSteps).toBe(0);
  const { shortSteps } = replay(demand, classic, TRACE_BOUNDS).cpu;
  expect(shortSteps).toBeGreaterThan(0);
  expect(shortSteps).toBeLessThan(100);
});

it('boosts for a while, and gives what a container had before again', () => {
  const cpu = [1, 1, 2, 2, 3, ...Array.from({ length: 12 }, () => 1)];
  const had: number[] = [];
  replay(made('a', cpu), daemon('boost'), TRACE_BOUNDS, (_index, { cores }) => had.push(cores));
  expect(had.slice(0, 4)).toEqual([2, 2, 2, 3]);
  expect(had.slice(-6)).toEqual([2, 2, 2, 2, 2, 2]);
});
