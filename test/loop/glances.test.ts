import { describe, expect, it } from 'vitest';
import { newLoopState } from '../../src/core/loop-state.ts';
import type { ContainerPolicy, Management } from '../../src/core/policy.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { sample } from '../../src/loop/sample.ts';
import type { SetRequest } from '../../src/node/port.ts';
import { hostPolicy, policy } from '../core/builders.ts';
import { fc } from '../fast-check.ts';
import { breathe } from '../patience.ts';
import { FakeNode } from './fake-node.ts';

/**
 * With glances nothing is decided that samples alone would not have decided: nothing is taken that
 * they would have left, and what grows does so at most one look later.
 */

/** Ten seconds of a container. */
interface Tick {
  /** Of what it may use. */
  readonly share: number;
  readonly anonMib: number;
  readonly readMib: number;
  readonly dropsCache: boolean;
  readonly frozen: boolean;
}

interface Story {
  readonly cores: number;
  readonly memoryMib: number;
  readonly scaling: ContainerPolicy['scaling'];
  readonly periodsDown: number;
  readonly ticks: readonly Tick[];
}

const TICKS = 100;
const CYCLE_TICKS = 30;
const TICK_MS = 10_000;

const seldom = <T>(weight: number, usual: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });

/** Stretches of the same use, as calm containers have them, with leaps between and in them. */
const stretch = fc
  .record({
    ticks: fc.integer({ min: 1, max: 25 }),
    share: fc.oneof(fc.constantFrom(0.01, 0.1, 0.3), fc.double({ min: 0, max: 1, noNaN: true })),
    anonMib: fc.integer({ min: 50, max: 1100 }),
    leap: seldom(2, 0, fc.double({ min: 0.2, max: 1, noNaN: true })),
    leapAt: fc.integer({ min: 0, max: 24 }),
    risesMib: seldom<number>(3, 0, fc.integer({ min: -40, max: 60 })),
    readMib: seldom<number>(3, 0, fc.integer({ min: 1, max: 60 })),
    drops: fc.integer({ min: 0, max: 60 }),
    freezes: fc.integer({ min: 0, max: 80 }),
  })
  .map(({ ticks, ...own }): readonly Tick[] =>
    Array.from({ length: ticks }, (_, at) => ({
      share: Math.min(1, own.share + (at === own.leapAt ? own.leap : 0)),
      anonMib: Math.max(20, own.anonMib + at * own.risesMib),
      // Equal and opposite changes of what is allocated and of what is read stay unseen.
      readMib: own.risesMib === 0 ? own.readMib : 0,
      dropsCache: at === own.drops,
      frozen: at === own.freezes,
    })),
  );

const story: fc.Arbitrary<Story> = fc.record({
  cores: fc.integer({ min: 1, max: 6 }),
  memoryMib: fc.constantFrom(1024, 2048, 4096),
  scaling: fc.constantFrom('threshold' as const, 'boost' as const),
  periodsDown: fc.integer({ min: 1, max: 2 }),
  ticks: fc.array(stretch, { minLength: 8, maxLength: 20 }).map((all) => all.flat()),
});

/** What was set, by ticks. */
async function live(own: Story, glances: boolean): Promise<readonly (readonly SetRequest[])[]> {
  const node = new FakeNode();
  node.glances = glances;
  const one = node.add(101, { cores: own.cores, memoryMib: own.memoryMib as never });
  const rules = policy({ minCores: 1, maxCores: 12, minMib: 256, maxMib: 8192 });
  const managed: Management = {
    kind: 'managed',
    policy: {
      ...rules,
      scaling: own.scaling,
      timing: { ...rules.timing, periodsDown: own.periodsDown },
    },
    mode: 'act',
    because: 'DEFAULT',
  };
  const settings = { manage: () => managed, hostPolicy, atOnce: 1, dryRun: false };
  const state = newLoopState();
  const stop = new AbortController().signal;
  let cacheMib = 100;
  const sets: SetRequest[][] = [];
  for (let at = 0; at < Math.min(TICKS, own.ticks.length); at += 1) {
    const tick = own.ticks[at] as Tick;
    const { limitMib = own.memoryMib } = one;
    // What is allocated and what is read do not change in one moment but for want of room.
    const anon = Math.min(tick.anonMib, limitMib - 8);
    cacheMib = tick.dropsCache ? 0 : cacheMib + tick.readMib;
    const meets = anon + cacheMib > limitMib;
    if (meets) cacheMib = limitMib - anon;
    const { limitHits = 0 } = one.memory;
    one.memory = {
      anon,
      current: anon + cacheMib,
      inactive: cacheMib,
      limitHits: limitHits + (meets ? 1 : 0),
    };
    one.load = tick.frozen ? 0 : tick.share * Math.min(one.cpuset ?? 1, one.config.cores ?? 1);
    one.life = { frozen: tick.frozen };
    node.pass(TICK_MS);
    node.rebalance();
    const before = node.sets.length;
    if (at % CYCLE_TICKS === 0) await runCycle(node.world, settings, state, stop);
    else {
      const { urgent } = sample(node.world, state, { urgentSamples: 2, manage: () => managed });
      if (urgent.size > 0) await runCycle(node.world, { ...settings, urgent }, state, stop);
    }
    // A proof has taken of the cache.
    cacheMib = one.memory.inactive ?? 0;
    sets.push(node.sets.slice(before).map((set) => ({ ...set, digest: '' })));
  }
  return sets;
}

const lastValue = (sets: readonly SetRequest[] | undefined, key: 'cores' | 'memoryMib'): number =>
  sets?.reduce((value, set) => set[key] ?? value, Number.NaN) ?? Number.NaN;

describe('glances instead of samples', () => {
  it('take nothing that samples would have left, and are at most one look late', async () => {
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(story, async (own) => {
        await breathe();
        const [by, without] = [await live(own, true), await live(own, false)];
        changes += without.flat().length;
        const first = by.findIndex(
          (sets, at) => JSON.stringify(sets) !== JSON.stringify(without[at]),
        );
        if (first < 0) return;
        const has = { cores: own.cores, memoryMib: own.memoryMib };
        for (const set of by.slice(0, first).flat()) {
          if (set.cores != null) has.cores = set.cores;
          if (set.memoryMib !== undefined) has.memoryMib = set.memoryMib;
        }
        for (const key of ['cores', 'memoryMib'] as const) {
          const now = lastValue(by[first], key);
          const sampled = lastValue(without[first], key);
          if (now < has[key]) expect(now).toBeGreaterThanOrEqual(sampled);
          if (!(sampled > has[key])) continue;
          const late = lastValue(by.slice(first, first + 2).flat(), key);
          // How fast memory rises is told a little less exactly.
          expect(late).toBeGreaterThanOrEqual(sampled * (key === 'memoryMib' ? 0.95 : 1));
        }
      }),
      { numRuns: 400 },
    );
    expect(changes).toBeGreaterThan(100);
  });
});
