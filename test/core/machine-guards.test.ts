import { describe, expect, it } from 'vitest';
import { explainHold } from '../../src/core/explain.ts';
import {
  asSettable,
  asUnplugged,
  mostMemoryMib,
  partInModules,
  whyBalloonMoves,
  whyFixed,
  whyNoMoreCpus,
} from '../../src/core/machine-guards.ts';
import type { Verdict } from '../../src/core/policies/threshold.ts';
import { pluggableMib, type Reach } from '../../src/core/reach.ts';
import { mib } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { guest, hold, measured, memoryUse, policy } from './builders.ts';

const live = (own: Partial<Extract<Reach, { kind: 'live' }>>): Reach => ({
  kind: 'live',
  min: 16,
  max: 8192,
  ...own,
});

const OBSTACLE = { why: 'it has no balloon', remedy: 'give it one' };

const machine = (memory: Reach) =>
  guest(200, {
    kind: 'qemu',
    reaches: { cores: live({}), cpuLimit: live({}), memoryMib: memory },
  });

const step = (verdict: 'grow' | 'shrink', before: number, after: number): Verdict => ({
  verdict,
  after,
  rule: verdict === 'grow' ? 'above-upper' : 'below-lower',
  limits: [],
  measured: measured({ before, used: before / 2 }),
});

describe('a step of memory', () => {
  it('is inside of what the lever reaches, and never the other way', () => {
    const modules = fc.integer({ min: 0, max: 60 }).map((count) => 1024 + count * 512);
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.boolean(),
        modules,
        fc.integer({ min: 16, max: 40_000 }),
        fc.integer({ min: 16, max: 40_000 }),
        fc.integer({ min: 16, max: 60_000 }),
        (plugs, sinks, assigned, before, after, policyMax) => {
          if (before === after || before > assigned) return;
          const pluggedFrom = plugs ? assigned : undefined;
          const max = plugs ? 4_178_944 : assigned;
          const min = sinks ? 16 : assigned;
          const one = machine(live({ max, min, pluggedFrom, ...(!sinks && { oneWay: OBSTACLE }) }));
          const maxMib = mostMemoryMib(one, policyMax);
          const wanted = step(after > before ? 'grow' : 'shrink', before, after);
          const got = asSettable(one, wanted, maxMib);
          if (got.verdict === 'hold') return;
          expect(got.verdict).toBe(wanted.verdict);
          expect(Math.sign(got.after - before)).toBe(Math.sign(after - before));
          if (got.verdict === 'grow') expect(got.after).toBeLessThanOrEqual(maxMib);
          else expect(sinks && got.after >= min).toBe(true);
          if (got.after > assigned) expect(pluggableMib(got.after)).toBe(got.after);
        },
      ),
    );
  });

  it('of which the host grants a part is still one that modules make up', () => {
    fc.assert(
      fc.property(fc.integer({ min: 16, max: 60_000 }), (granted) => {
        const part = partInModules(granted, 2048);
        expect(part).toBeLessThanOrEqual(granted);
        if (part > 2048) expect(pluggableMib(part)).toBe(part);
        expect(partInModules(granted, undefined)).toBe(granted);
      }),
    );
  });
});

it('a lever that is fixed is said, with the remedy', () => {
  const fixed: Reach = { kind: 'fixed', ...OBSTACLE };
  expect(whyFixed(machine(fixed), 'memoryMib')).toMatchObject({ kind: 'fixed', why: OBSTACLE.why });
  expect(whyFixed(machine(live({})), 'memoryMib')).toBeUndefined();
  expect(whyFixed(guest(101), 'memoryMib')).toBeUndefined();
});

it('all of its CPUs are no maximum of its policy, up to what its host has', () => {
  const one = guest(200, {
    kind: 'qemu',
    cores: 4,
    reaches: { cores: live({ max: 4 }), cpuLimit: live({}), memoryMib: live({}) },
  });
  const full: Verdict = {
    verdict: 'hold',
    because: { kind: 'at-maximum' },
    measured: measured({}),
  };
  const limits = policy({ maxCores: 8 });
  expect(whyNoMoreCpus(one, full, limits, 4)).toBe(full);
  const { verdict, ...rest } = whyNoMoreCpus(one, full, limits, 6);
  expect(verdict).toBe('hold');
  expect(JSON.stringify(rest)).toContain('`qm set 200 --sockets 1 --cores 6 --vcpus 4` for more');
});

it('memory that only grows is not taken back, and what would change that is said', () => {
  const one = machine(live({ min: 2048, oneWay: OBSTACLE }));
  const got = asSettable(one, step('shrink', 4096, 3072), 8192);
  if (got.verdict !== 'hold') throw new Error('taken');
  expect(got.because).toEqual({ kind: 'at-minimum', oneWay: OBSTACLE });
  expect(explainHold({ ...hold(200, got.because), resource: 'memory' })).toContain(
    'its memory only grows while it runs: it has no balloon. Remedy: give it one',
  );
});

it('a balloon that has not come to its target moves, within some pages', () => {
  const target = { ...machine(live({})), memoryMib: mib(2048) };
  const at = (limit: number) =>
    whyBalloonMoves(target, memoryUse(500, { limitMib: mib(limit) }))?.kind;
  expect(at(2048)).toBeUndefined();
  expect(at(2052)).toBeUndefined();
  expect(at(2100)).toBe('balloon-moves');
  expect(whyBalloonMoves(guest(101), memoryUse(500, { limitMib: mib(1) }))).toBeUndefined();
});

describe('a module', () => {
  const one = machine(live({ min: 2048, oneWay: OBSTACLE, unpluggedTo: 1536 }));
  const less = (after: number): Verdict => step('shrink', 2048, after);

  it('is taken back where that is asked for, and only as a whole', () => {
    const usage = memoryUse(600);
    expect(asSettable(one, less(1536), 8192)).toMatchObject({ verdict: 'hold' });
    expect(asSettable(one, less(1536), 8192, true)).toMatchObject({ verdict: 'shrink' });
    for (const after of [1024, 1536]) {
      expect(asUnplugged(less(after), usage, one)).toMatchObject({
        verdict: 'shrink',
        after: 1536,
        unplugs: true,
        limits: ['module'],
      });
    }
    expect(asUnplugged(less(1552), usage, one)).toMatchObject({
      because: { kind: 'too-little-to-take', left: 496, least: 512 },
    });
  });

  it('is not asked for where its guest has no room for what lies on it', () => {
    const usage = memoryUse(1500);
    expect(asUnplugged(less(1024), usage, one)).toMatchObject({
      because: { kind: 'cannot-prove' },
    });
  });

  it('is nothing that a machine with a balloon gives back', () => {
    const usage = memoryUse(600);
    expect(asUnplugged(less(1024), usage, machine(live({})))).toBeUndefined();
    expect(asUnplugged(step('grow', 2048, 2560), usage, one)).toBeUndefined();
  });
});
