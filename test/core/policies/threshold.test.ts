import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { MemoryUsage } from '../../../src/core/observation.ts';
import {
  thresholdCores,
  thresholdMemory,
  type Verdict,
} from '../../../src/core/policies/threshold.ts';
import type { ContainerPolicy } from '../../../src/core/policy.ts';
import { cores, mib, ratio } from '../../../src/core/units.ts';
import { fc } from '../../fast-check.ts';
import { cpuUse, memoryUse, policy as ordinary } from '../builders.ts';

const HOST_MAX_MIB = 1_000_000;

function policy(factor = 1): ContainerPolicy {
  return ordinary({ stepFactor: factor });
}

const cpu = cpuUse;

const memory = (workingSet: number, extra: Partial<MemoryUsage> = {}): MemoryUsage =>
  memoryUse(workingSet, { limitMib: undefined, ...extra });

const becomes = (has: number, verdict: Verdict): number =>
  verdict.verdict === 'hold' ? has : verdict.after;

interface Row {
  readonly resource: string;
  readonly has: number;
  readonly used: number;
  readonly factor: number;
  readonly after: number;
}

function policyOf({ resource, factor }: Row): ContainerPolicy {
  const own = policy(factor);
  if (resource !== 'cpulimit') return own;
  return { ...own, cpu: { ...own.cpu, unit: 'cpulimit', minIncrement: cores(0.1) } };
}

/** The sample table in the policy's own comment: documentation that is checked. */
function sampleTable(): Row[] {
  const source = new URL('../../../src/core/policies/threshold.ts', import.meta.url);
  const rows: Row[] = [];
  for (const line of readFileSync(source, 'utf8').split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    const [, resource, has, used, factor, after] = cells;
    if (!['cores', 'cpulimit', 'memory'].includes(resource ?? '')) continue;
    const numbers = { has: Number(has), used: Number(used), factor: Number(factor) };
    rows.push({ resource: String(resource), ...numbers, after: Number(after) });
  }
  return rows;
}

describe('the sample results in the comment of the policy', () => {
  const rows = sampleTable();
  it('are at least fifteen', () => expect(rows.length).toBeGreaterThanOrEqual(15));
  it.each(rows)('$resource $has, $used in use, factor $factor: $after', (row) => {
    const verdict =
      row.resource !== 'memory'
        ? thresholdCores({ has: row.has }, cpu(row.used, row.has), policyOf(row))
        : thresholdMemory(row.has, HOST_MAX_MIB, memory(row.used), policy(row.factor));
    expect(becomes(row.has, verdict)).toBe(row.after);
  });
});

const arbitraryPolicy = fc
  .record({
    lower: fc.integer({ min: 0, max: 60 }),
    width: fc.integer({ min: 5, max: 40 }),
    minCores: fc.integer({ min: 1, max: 8 }),
    moreCores: fc.integer({ min: 0, max: 24 }),
    minIncrement: fc.integer({ min: 1, max: 4 }),
    moreIncrement: fc.integer({ min: 0, max: 8 }),
    minMib: fc.integer({ min: 16, max: 4096 }),
    moreMib: fc.integer({ min: 0, max: 65_536 }),
    leastUp: fc.integer({ min: 16, max: 4096 }),
    leastDown: fc.integer({ min: 16, max: 4096 }),
    raises: fc.boolean(),
    factor: fc.constantFrom(0.5, 1, 2),
  })
  .map((p): ContainerPolicy => {
    const band = { lower: ratio(p.lower / 100), upper: ratio((p.lower + p.width) / 100) };
    return {
      ...policy(),
      cpu: {
        unit: 'cores',
        band,
        minIncrement: cores(p.minIncrement),
        maxIncrement: cores(p.minIncrement + p.moreIncrement),
        min: cores(p.minCores),
        max: cores(p.minCores + p.moreCores),
        raises: p.raises,
      },
      memory: {
        band,
        mayUseSwap: false,
        raises: p.raises,
        minIncrementMib: mib(p.leastUp),
        minDecreaseMib: mib(p.leastDown),
        minMib: mib(p.minMib),
        maxMib: mib(p.minMib + p.moreMib),
      },
      stepFactor: p.factor,
      timing: policy().timing,
      priority: 50,
    };
  });

