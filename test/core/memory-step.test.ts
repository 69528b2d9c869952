import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Step } from '../../src/core/cooldown.ts';
import type { DemandModel } from '../../src/core/demand-model.ts';
import { memoryNeed } from '../../src/core/guards.ts';
import { type Learning, learnMemory } from '../../src/core/learning.ts';
import { keptMemory, slowed } from '../../src/core/memory-step.ts';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { measured, memoryUse, policy } from './builders.ts';

const SLOT = 300_000;
const AN_HOUR = 12;
const A_DAY = 288;

function seen(values: readonly number[]): DemandModel {
  const record: Learning = { model: undefined };
  values.forEach((used, index) => {
    learnMemory(record, memoryUse(used), used, (index + 1) * SLOT);
  });
  const { model } = record;
  if (model === undefined) throw new Error('nothing was seen');
  return model;
}

const steady = (used: number, slots: number): number[] => Array<number>(slots).fill(used);

function careful(own: Partial<ContainerPolicy> = {}): ContainerPolicy {
  const plain = policy();
  const timing = { ...plain.timing, firstShrinkMs: milliseconds(3_600_000) };
  return { ...plain, timing, ...own };
}

const past = (values: readonly number[], own: Partial<ContainerPolicy> = {}, swapMib = 0) => ({
  model: seen(values),
  usage: memoryUse(values.at(-1) ?? 0, { swapMib: mib(swapMib) }),
  policy: careful(own),
  freeSwapMib: 0,
});

const shrink = (before: number, after: number, rule: Step['rule'] = 'below-lower'): Step => ({
  verdict: 'shrink',
  after,
  rule,
  limits: [],
  measured: measured({ before, used: 400, min: 512, max: 65_536, need: 464 }),
});

describe('the sample results in the comment', () => {
  const FACTORS: Readonly<Record<string, number>> = { conservative: 0.5, normal: 1, aggressive: 2 };
  const source = readFileSync(new URL('../../src/core/memory-step.ts', import.meta.url), 'utf8');
  const rows = source.split('\n').flatMap((line) => {
    const [, behaviour = '', room, keeps, leap] = line.split('|').map((cell) => cell.trim());
    const stepFactor = FACTORS[behaviour];
    if (stepFactor === undefined) return [];
    const numberIn = (cell = ''): number => Number(/\d+/.exec(cell)?.[0]);
    return [[behaviour, stepFactor, numberIn(room), numberIn(keeps), numberIn(leap)] as const];
  });

  it('are three', () => expect(rows.length).toBe(3));
  it.each(rows)('%s', (_behaviour, stepFactor, room, keeps, leap) => {
    const kept = keptMemory(past(steady(400, A_DAY), { stepFactor }));
    expect(kept).toEqual({ peakMib: 400, roomMib: 400 * room, mib: keeps });
    expect(kept.mib).toBeGreaterThanOrEqual(memoryNeed(400 * leap));
  });
});

describe('memory that is taken back', () => {
  it('waits until the container was observed for an hour', () => {
    const soon = slowed(shrink(2048, 800), past(steady(400, AN_HOUR - 1)));
    expect(soon).toMatchObject({
      because: { kind: 'observed-briefly', leftMs: expect.closeTo(300_000, 0) },
    });
    expect(slowed(shrink(2048, 800), past(steady(400, AN_HOUR))).verdict).toBe('shrink');
    const never = { ...past([400]), model: undefined };
    expect(slowed(shrink(2048, 800), never)).toMatchObject({ because: { leftMs: 3_600_000 } });
  });

  it.each(['below-lower', 'above-maximum', 'learnt', 'off-peak', 'host-emergency'] as const)(
    'is a quarter at most in one step: %s',
    (rule) => {
      const step = slowed(shrink(8192, 1024, rule), past(steady(100, 2 * A_DAY)));
      expect(step).toMatchObject({ verdict: 'shrink', after: 6144 });
    },
  );

  it('is all of a boost at its end, and never less than was to be given', () => {
    const end = shrink(8192, 1024, 'boost-end');
    expect(slowed(end, past([400]))).toBe(end);
    const growth: Step = { ...shrink(1024, 4096), verdict: 'grow', rule: 'above-upper' };
    expect(slowed(growth, past([400]))).toBe(growth);
  });

  it('leaves the most of the last day, and room over it', () => {
    const values = [...steady(400, 20), 1400, ...steady(400, 260)];
    const { peakMib, roomMib, mib: keeps } = keptMemory(past(values));
    expect([peakMib, roomMib, keeps]).toEqual([1400, 800, 2432]);
    const left = slowed(shrink(2560, 800), past(values));
    expect(left).toMatchObject({ verdict: 'hold', because: { kind: 'kept', mib: 2432 } });
    expect(slowed(shrink(3072, 800), past(values))).toMatchObject({ after: 2432 });
  });

  it('leaves what an hour of the week usually needs, days later', () => {
    const week = [...steady(400, A_DAY), 3000, ...steady(400, 4 * A_DAY)];
    expect(keptMemory(past(week)).peakMib).toBe(3000);
  });

  it('leaves room for as large a rise as it has shown', () => {
    const risen = [...steady(1000, 12), ...steady(1900, 12), ...steady(100, A_DAY - 24)];
    expect(keptMemory(past(risen)).roomMib).toBeGreaterThan(800);
  });

  it('counts what is swapped out as used, unless it may stay there', () => {
    expect(keptMemory(past(steady(400, AN_HOUR), {}, 200))).toMatchObject({
      peakMib: 600,
      roomMib: 1200,
    });
    const { memory } = policy();
    const own = { memory: { ...memory, mayUseSwap: true } };
    const inSwap = { ...past(steady(400, AN_HOUR), own, 200), freeSwapMib: 300 };
    expect(keptMemory(inSwap)).toMatchObject({ peakMib: 400, roomMib: 500 });
  });

  it('takes quarters in mode adaptive, which has its own room, and stops at a maximum', () => {
    const model = shrink(2048, 640, 'learnt');
    expect(slowed(model, past(steady(400, AN_HOUR)))).toMatchObject({ after: 1536 });
    expect(slowed(shrink(832, 640, 'learnt'), past(steady(400, AN_HOUR)))).toMatchObject({
      after: 640,
    });
    expect(slowed(shrink(1200, 1024, 'above-maximum'), past(steady(400, AN_HOUR)))).toMatchObject({
      after: 1024,
    });
  });

  it('never leads below what three times the use of any steady container needs', () => {
    const usage = fc.integer({ min: 1, max: 20_000 });
    fc.assert(
      fc.property(usage, fc.integer({ min: 12, max: 400 }), (used, slots) => {
        for (let has = 65_536; ; ) {
          const step = slowed(shrink(has, 16), past(steady(used, slots)));
          if (step.verdict === 'hold') break;
          expect(step.after).toBeLessThan(has);
          expect(step.after).toBeGreaterThanOrEqual(Math.max(has * 0.75 - 16, 3 * used));
          has = step.after;
        }
      }),
      { numRuns: 50 },
    );
  });
});
