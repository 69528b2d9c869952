import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type { Management } from '../../src/core/policy.ts';
import { mib, milliseconds, ratio } from '../../src/core/units.ts';
import { observe } from '../../src/loop/observe.ts';
import { sample } from '../../src/loop/sample.ts';
import { broken, everyone, policy, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const MANAGED: Management = {
  kind: 'managed',
  policy: policy(),
  mode: 'act',
  because: 'DEFAULT',
};

function started(management: Management = MANAGED, own = {}, urgentSamples = 2) {
  const node = new FakeNode();
  const one = node.add(101, own);
  const state = newLoopState();
  state.cycle = 1;
  observe(node.world, state, everyone());
  const look = (afterMs = 10_000) => {
    node.pass(afterMs);
    return sample(node.world, state, { urgentSamples, manage: () => management });
  };
  /** In the middle between two samples. */
  const between = () => {
    node.pass(5000);
    const settings = { urgentSamples, manage: () => management, between: true };
    return sample(node.world, state, settings);
  };
  /** Of the last whole sample, before `node.nowMs`. */
  const sampledAgoMs = () => {
    const atMs = state.guests.get(vmid(101))?.life.interval?.last.atMs;
    return atMs === undefined ? undefined : node.nowMs - atMs;
  };
  return { node, one, state, look, between, sampledAgoMs };
}

const urgentIn = ({ urgent }: { urgent: ReadonlySet<number> }) => [...urgent];

describe('between two cycles', () => {
  it('a calm container is only looked at', () => {
    const { look, node } = started();
    for (let times = 0; times < 5; times += 1) {
      expect(look()).toEqual({ urgent: new Set(), suspicious: false });
    }
    expect(node.sets).toEqual([]);
    expect(node.lines).toEqual([]);
  });

  it('one that is saturated twice in a row is urgent, and once is suspicious', () => {
    const { look, one } = started();
    one.load = 2;
    expect(look()).toMatchObject({ suspicious: true });
    expect(urgentIn(look(2500))).toEqual([101]);
  });

  it('while changes are under way passes over the container that is in the middle of one', () => {
    const { node, state, one } = started();
    node.add(102, { cores: 2 }).load = 2;
    one.load = 2;
    observe(node.world, state, everyone());
    recordOf(state, vmid(101)).intended = { cores: 4, cpuLimit: null, memoryMib: mib(1024) };
    const look = () => {
      node.pass(10_000);
      const settings = { urgentSamples: 2, manage: () => MANAGED, meanwhile: true };
      return sample(node.world, state, settings);
    };
    const before = state.guests.get(vmid(101))?.life.interval;
    look();
    expect(urgentIn(look())).toEqual([102]);
    // It is no gap: the next sample goes on from the last one.
    expect(state.guests.get(vmid(101))?.life.interval).toBe(before);
  });

  it.each([
    ['ignored', { kind: 'ignored', because: 'its tag' }, {}],
    ['only observed', { ...MANAGED, mode: 'observe' }, {}],
    ['locked', MANAGED, { lock: 'backup' }],
    ['a template', MANAGED, { template: true }],
  ] satisfies (readonly [string, Management, object])[])(
    'one that is %s is not',
    (_what, m, own) => {
      const { look, one } = started(m, own);
      one.load = 2;
      for (let times = 0; times < 4; times += 1) expect(urgentIn(look())).toEqual([]);
    },
  );

  it('a boost that is over is urgent, so that it ends when it is due', () => {
    const { look, state, node } = started();
    const endMs = milliseconds(node.nowMs + 20_000);
    recordOf(state, vmid(101)).cores.boost = { before: 1, boosted: 2, endMs };
    expect(urgentIn(look())).toEqual([]);
    expect(urgentIn(look())).toEqual([101]);
    const interval = state.guests.get(vmid(101))?.life.interval;
    if (interval === undefined) throw new Error('it is looked at');
    recordOf(state, vmid(101)).life.interval = { ...interval, settled: true };
    expect(urgentIn(look())).toEqual([]);
  });

  it('in mode boost its own share and number of samples count', () => {
    const own = policy();
    const boost = { ...own.boost, saturation: ratio(0.8), consecutiveSamples: 3 };
    const inBoost: Management = { ...MANAGED, policy: { ...own, scaling: 'boost', boost } };
    const { look, one } = started(inBoost);
    one.load = 1.7;
    expect([urgentIn(look()), urgentIn(look()), urgentIn(look())]).toEqual([[], [], [101]]);
  });

  it('a stream of file cache at the limit is no want of memory; what is missed there is', () => {
    const { look, one } = started();
    let limitHits = 0;
    const stream = (): void => {
      limitHits += 50;
      one.memory = { ...one.memory, current: 1020, inactive: 620, limitHits };
    };
    stream();
    expect(urgentIn(look())).toEqual([]);
    stream();
    one.memoryWaitedUs = 5_000_000;
    expect(urgentIn(look())).toEqual([101]);
  });

  it('a gap in the samples begins the series anew', () => {
    const { look, one } = started();
    one.load = 2;
    look();
    one.sampleMissing = broken();
    look();
    one.sampleMissing = undefined;
    expect(urgentIn(look())).toEqual([]);
    expect(urgentIn(look())).toEqual([]);
    expect(urgentIn(look())).toEqual([101]);
  });

  it('what is seen counts in the next decision: the peaks, and the average', () => {
    const { look, one, node, state } = started();
    one.load = 1.8;
    look();
    one.load = 0.2;
    look();
    node.pass(10_000);
    observe(node.world, state as LoopState, everyone());
    const [seen] = state.guests.get(vmid(101))?.life.seen.cores?.slice(-1) ?? [];
    expect(seen?.peak).toBeCloseTo(1.8);
    expect(seen?.used).toBeCloseTo((1.8 + 0.2 + 0.2) / 3);
  });
});

describe('a glance instead of a sample', () => {
  it('is enough for a minute where nothing happens', () => {
    const { look, sampledAgoMs } = started();
    const ago = Array.from({ length: 7 }, () => {
      look();
      return sampledAgoMs();
    });
    expect(ago).toEqual([10_000, 20_000, 30_000, 40_000, 50_000, 0, 10_000]);
  });

  it.each<readonly [string, (one: ReturnType<typeof started>['one']) => void]>([
    ['it leaps', (one) => (one.load = 1.6)],
    ['it is saturated', (one) => (one.load = 2)],
    ['its memory grows', (one) => (one.memory = { ...one.memory, current: 620 })],
    ['its memory shrinks', (one) => (one.memory = { ...one.memory, current: 580 })],
    ['it met its limit', (one) => (one.memory = { ...one.memory, limitHits: 1 })],
    ['a process of it was killed', (one) => (one.memory = { ...one.memory, oomKills: 1 })],
    ['it was started anew', (one) => (one.identity += 1)],
  ])('is not enough if %s', (_what, happen) => {
    const { look, one, sampledAgoMs } = started();
    one.load = 0.2;
    look();
    look();
    expect(sampledAgoMs()).toBe(20_000);
    happen(one);
    look();
    expect(sampledAgoMs()).toBe(0);
  });

  it('a container that is frozen is no idle one', () => {
    const { look, one, state } = started();
    look();
    one.life = { frozen: true };
    look();
    expect(state.guests.get(vmid(101))?.life.interval).toBeUndefined();
  });

  it('counts in the next decision as a sample does', () => {
    const decided = [true, false].map((glances) => {
      const { node, look, one, state } = started();
      node.glances = glances;
      for (const load of [0.3, 0.9, 0.4]) {
        one.load = load;
        look();
      }
      node.pass(10_000);
      observe(node.world, state, everyone());
      return state.guests.get(vmid(101))?.life.seen;
    });
    expect(decided[0]).toEqual(decided[1]);
    expect(decided[0]?.cores.at(-1)?.peak).toBeCloseTo(0.9);
  });

  it('what a decision that is brought forward goes by is since the last glance', () => {
    const { look, one, state } = started();
    look();
    look();
    one.memory = { ...one.memory, limitHits: 1, current: 1020, anon: 1000 };
    expect(urgentIn(look())).toEqual([101]);
    const interval = state.guests.get(vmid(101))?.life.interval;
    expect((interval?.last.atMs ?? 0) - (interval?.previous?.atMs ?? 0)).toBe(10_000);
  });

  it('an early decision after one saturated sample goes by the use of that sample', () => {
    const { look, node, one, state } = started(MANAGED, {}, 1);
    one.load = 0.2;
    for (let times = 0; times < 4; times += 1) look();
    one.load = 2;
    const { urgent } = look();
    expect([...urgent]).toEqual([101]);
    const seen = observe(node.world, state, { ...everyone(), urgent });
    const [container] = seen.ok ? seen.value.containers : [];
    const used = container?.state.kind === 'running' && container.state.usage.cpu;
    expect(used).toMatchObject({ ok: true, value: { used: 2, overMs: 10_000 } });
  });

  it('is not enough if another look has sampled it since, which saw what happened', () => {
    const { look, node, one, sampledAgoMs, state } = started();
    look();
    node.pass(5000);
    one.memory = { ...one.memory, oomKills: 1 };
    node.world.cgroups.sample(vmid(101));
    look(5000);
    expect(sampledAgoMs()).toBe(0);
    expect(state.guests.get(vmid(101))?.life.interval?.oomKills).toBe(1);
  });

  it('is not asked for if the container is to be sampled anyway', () => {
    const { look, node, one } = started();
    let asked = 0;
    const { glance } = node.world.cgroups;
    const counted: typeof glance = (id) => {
      asked += 1;
      return glance?.(id);
    };
    Object.assign(node.world.cgroups, { glance: counted });
    one.load = 2;
    look();
    expect(asked).toBe(1);
    look();
    expect(asked).toBe(1);
  });

  it('between two samples finds what begins, and leaves all else to the next sample', () => {
    const { between, look, one, sampledAgoMs } = started();
    one.load = 0.2;
    look();
    expect(between()).toEqual({ urgent: new Set(), suspicious: false });
    expect(sampledAgoMs()).toBe(15_000);
    look(5000);
    one.load = 1.6;
    expect(between()).toMatchObject({ suspicious: true });
    expect(sampledAgoMs()).toBe(0);
    one.load = 2;
    expect(urgentIn(look(2500))).toEqual([]);
    expect(urgentIn(look(2500))).toEqual([101]);
  });
});