const RUNS = { numRuns: 3000 };

describe('cores, for any policy and usage', () => {
  const input = [
    arbitraryPolicy,
    fc.integer({ min: 1, max: 64 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  ] as const;

  it('end inside min..max, and never below the need', () => {
    fc.assert(
      fc.property(...input, (p, has, share) => {
        const used = has * share;
        const verdict = thresholdCores({ has }, cpu(used, has), p);
        if (verdict.verdict === 'hold') return;
        expect(Number.isInteger(verdict.after)).toBe(true);
        if (verdict.verdict === 'grow') expect(verdict.after).toBeLessThanOrEqual(p.cpu.max);
        else expect(verdict.after).toBeGreaterThanOrEqual(p.cpu.min);
        if (verdict.verdict === 'shrink') {
          expect(used / verdict.after).toBeLessThanOrEqual(p.cpu.band.upper + 1e-9);
        }
      }),
      RUNS,
    );
  });

  it('never land where the same usage asks for the opposite step', () => {
    fc.assert(
      fc.property(...input, (p, has, share) => {
        const used = has * share;
        const first = thresholdCores({ has }, cpu(used, has), p);
        if (first.verdict === 'hold') return;
        const next = thresholdCores({ has: first.after }, cpu(used, first.after), p);
        if (next.verdict !== 'hold') expect(next.verdict).toBe(first.verdict);
      }),
      RUNS,
    );
  });
});

describe('memory, for any policy and usage', () => {
  const input = [
    arbitraryPolicy,
    fc.integer({ min: 16, max: 65_536 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.integer({ min: 0, max: 1024 }),
  ] as const;
  const maxOf = (p: ContainerPolicy): number => p.memory.maxMib ?? 0;

  it('ends inside min..max, and never below what is in use plus headroom', () => {
    fc.assert(
      fc.property(...input, (p, has, share, swap) => {
        const used = has * share;
        const usage = memory(used, { swapMib: mib(swap) });
        const verdict = thresholdMemory(has, maxOf(p), usage, p);
        if (verdict.verdict === 'hold') return;
        if (verdict.verdict === 'grow') expect(verdict.after).toBeLessThanOrEqual(maxOf(p));
        if (verdict.verdict === 'shrink') {
          expect(verdict.after).toBeLessThan(has);
          expect(verdict.after).toBeGreaterThanOrEqual(p.memory.minMib);
          expect(verdict.after).toBeGreaterThanOrEqual((used + swap) * 1.1 - 1e-6);
          expect(verdict.after).toBeGreaterThanOrEqual(used + swap + 64 - 1e-6);
        }
      }),
      RUNS,
    );
  });

  it('never lands where the same usage asks for the opposite step', () => {
    fc.assert(
      fc.property(...input, (p, has, share, swap) => {
        const usage = memory(has * share, { swapMib: mib(swap) });
        const first = thresholdMemory(has, maxOf(p), usage, p);
        if (first.verdict === 'hold') return;
        const next = thresholdMemory(first.after, maxOf(p), usage, p);
        if (next.verdict !== 'hold') expect(next.verdict).toBe(first.verdict);
      }),
      RUNS,
    );
  });

  it('is not taken back when the limit was met or the OOM killer struck', () => {
    fc.assert(
      fc.property(...input, fc.integer({ min: 1, max: 99 }), (p, has, share, _swap, events) => {
        const struck = memory(has * share, { newOomKills: events });
        expect(thresholdMemory(has, Math.max(has, maxOf(p)), struck, p).verdict).not.toBe('shrink');
        const met = memory(has * share, { newLimitHits: events });
        expect(thresholdMemory(has, maxOf(p), met, p).verdict).not.toBe('shrink');
      }),
      RUNS,
    );
  });
});

describe('a minimum that nobody has set', () => {
  const plain = (): ContainerPolicy => {
    const { cpu: ofCpu, memory: ofMemory, ...rest } = policy();
    return { ...rest, cpu: { ...ofCpu, raises: false }, memory: { ...ofMemory, raises: false } };
  };

  it.each([64, 128, 256, 500])('raises no container of %i MB that gets along', (has) => {
    const verdict = thresholdMemory(has, HOST_MAX_MIB, memory(has / 2), plain());
    expect(verdict).toMatchObject({ verdict: 'hold', because: { kind: 'in-band' } });
    expect(thresholdMemory(has, HOST_MAX_MIB, memory(has / 2), policy())).toMatchObject({
      verdict: 'grow',
      after: 512,
      rule: 'below-minimum',
    });
  });

  it('takes nothing from one below it, and gives it what it needs', () => {
    expect(becomes(256, thresholdMemory(256, HOST_MAX_MIB, memory(10), plain()))).toBe(256);
    const full = thresholdMemory(256, HOST_MAX_MIB, memory(240), plain());
    expect(full).toMatchObject({ verdict: 'grow', after: 768, rule: 'above-upper' });
    const killed = thresholdMemory(128, HOST_MAX_MIB, memory(90, { newOomKills: 1 }), plain());
    expect(killed).toMatchObject({ verdict: 'grow', after: 512, rule: 'oom-kill' });
  });

  it('leaves a cpulimit of half a core', () => {
    const tenths = { ...plain(), cpu: { ...plain().cpu, unit: 'cpulimit' as const } };
    expect(becomes(0.5, thresholdCores({ has: 0.5 }, cpu(0.2, 0.5), tenths))).toBe(0.5);
  });
});

describe('defects of other tools', () => {
  it('1100 MB with 209 in use does not go to 76', () => {
    expect(becomes(1100, thresholdMemory(1100, HOST_MAX_MIB, memory(209), policy(2)))).toBe(512);
  });

  it('95 % of 16 GB does not become 40 GB', () => {
    const verdict = thresholdMemory(16_384, HOST_MAX_MIB, memory(15_565), policy());
    expect(becomes(16_384, verdict)).toBe(20_480);
  });

  it('a step that would pass the maximum goes to the maximum', () => {
    expect(becomes(7, thresholdCores({ has: 7 }, cpu(7, 7), policy()))).toBe(8);
    expect(becomes(3900, thresholdMemory(3900, 4000, memory(3800), policy()))).toBe(4000);
  });

  it('an allocation above the maximum is lowered to it, but not below the need', () => {
    expect(becomes(16, thresholdCores({ has: 16 }, cpu(4, 16), policy()))).toBe(8);
    expect(becomes(16, thresholdCores({ has: 16 }, cpu(9, 16), policy()))).toBe(12);
    expect(becomes(8192, thresholdMemory(8192, 4096, memory(3900), policy()))).toBe(4880);
  });

  it('more cores are not given where a cpulimit binds', () => {
    const verdict = thresholdCores({ has: 4, cpuLimit: 1.5 }, cpu(1.49, 1.5), policy());
    expect(verdict).toMatchObject({ verdict: 'hold', because: { kind: 'cpulimit' } });
  });

  it('an OOM kill grows the memory, whatever the usage looks like now', () => {
    const verdict = thresholdMemory(1024, 4096, memory(50, { newOomKills: 1 }), policy());
    expect(verdict).toMatchObject({ verdict: 'grow', after: 2048, rule: 'oom-kill' });
  });
});

it('a minimum beyond what can be had at all is no reason to ask for it', () => {
  const asked = ordinary({ minCores: 6 });
  const at = (has: number) =>
    becomes(has, thresholdCores({ has, most: 4 }, cpuUse(has / 2, has), asked));
  expect([at(2), at(4)]).toEqual([4, 4]);
});
