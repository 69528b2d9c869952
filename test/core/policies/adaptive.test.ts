import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Forecast, Measured } from '../../../src/core/decision.ts';
import { explainChange, explainHold } from '../../../src/core/explain.ts';
import {
  coresForecast,
  type Learning,
  learnCores,
  learnMemory,
  memoryForecast,
} from '../../../src/core/learning.ts';
import { roomBeside } from '../../../src/core/policies/adaptive-memory.ts';
import { forecastVerdict } from '../../../src/core/policies/forecast-verdict.ts';
import type { Verdict } from '../../../src/core/policies/threshold.ts';
import { ratio } from '../../../src/core/units.ts';
import { fc } from '../../fast-check.ts';
import { cpuUse, memoryUse, vmid } from '../builders.ts';

const CT = vmid(101);
const SLOT = 300_000;
const range = { min: 1, max: 8, quantum: 1, stepFactor: 1 };

const cpu = (used: number, allowed: number) => cpuUse(used, allowed);

function afterCores(values: readonly number[], allowed = 8): Learning {
  const all: Learning = { model: undefined };
  values.forEach((used, index) => {
    learnCores(all, cpu(used, allowed), (index + 1) * SLOT);
  });
  return all;
}

function afterMemory(values: readonly number[]): Learning {
  const all: Learning = { model: undefined };
  values.forEach((mib, index) => {
    learnMemory(all, memoryUse(mib), mib, (index + 1) * SLOT);
  });
  return all;
}

const calm = (value: number, steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => value * (1 + 0.01 * Math.sin(step)));

