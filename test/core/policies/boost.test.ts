import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Change, Hold, Rule } from '../../../src/core/decision.ts';
import type { Boost } from '../../../src/core/guest-record.ts';
import { plan } from '../../../src/core/plan.ts';
import { boosted, isForGood, whileBoosted } from '../../../src/core/policies/boost.ts';
import type { Verdict } from '../../../src/core/policies/threshold.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { fc } from '../../fast-check.ts';
import { budgetOf, measured, policy, vmid } from '../builders.ts';

const POLICY = policy().boost;
const NOW_MS = milliseconds(1_000_000);
const ENOUGH = POLICY.consecutiveSamples;

type Numbers = Parameters<typeof measured>[0];

const held = (numbers: Numbers = {}, because: Hold['because'] = { kind: 'in-band' }): Verdict => ({
  verdict: 'hold',
  because,
  measured: measured(numbers),
});

const grows = (rule: Rule, numbers: Numbers = {}): Verdict => ({
  verdict: 'grow',
  after: 99,
  rule,
  limits: [],
  measured: measured(numbers),
});

const boost = (own: Partial<Boost> = {}): Boost => ({
  before: 2,
  boosted: 3,
  endMs: NOW_MS,
  ...own,
});

/** As the plan would grant it of a host with so many cores. */
function granted(verdict: Verdict, ceiling: number): number | undefined {
  if (verdict.verdict === 'hold') return undefined;
  const about = { vmid: vmid(101), name: 'guest-101', resource: 'cores', priority: 50 } as const;
  const change: Change = { ...about, ...verdict };
  return plan([change], budgetOf(ceiling, 0)).changes[0]?.cores?.after;
}

interface Row {
  readonly has: number;
  readonly max: number;
  readonly first: number;
  readonly second: number | undefined;
}

/** The table in the comment: documentation that is checked. */
function sampleTable(): Row[] {
  const source = new URL('../../../src/core/policies/boost.ts', import.meta.url);
  const rows: Row[] = [];
  for (const line of readFileSync(source, 'utf8').split('\n')) {
    const [, has, factor, , max, becomes] = line.split('|').map((cell) => cell.trim());
    if (factor !== '1.5') continue;
    const [first, second] = (becomes ?? '').split(/\D+/).filter((word) => word !== '');
    const or = becomes?.includes('else') ? Number(second) : undefined;
    rows.push({ has: Number(has), max: Number(max), first: Number(first), second: or });
  }
  return rows;
}

describe('the sample results in the comment of the policy', () => {
  const rows = sampleTable();
  it('are five', () => expect(rows.length).toBe(5));
  it.each(rows)('$has of at most $max: $first, else $second', ({ has, max, first, second }) => {
    const saturation = { samples: ENOUGH, quantum: 1 };
    const verdict = boosted(held({ before: has, used: has, max }), saturation, POLICY);
    if (first === has) {
      expect(verdict).toMatchObject({ verdict: 'hold', because: { kind: 'at-maximum' } });
      return;
    }
    expect(verdict).toMatchObject({ verdict: 'grow', rule: 'saturated', boostMs: 120_000 });
    expect(granted(verdict, 64)).toBe(first);
    if (second !== undefined) expect(granted(verdict, first - 1)).toBe(second);
    expect(granted(verdict, has)).toBeUndefined();
  });
});

