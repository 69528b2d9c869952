import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { coresNeed, memoryNeed } from '../../src/core/guards.ts';
import { thresholdCores, thresholdMemory } from '../../src/core/policies/threshold.ts';
import { surplus } from '../../src/core/surplus.ts';
import { mib } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { cpuUse, measured, memoryUse, policy } from './builders.ts';

interface Row {
  readonly resource: string;
  readonly has: number;
  readonly used: number;
  readonly aim: number;
  readonly becomes: number;
}

function sampleTable(): Row[] {
  const source = new URL('../../src/core/surplus.ts', import.meta.url);
  const rows: Row[] = [];
  for (const line of readFileSync(source, 'utf8').split('\n')) {
    const [, resource, has, used, aim, becomes] = line.split('|').map((cell) => cell.trim());
    if (resource !== 'cores' && resource !== 'memory') continue;
    const after = Number((becomes ?? '').split(':')[0]);
    const share = Number.parseInt(aim ?? '', 10) / 100;
    rows.push({ resource, has: Number(has), used: Number(used), aim: share, becomes: after });
  }
  return rows;
}

describe('the sample results in the comment', () => {
  const rows = sampleTable();
  it('are three', () => expect(rows.length).toBe(3));
  it.each(rows)(
    '$resource $has, $used in use: $becomes',
    ({ resource, has, used, aim, becomes }) => {
      const ofCores = resource === 'cores';
      const need = ofCores ? coresNeed(used, 0.8, 1) : memoryNeed(used);
      const worth = { quantum: ofCores ? 1 : 16, least: ofCores ? 1 : 64, wanted: used, aim };
      const numbers = measured({ before: has, used, need, min: ofCores ? 1 : 512 });
      expect(surplus(numbers, 'off-peak', worth)).toMatchObject({
        verdict: 'shrink',
        after: becomes,
        rule: 'off-peak',
      });
    },
  );
});

describe('what is beyond the need', () => {
  const cores = { quantum: 1, least: 1, wanted: 1, aim: 0.8 };

  it('is bounded by the minimum, by the need and by what is wanted', () => {
    const of = (own: Parameters<typeof measured>[0], wanted = 1) =>
      surplus(measured({ before: 8, used: 1, need: 1, ...own }), 'off-peak', { ...cores, wanted });
    expect(of({ min: 3 })).toMatchObject({ after: 3 });
    expect(of({ need: 4.2 })).toMatchObject({ after: 5 });
    expect(of({}, 4)).toMatchObject({ after: 5 });
  });

  it('is none where it is less than is worth a change', () => {
    const memory = { quantum: 16, least: 64, wanted: 700, aim: 0.8 };
    const of = (before: number) =>
      surplus(measured({ before, used: 700, need: 770, min: 512 }), 'host-emergency', memory);
    expect(of(880 + 63)).toBeUndefined();
    expect(of(880 + 64)).toMatchObject({ after: 880, rule: 'host-emergency' });
  });

  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const bands = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 5, max: 39 }));

  it('of CPU leads to where the threshold policy holds at the same usage', () => {
    const has = fc.integer({ min: 1, max: 640 });
    const quanta = fc.constantFrom(1, 0.1);
    fc.assert(
      fc.property(has, quanta, share, bands, (count, quantum, part, [low, width]) => {
        const own = policy({ lower: low / 100, upper: (low + width) / 100, maxCores: 640 });
        const unit = quantum === 1 ? 'cores' : 'cpulimit';
        const its = { ...own, cpu: { ...own.cpu, unit } } as const;
        const before = Math.max(1, Math.round(count * quantum * 10) / 10);
        const used = before * part;
        const now = thresholdCores({ has: before }, cpuUse(used, before), its);
        if (now.verdict !== 'hold') return;
        const step = surplus(now.measured, 'off-peak', {
          quantum,
          least: quantum,
          wanted: used,
          aim: its.cpu.band.upper,
        });
        if (step === undefined) return;
        expect(step.after).toBeLessThan(before);
        const next = thresholdCores({ has: step.after }, cpuUse(used, step.after), its);
        expect(next.verdict).toBe('hold');
      }),
      { numRuns: 1000 },
    );
  });

  it('of memory too', () => {
    const has = fc.integer({ min: 32, max: 4096 }).map((count) => count * 16);
    fc.assert(
      fc.property(has, share, bands, fc.nat(2048), (before, part, [low, width], swap) => {
        const its = policy({ lower: low / 100, upper: (low + width) / 100 });
        const used = before * part;
        const usage = memoryUse(used, { swapMib: mib(swap) });
        const now = thresholdMemory(before, 1_000_000, usage, its);
        if (now.verdict !== 'hold') return;
        const worth = { quantum: 16, least: 64, wanted: used, aim: its.memory.band.upper };
        const step = surplus(now.measured, 'off-peak', worth);
        if (step === undefined) return;
        expect(step.after).toBeLessThan(before);
        expect(step.after).toBeGreaterThanOrEqual(now.measured.need);
        expect(thresholdMemory(step.after, 1_000_000, usage, its).verdict).not.toBe('grow');
      }),
      { numRuns: 1000 },
    );
  });
});