describe('the forecast of cores', () => {
  it('says nothing before half an hour was seen', () => {
    const ask = { ...range, has: 4 };
    expect(coresForecast(afterCores(calm(1, 5)), cpu(1, 4), ask)).toBeUndefined();
    expect(coresForecast(afterCores(calm(1, 6)), cpu(1, 4), ask)).toBeDefined();
  });

  it('takes what a calm container does not need, and leaves a restless one more', () => {
    const ask = { ...range, has: 8 };
    const wild = Array.from({ length: 288 }, (_, step) => (step % 7 ? 1.5 : 4.5));
    const target = (values: number[]): number =>
      coresForecast(afterCores(values), cpu(1.5, 8), ask)?.target ?? 0;
    expect(target(calm(1.5, 288))).toBe(2);
    expect(target(wild)).toBeGreaterThanOrEqual(5);
  });

  it('goes to the peak of the day at once where a container is saturated', () => {
    const values = [...calm(1, 100), 6, ...calm(1, 100)];
    const ask = { ...range, has: 2 };
    const target = coresForecast(afterCores(values), cpu(2, 2), ask)?.target;
    expect(target).toBeGreaterThanOrEqual(6);
  });

  it('protects a steady container at a risk that it lets a restless one run', () => {
    const restless = Array.from({ length: 288 }, (_, step) => (step % 2 ? 0.1 : 1.6));
    const given = (values: number[], now: number) =>
      coresForecast(afterCores(values), cpu(now, 8), { ...range, has: 1 });
    const steady = given(calm(1.9, 288), 1.9);
    expect(steady?.target).toBe(3);
    expect(steady?.riskThen).toBeLessThan((given(restless, 1.6)?.riskThen ?? 0) / 2);
  });

  it('keeps what it has until 40 minutes have suited less', () => {
    const restless = (slots: number): number[] =>
      Array.from({ length: slots }, (_, step) => (step % 2 ? 0.3 : 1.5));
    const given = (slots: number): number => {
      const all = afterCores([...restless(200), 5.5, ...restless(slots)]);
      const ask = { ...range, has: 8, stepFactor: 2 };
      return coresForecast(all, cpu(1.5, 8), ask)?.target ?? 0;
    };
    expect(given(7)).toBeGreaterThanOrEqual(6);
    expect(given(8)).toBe(2);
  });

  it('changes nothing that gains less than 0.7 of a core', () => {
    const peaks = Array.from({ length: 288 }, (_, step) =>
      step % 30 === 3 ? 2.5 : 1.2 + (step % 3) * 0.2,
    );
    const from = (has: number): number =>
      coresForecast(afterCores(peaks), cpu(1.4, 8), { ...range, has })?.target ?? 0;
    expect([from(8), from(3), from(2)]).toEqual([3, 3, 2]);
    expect(from(1)).toBe(3);
  });

  it('leaves a cpulimit where less than a tenth of it is to be changed', () => {
    const all = afterCores(calm(2, 288));
    const forecast = (has: number): number =>
      coresForecast(all, cpu(2, 8), { ...range, quantum: 0.1, has })?.target ?? 0;
    const best = forecast(8);
    expect(forecast(best + 0.1)).toBe(best + 0.1);
    expect(forecast(best + 1)).toBe(best);
  });

  it('follows behaviour: conservative gives more, aggressive less', () => {
    const wild = Array.from({ length: 288 }, (_, step) => 1 + ((step * 7) % 5) * 0.6);
    const all = afterCores(wild);
    const targets = [0.5, 1, 2].map((stepFactor) => {
      const ask = { ...range, quantum: 0.1, max: 32, has: 1, stepFactor };
      return coresForecast(all, cpu(1.5, 8), ask)?.target ?? 0;
    });
    expect([...targets].sort((a, b) => b - a)).toEqual(targets);
    expect(targets[0]).toBeGreaterThan(targets[2] ?? 0);
  });

  it('never gives less than is wanted now, nor leaves its bounds', () => {
    const demand = fc.array(fc.double({ min: 0, max: 12, noNaN: true }), { minLength: 6 });
    fc.assert(
      fc.property(demand, fc.integer({ min: 1, max: 8 }), (values, has) => {
        const used = Math.min(has, values.at(-1) ?? 0);
        const all = afterCores(values);
        const target = coresForecast(all, cpu(used, has), { ...range, has })?.target ?? 0;
        expect(target).toBeGreaterThanOrEqual(Math.min(8, used));
        expect(target >= 1 && target <= 8).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('knows tenths where a cpulimit is scaled', () => {
    const ask = { ...range, min: 0.1, quantum: 0.1, has: 4 };
    const target = coresForecast(afterCores(calm(0.42, 288)), cpu(0.42, 4), ask)?.target ?? 0;
    expect(target).toBeGreaterThanOrEqual(0.5);
    expect(target).toBeLessThan(1.5);
  });
});

describe('the forecast of memory', () => {
  const ask = { min: 512, max: 16_384, quantum: 16, stepFactor: 1, has: 16_384 };
  const seen = (peak: number) => ({ used: peak, peak });
  const target = (values: readonly number[], stepFactor = 1): number =>
    memoryForecast(afterMemory(values), seen(values.at(-1) ?? 0), { ...ask, stepFactor }, 0)
      ?.target ?? 0;

  it('keeps the less above the peak the longer a container has been calm', () => {
    const targets = [12, 72, 288, 2016].map((steps) => target(calm(2000, steps)));
    expect([...targets].sort((a, b) => b - a)).toEqual(targets);
    expect(targets.at(-1)).toBeGreaterThan(2020 * 1.06);
  });

  it('has the margins that its table names', () => {
    const source = readFileSync(
      new URL('../../../src/core/policies/adaptive-memory.ts', import.meta.url),
      'utf8',
    );
    const rows = [...source.matchAll(/^ \* +(\d+) GiB +([\d. ]+)$/gm)];
    expect(rows.length).toBe(3);
    for (const [, gib = '', cells = ''] of rows) {
      const mib = Number(gib) * 1024;
      const margins = [72, 288].map((steps) =>
        (target(Array<number>(steps).fill(mib)) / mib).toFixed(2),
      );
      expect(margins).toEqual(cells.trim().split(/ +/));
    }
  });

  it('keeps more where it has jumped before, and relatively less of a large one', () => {
    const jumpy = [...calm(5000, 50), 7500, ...calm(5000, 49), ...calm(10_000, 300)];
    const quiet = calm(10_000, 400);
    expect(target(jumpy)).toBeGreaterThan(target(quiet) * 1.1);
    const share = (mib: number): number => target(calm(mib, 288)) / mib;
    expect(share(800)).toBeGreaterThan(share(8000));
  });

  it('keeps the peak of the day, and room for one more such rise', () => {
    const risen = [...calm(1000, 100), 1900, ...calm(1000, 187)];
    const once = target([...calm(1000, 100), 1900, ...calm(1900, 187)]);
    expect(target(risen)).toBeGreaterThan(1900 + 0.35 * 880);
    expect(target(risen)).toBeLessThanOrEqual(once);
    expect(target(risen)).toBeLessThan(1900 + 900);
    // A day later the peak is forgotten, the rise not quite; here a leap takes more than both.
    expect(target([...risen, ...calm(1000, 120)])).toBe(target(calm(1000, 408)));
    const larger = [...calm(3000, 100), 5700, ...calm(3000, 187 + 120)];
    expect(target(larger)).toBeLessThan(5000);
    expect(target(larger)).toBeGreaterThan(target(calm(3000, 408)) + 900);
  });

  it('keeps room for its largest rise, half as much a week later', () => {
    const given = (peak: number, slots: number): number => {
      const learning = afterMemory([...calm(32_000, 100), peak, ...calm(32_000, slots)]);
      return memoryForecast(learning, seen(32_000), { ...ask, max: 131_072 }, 0)?.target ?? 0;
    };
    // Both have jumped once; neither peak is in the last day, nor usual for this hour.
    const forRise = (slots: number): number => given(51_200, slots) - given(41_600, slots);
    for (const days of [1.5, 4.5]) {
      expect(forRise(days * 288) / (0.35 * 9600)).toBeCloseTo(0.5 ** (days / 7), 2);
    }
  });

  it('leaves small changes, but keeps the day within its limit', () => {
    const values = calm(2000, 288);
    const best = target(values);
    const from = (has: number): number =>
      memoryForecast(afterMemory(values), seen(2000), { ...ask, has }, 0)?.target ?? 0;
    expect(from(best + 64)).toBe(best + 64);
    expect(from(best - 64)).toBe(best - 64);
    expect(from(best * 1.2)).toBe(best);
    const peaked = [...calm(1000, 100), 3000, ...calm(1000, 100)];
    const below = memoryForecast(afterMemory(peaked), seen(1000), { ...ask, has: 2992 }, 0);
    expect(below?.target).toBeGreaterThan(3000);
  });

  it('leaves less room where swap can take what is over, and never none', () => {
    expect(roomBeside(600, 0)).toBe(600);
    const rooms = [0, 64, 256, 1024, 65_536].map((swap) => roomBeside(600, swap));
    expect([...rooms].sort((one, other) => other - one)).toEqual(rooms);
    expect(rooms.at(-1)).toBeGreaterThan(600 / 4);
    const values = calm(8000, 288);
    const beside = memoryForecast(afterMemory(values), seen(8000), ask, 512)?.target ?? 0;
    expect(beside).toBeLessThan(target(values));
    expect(beside).toBeGreaterThan(8000 * 1.04);
  });

  it('never leaves its bounds, and is never below what was wanted in the last day', () => {
    const demand = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 6, maxLength: 40 });
    fc.assert(
      fc.property(demand, fc.integer({ min: 512, max: 16_384 }), (values, has) => {
        const wanted = seen(values.at(-1) ?? 0);
        const given = memoryForecast(afterMemory(values), wanted, { ...ask, has }, 0)?.target ?? 0;
        expect(given >= ask.min && given <= ask.max).toBe(true);
        expect(given).toBeGreaterThanOrEqual(Math.min(ask.max, Math.max(...values)));
      }),
      { numRuns: 200, seed: 7 },
    );
  });

  it('follows behaviour: conservative keeps more, aggressive less', () => {
    const values = calm(3000, 288);
    expect(target(values, 0.5)).toBeGreaterThan(target(values));
    expect(target(values, 2)).toBeLessThan(target(values));
  });

  it('says the same probability however careful it is', () => {
    const jumpy = [...calm(3000, 100), 4500, ...calm(3000, 188)];
    const learning = afterMemory(jumpy);
    const risks = [0.5, 1, 2].map(
      (stepFactor) =>
        memoryForecast(learning, seen(3000), { ...ask, has: 3200, stepFactor }, 0)?.riskNow,
    );
    expect(risks[0]).toBeGreaterThan(0.0001);
    expect(risks[1]).toBe(risks[0]);
    expect(risks[2]).toBe(risks[0]);
  });
});

describe('what is made of a forecast', () => {
  const measured: Measured = {
    before: 4,
    used: 1,
    share: ratio(0.25),
    min: 1,
    max: 8,
    need: 2,
    band: { lower: ratio(0.2), upper: ratio(0.8) },
  };
  const forecast = (target: number): Forecast => ({
    target,
    riskNow: 0.0004,
    riskThen: 0.0123,
    hoursLearnt: 30,
    peakOfDay: 3.1,
  });
  const now: Verdict = { verdict: 'hold', because: { kind: 'in-band' }, measured };

  it('grows, shrinks and holds by the target', () => {
    expect(forecastVerdict(now, forecast(6), 1, 1)).toMatchObject({ verdict: 'grow', after: 6 });
    expect(forecastVerdict(now, forecast(2), 1, 1)).toMatchObject({ verdict: 'shrink', after: 2 });
    expect(forecastVerdict(now, forecast(4), 1, 1)).toMatchObject({ verdict: 'hold' });
    const floored = forecastVerdict(now, forecast(2), 2.5, 1);
    expect(floored).toMatchObject({ after: 3, limits: ['need'] });
  });

  it('doubles what the OOM killer has found too little', () => {
    const grown: Verdict = { verdict: 'grow', after: 5, rule: 'oom-kill', limits: [], measured };
    expect(forecastVerdict(grown, forecast(4), 1, 1)).toMatchObject({ after: 8, rule: 'oom-kill' });
  });

  it('says so in a sentence', () => {
    const verdict = forecastVerdict(now, forecast(4), 1, 1);
    if (verdict.verdict !== 'hold') throw new Error('it holds');
    const hold = { vmid: CT, name: 'web', resource: 'cores' as const, ...verdict };
    expect(explainHold(hold)).toBe(
      'it uses 1 of its 4 cores (25 %): up to 3.1 cores in the last day; by 30 h of it more than ' +
        '4 cores is wanted within 5 minutes with 0.04 %, so nothing changes',
    );
  });

  it.each([
    [1, 'every hour'],
    [6, 'every 6 hours'],
  ])('says that demand repeats: %i h', (hours, words) => {
    const repeats = { periodMs: hours * 3_600_000, now: 0.68, soon: 3.85 };
    const verdict = forecastVerdict(now, { ...forecast(1), repeats }, 0.6, 1);
    if (verdict.verdict === 'hold') throw new Error('it shrinks');
    const change = { vmid: CT, name: 'web', resource: 'cores' as const, priority: 0, ...verdict };
    expect(explainChange(change)).toBe(
      `its demand repeats ${words}: up to 0.68 cores at this time, up to 3.1 cores in the last day`,
    );
  });
});