describe('a boost', () => {
  const inTenths = { samples: ENOUGH, quantum: 0.1 };

  it('takes so many saturated samples in a row, and says how many there were', () => {
    const few = boosted(held(), { samples: ENOUGH - 1, quantum: 1 }, POLICY);
    expect(few).toMatchObject({ because: { kind: 'not-saturated', samples: 2, of: 3 } });
    const enough = boosted(held(), { samples: ENOUGH, quantum: 1 }, POLICY);
    expect(enough).toMatchObject({ verdict: 'grow', after: 3 });
  });

  it('is not what usage above the threshold asks for, nor is that called in the band', () => {
    const none = boosted(grows('above-upper'), { samples: 0, quantum: 1 }, POLICY);
    expect(none).toMatchObject({ because: { kind: 'not-saturated', samples: 0 } });
  });

  it('takes no samples where memory met its limit and was held back', () => {
    const hit = boosted(grows('limit-hit'), { samples: 0, quantum: 1 }, POLICY);
    expect(hit).toMatchObject({ verdict: 'grow', rule: 'saturated', after: 3 });
  });

  it('of cores is none where the cpulimit binds before them', () => {
    const bound = held({}, { kind: 'cpulimit', cpuLimit: 1.5 });
    expect(boosted(bound, { samples: 9, quantum: 1 }, POLICY)).toBe(bound);
  });

  it('of a cpulimit goes in tenths, rounded up', () => {
    const to = (before: number) => boosted(held({ before, used: before }), inTenths, POLICY);
    expect(to(0.5)).toMatchObject({ after: 0.8, fallback: 0.7, limits: [] });
    expect(to(2)).toMatchObject({ after: 3, fallback: 2.5, limits: [] });
    expect(to(0.1)).toMatchObject({ after: 0.2, limits: [] });
  });

  it('says that the maximum bounds it only where it does', () => {
    const tenth = { ...POLICY, factor: 1.1 };
    const free = boosted(held({ before: 3, used: 3 }), inTenths, tenth);
    expect(free).toMatchObject({ after: 3.3, limits: [] });
    const bound = boosted(held({ before: 3, used: 3, max: 3.2 }), inTenths, tenth);
    expect(bound).toMatchObject({ after: 3.2, limits: ['maximum'] });
  });

  it('is more than it had, never above the maximum, and its second choice is less', () => {
    const numbers = fc.record({
      before: fc.integer({ min: 1, max: 640 }),
      max: fc.integer({ min: 1, max: 640 }),
      first: fc.double({ min: 1.01, max: 8, noNaN: true }),
      second: fc.double({ min: 1.01, max: 8, noNaN: true }),
      quantum: fc.constantFrom(0.1, 1, 16),
    });
    fc.assert(
      fc.property(numbers, ({ before, max, first, second, quantum }) => {
        const [has, most] = [before * quantum, max * quantum];
        const factors = { ...POLICY, factor: first, fallbackFactor: second };
        const now = held({ before: has, used: has, max: most });
        const verdict = boosted(now, { samples: ENOUGH, quantum }, factors);
        if (verdict.verdict === 'hold') {
          expect(has).toBeGreaterThanOrEqual(most);
          return;
        }
        expect(verdict.after).toBeGreaterThan(has);
        expect(verdict.after).toBeLessThanOrEqual(most);
        if (verdict.fallback === undefined) return;
        expect(verdict.fallback).toBeGreaterThan(has);
        expect(verdict.fallback).toBeLessThan(verdict.after);
      }),
    );
  });
});

describe('what is for good, in this mode too', () => {
  it.each([
    ['oom-kill', true],
    ['below-minimum', true],
    ['above-maximum', true],
    ['above-upper', false],
    ['below-lower', false],
    ['limit-hit', false],
  ] as const)('%s: %s', (rule, expected) => expect(isForGood(grows(rule))).toBe(expected));
});

describe('while it is on', () => {
  it('nothing changes until its time is over', () => {
    const lasting = boost({ endMs: milliseconds(NOW_MS + 1) });
    expect(whileBoosted(held({ before: 3 }), lasting, NOW_MS)).toMatchObject({
      verdict: 'hold',
      because: { kind: 'boosted', until: 2, leftMs: 1 },
    });
  });

  it('at its end the value before comes back, however late that is seen', () => {
    for (const lateMs of [0, 1, 10 * 3_600_000]) {
      const nowMs = milliseconds(NOW_MS + lateMs);
      expect(whileBoosted(held({ before: 3 }), boost(), nowMs)).toMatchObject({
        verdict: 'shrink',
        after: 2,
        rule: 'boost-end',
      });
    }
  });

  it('it steps aside where the value is no longer the boosted one', () => {
    for (const before of [2, 4, 6]) {
      expect(whileBoosted(held({ before }), boost(), NOW_MS)).toBeUndefined();
    }
  });

  it.each(['oom-kill', 'limit-hit'] as const)('%s is answered for good', (rule) => {
    const struck = grows(rule, { before: 3 });
    expect(whileBoosted(struck, boost(), NOW_MS)).toBe(struck);
  });

  it('a wish that only the usage has does not prolong it', () => {
    const above = whileBoosted(grows('above-upper', { before: 3 }), boost(), NOW_MS);
    expect(above).toMatchObject({ rule: 'boost-end', after: 2 });
  });

  it('it goes back to no less than a minimum that was raised meanwhile', () => {
    const six = boost({ before: 4, boosted: 6 });
    const raised = whileBoosted(held({ before: 6, min: 5 }), six, NOW_MS);
    expect(raised).toMatchObject({ after: 5, rule: 'boost-end' });
    expect(whileBoosted(held({ before: 6, min: 6 }), six, NOW_MS)).toBeUndefined();
  });

  it('it does not ratchet: boost, end, and boost again, from the same norm', () => {
    let has = 2;
    const seen: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const up = boosted(held({ before: has, used: has }), { samples: 3, quantum: 1 }, POLICY);
      if (up.verdict === 'hold') throw new Error('it is not boosted');
      const on: Boost = { before: has, boosted: up.after, endMs: NOW_MS };
      const down = whileBoosted(grows('above-upper', { before: up.after }), on, NOW_MS);
      if (down?.verdict !== 'shrink') throw new Error('it does not end');
      seen.push(up.after, down.after);
      has = down.after;
    }
    expect(new Set(seen)).toEqual(new Set([3, 2]));
  });
});
