import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import type { PlannedChange } from '../../src/core/plan.ts';
import { mib } from '../../src/core/units.ts';
import { type ActCounts, act } from '../../src/loop/act.ts';
import { carryOut } from '../../src/loop/change.ts';
import { observe } from '../../src/loop/observe.ts';
import {
  AMPLE_ROOM,
  coresChange,
  everyone,
  type MemoryNumbers,
  memoryChange,
  remembered,
  vmid,
} from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);
const name = 'web';
const MINUTE_MS = 60_000;

/** 8 GB; 300 MB held by processes, 3 GB of file cache. */
const CACHED: MemoryNumbers = { current: 3372, anon: 300, active: 1000, inactive: 2072 };
const shrink: PlannedChange = { vmid: ID, name, memory: memoryChange(101, 8192, 1024) };
const shrinkBoth: PlannedChange = { ...shrink, cores: coresChange(101, 4, 2) };
const growCores: PlannedChange = { ...shrink, cores: coresChange(101, 4, 6) };

function nodeWith(memory: MemoryNumbers = CACHED): FakeNode {
  const node = new FakeNode();
  const added = node.add(101, { name, cores: 4 }, memory);
  node.write(101, { memoryMib: mib(8192) });
  added.limitMib = 8192;
  return node;
}

async function run(
  node: FakeNode,
  planned: PlannedChange = shrink,
  state: LoopState = newLoopState(),
): Promise<ActCounts> {
  const observed = observe(node.world, newLoopState(), everyone());
  if (!observed.ok) throw new Error(observed.detail);
  const stop = new AbortController().signal;
  const { hands } = node.world;
  const context = { cycle: 7, observed: observed.value, headroom: AMPLE_ROOM, hands, stop };
  return act(node.world, state, [planned], context);
}

/** Nothing was set, nothing backed up, no failure: only told, and put off. */
function expectLeft(node: FakeNode, counts: ActCounts, state: LoopState): void {
  expect(node.sets).toEqual([]);
  expect(node.backups).toEqual([]);
  expect(node.get(101).limitMib).toBe(8192);
  expect(counts).toEqual({ done: 0, failed: 0 });
  expect(remembered(state, 'failure').size).toBe(0);
  expect(state.guests.get(ID)?.life.shrinkRetry).toEqual({
    count: 1,
    retryAtMs: node.nowMs + 5 * MINUTE_MS,
  });
  expect(node.linesOf('WARN').join('\n')).toMatch(/^WARN: NOT PROVEN\. Container 101 \(web\)/);
  expect(node.events.map(({ action }) => action)).toEqual(['Decrease Memory Not Proven']);
}

/** Growth is held back from the proof until the change is in force. */
const HELD_AND_SET = ['high 101', 'backup 101', 'set 101', 'high back 101'];

describe('memory full of file cache', () => {
  it('is taken once the kernel has given the cache up', async () => {
    const node = nodeWith();
    const state = newLoopState();
    expect(await run(node, shrink, state)).toEqual({ done: 1, failed: 0 });
    expect(node.done).toEqual(['reclaim 101', ...HELD_AND_SET]);
    expect(node.get(101).memory.current).toBeLessThanOrEqual(960);
    expect(node.get(101).limitMib).toBe(1024);
    expect(remembered(state, 'shrinkRetry').size).toBe(0);
  });

  it('is asked for again where the container reads on meanwhile', async () => {
    const node = nodeWith();
    let backMib = 120;
    node.kernel = (id, wish) => {
      const answer = node.giveUp(id, wish);
      const { memory } = node.get(101);
      const { current = 0, active = 0 } = memory;
      node.get(101).memory = { ...memory, current: current + backMib, active: active + backMib };
      backMib = 1;
      return answer;
    };
    expect(await run(node)).toEqual({ done: 1, failed: 0 });
    expect(node.done).toEqual(['reclaim 101', 'reclaim 101', ...HELD_AND_SET]);
  });

  it('is asked for three times at most', async () => {
    const node = nodeWith();
    node.kernel = (id, wish) => {
      const answer = node.giveUp(id, wish, (wish.bytes / 1024 / 1024) * 0.6);
      return answer;
    };
    expect(await run(node)).toEqual({ done: 0, failed: 0 });
    expect(node.done).toEqual(['reclaim 101', 'reclaim 101', 'reclaim 101']);
    const proof = node.events[0]?.details['proof'];
    expect(proof).toMatchObject({ kind: 'still-in-use', got: 2272.6 });
  });

  it('is not asked for where the new limit takes nothing that is in use', async () => {
    const node = nodeWith({ current: 950, anon: 300, inactive: 600 });
    expect(await run(node)).toEqual({ done: 1, failed: 0 });
    expect(node.done).toEqual(HELD_AND_SET);
  });

  it('is proven for a change of both resources too, and both are made in one command', async () => {
    const node = nodeWith();
    expect(await run(node, shrinkBoth)).toEqual({ done: 1, failed: 0 });
    expect(node.done).toEqual(['reclaim 101', ...HELD_AND_SET]);
    expect(node.sets).toMatchObject([{ cores: 2, memoryMib: 1024 }]);
  });

  it('is not asked for when it grows, or when only the cores change', async () => {
    const node = nodeWith();
    await run(node, { vmid: ID, name, memory: memoryChange(101, 8192, 9216) });
    await run(node, { vmid: ID, name, cores: coresChange(101, 4, 2) });
    expect(node.done).not.toContain('reclaim 101');
  });
});

describe('memory that turns out to be needed stays', () => {
  it('when the kernel gives up too little of the cache', async () => {
    const node = nodeWith();
    node.kernel = (id, wish) => node.giveUp(id, wish, 200);
    const state = newLoopState();
    expectLeft(node, await run(node, shrink, state), state);
    expect(node.linesOf('WARN')[0]).toContain(
      'The limit stays: the kernel was asked to give up 2428 MB and gave up 200 MB; ' +
        '3172 MB are in use where at most 960 MB may be. Next try in 300 s.',
    );
    expect(node.events[0]?.details).toMatchObject({
      status: 'unproven',
      before: 8192,
      after: 1024,
      cycle: 7,
      proof: { kind: 'still-in-use', asked: 2428, got: 200, current: 3172, wanted: 960 },
    });
  });

  it('when the cache is full again at once', async () => {
    const node = nodeWith();
    node.kernel = (id, wish) => {
      const answer = node.giveUp(id, wish);
      node.get(101).memory = CACHED;
      return answer;
    };
    const state = newLoopState();
    expectLeft(node, await run(node, shrink, state), state);
  });

  it('when processes have grown between the decision and the change', async () => {
    const node = nodeWith({ ...CACHED, anon: 1200, active: 100, inactive: 2072 });
    const state = newLoopState();
    expectLeft(node, await run(node, shrink, state), state);
    expect(node.done).toEqual([]);
    expect(node.events[0]?.details).toMatchObject({ proof: { kind: 'need-grew' } });
  });

  it('when processes grow while the kernel reclaims', async () => {
    const node = nodeWith();
    node.kernel = (id, wish) => {
      const answer = node.giveUp(id, wish);
      const { memory } = node.get(101);
      node.get(101).memory = { ...memory, current: (memory.current ?? 0) + 700, anon: 1000 };
      return answer;
    };
    const state = newLoopState();
    expectLeft(node, await run(node, shrink, state), state);
  });

  it('when processes have grown into the room that the kernel made', async () => {
    const node = nodeWith();
    node.kernel = (id, wish) => {
      node.giveUp(id, wish);
      node.get(101).memory = { current: 955, anon: 940, inactive: 10 };
      return { kind: 'asked', bytes: wish.bytes };
    };
    const state = newLoopState();
    expectLeft(node, await run(node, shrink, state), state);
    expect(node.linesOf('WARN')[0]).toContain('it needs 1040 MB now');
  });

  it('when most of it is tmpfs, which no reclaim can give up', async () => {
    const node = nodeWith({ current: 3372, anon: 300, shmem: 2000, inactive: 1072 });
    const state = newLoopState();
    expectLeft(node, await run(node, shrink, state), state);
    expect(node.done).toEqual([]);
  });

  it('when something was swapped out for it', async () => {
    const node = nodeWith({ ...CACHED, swap: 3 });
    node.kernel = (id, wish) => {
      const answer = node.giveUp(id, wish);
      node.get(101).memory = { ...node.get(101).memory, swap: 4 };
      return answer;
    };
    const state = newLoopState();
    expectLeft(node, await run(node, shrink, state), state);
    expect(node.linesOf('WARN')[0]).toContain('1 MB were swapped out meanwhile');
  });

  it('when a process was ended meanwhile', async () => {
    const node = nodeWith();
    node.kernel = (id, wish) => {
      const answer = node.giveUp(id, wish);
      node.get(101).memory = { ...node.get(101).memory, oomKills: 1 };
      return answer;
    };
    const state = newLoopState();
    expectLeft(node, await run(node, shrink, state), state);
  });

  it('when the kernel may not be asked', async () => {
    const node = nodeWith();
    node.kernel = () => ({ kind: 'refused', message: 'permission denied (EACCES)' });
    const state = newLoopState();
    expectLeft(node, await run(node, shrink, state), state);
    expect(node.linesOf('WARN')[0]).toMatch(/could not be asked .*permission denied \(EACCES\)/);
  });

  it('without holding back the cores of the same change', async () => {
    const node = nodeWith();
    node.kernel = (id, wish) => node.giveUp(id, wish, 0);
    const state = newLoopState();
    expect(await run(node, growCores, state)).toEqual({ done: 1, failed: 0 });
    expect(node.sets).toMatchObject([{ cores: 6 }]);
    expect(node.sets[0]).not.toHaveProperty('memoryMib');
    expect(node.events.map(({ action }) => action)).toEqual([
      'Decrease Memory Not Proven',
      'Increase Cores',
    ]);
    expect([remembered(state, 'shrinkRetry').size, remembered(state, 'grantMib').size]).toEqual([
      1, 0,
    ]);
  });
});

describe('an attempt', () => {
  it('is put off for longer each time, and forgotten when memory is given again', async () => {
    const node = nodeWith();
    node.kernel = (id, wish) => node.giveUp(id, wish, 0);
    const state = newLoopState();
    await run(node, shrink, state);
    await run(node, shrink, state);
    const minutes =
      ((state.guests.get(ID)?.life.shrinkRetry?.retryAtMs ?? 0) - node.nowMs) / MINUTE_MS;
    expect(minutes).toBe(10);
    node.kernel = (id, wish) => node.giveUp(id, wish);
    await run(node, shrink, state);
    // What was taken may still be missed.
    expect(state.guests.get(ID)?.life.shrinkRetry?.count).toBe(2);
    const { memoryMib } = node.get(101).config;
    const more = memoryChange(101, memoryMib, memoryMib + 512);
    await run(node, { vmid: ID, name, memory: more }, state);
    expect(remembered(state, 'shrinkRetry').size).toBe(0);
  });

  it('counts only for the life of the container that it was made on', async () => {
    const node = nodeWith();
    const state = newLoopState();
    observe(node.world, state, everyone());
    node.kernel = (id, wish) => node.giveUp(id, wish, 0);
    await run(node, shrink, state);
    node.get(101).identity = 7;
    observe(node.world, state, everyone());
    expect(remembered(state, 'shrinkRetry').size).toBe(0);
  });

  it.each([
    ['stops', { running: false }],
    ['is restarted', { identity: 7 }],
    ['cannot be read', { memory: { current: 10, inactive: 500 } }],
  ])('proves nothing when the container %s meanwhile, and none is remembered', async (_, own) => {
    const node = nodeWith();
    node.kernel = (id, wish) => {
      const answer = node.giveUp(id, wish);
      Object.assign(node.get(101), own);
      return answer;
    };
    const state = newLoopState();
    expect(await run(node, shrink, state)).toEqual({ done: 0, failed: 0 });
    expect([node.sets, remembered(state, 'shrinkRetry').size]).toEqual([[], 0]);
    expect(node.linesOf('WARN')[0]).toMatch(/was not changed: its memory could not be read/);
  });
});

describe('a half-done growth', () => {
  const grow: PlannedChange = {
    vmid: ID,
    name,
    cores: coresChange(101, 4, 6),
    memory: memoryChange(101, 8192, 9216),
  };

  async function halfDone(node: FakeNode): Promise<string> {
    node.pct = (request) => {
      if (node.sets.length > 1) return node.apply(request);
      const { cores: _, ...half } = request;
      node.apply(half);
      // The room is filled at once: with cache, as a kernel does.
      node.get(101).memory = { current: 9000, anon: 300, inactive: 8600 };
      return { kind: 'killed', signal: 'SIGKILL', message: 'pct was killed' };
    };
    const context = { hostCpus: 16, headroom: AMPLE_ROOM, stop: new AbortController().signal };
    const result = await carryOut(node.world, grow, node.get(101).config, context);
    return `${result.kind}: ${result.note}`;
  }

  it('is put back once the kernel has given up what the old limit takes', async () => {
    const node = nodeWith();
    expect(await halfDone(node)).toMatch(/^rolled-back: /);
    expect(node.done).toEqual(['backup 101', 'set 101', 'reclaim 101', ...HELD_AND_SET]);
    expect(node.get(101).memory.current).toBeLessThanOrEqual(7680);
    expect(node.get(101).limitMib).toBe(8192);
  });

  it('keeps the memory that it is live with where it has not', async () => {
    const node = nodeWith();
    node.kernel = (id, wish) => node.giveUp(id, wish, 100);
    const note = await halfDone(node);
    expect(note).toMatch(/^failed: Half done.*as it is live, 9216 MB, since the kernel was asked/);
    expect(node.get(101)).toMatchObject({ limitMib: 9216, config: { cores: 4, memoryMib: 9216 } });
    expect(node.heldMib.size).toBe(0);
  });
});

describe('a kernel without memory.reclaim', () => {
  const smallStep = { ...shrink, memory: memoryChange(101, 8192, 7376) };
  const silent = (memory: MemoryNumbers): FakeNode => {
    const node = nodeWith(memory);
    node.hasReclaim = false;
    return node;
  };
  /** All but full of cache, little of which was used twice. */
  const full: MemoryNumbers = { current: 8000, anon: 300, active: 1000, inactive: 6700 };

  it('is noticed when the first container is seen, and said once', () => {
    const node = silent(full);
    const state = newLoopState();
    observe(node.world, state, everyone());
    observe(node.world, state, everyone());
    expect(state.capabilities?.proof).toBe(false);
    expect(node.linesOf('INFO')).toEqual([
      expect.stringMatching(/no memory\.reclaim .* small steps only/),
    ]);
    const able = newLoopState();
    observe(nodeWith().world, able, everyone());
    expect(able.capabilities?.proof).toBe(true);
  });

  it('is not judged while nothing runs', () => {
    const node = silent(full);
    node.get(101).running = false;
    const state = newLoopState();
    observe(node.world, state, everyone());
    expect(state.capabilities).toBeUndefined();
    expect(node.lines).toEqual([]);
  });

  it('lets a small step be made', async () => {
    const node = silent(full);
    expect(await run(node, smallStep)).toEqual({ done: 1, failed: 0 });
    expect(node.get(101).limitMib).toBe(7376);
  });

  it('lets no larger one be made', async () => {
    const node = silent(full);
    const state = newLoopState();
    const larger = { ...shrink, memory: memoryChange(101, 8192, 7360) };
    expectLeft(node, await run(node, larger, state), state);
    expect(node.linesOf('WARN')[0]).toContain('this kernel cannot show that 7360 MB are enough');
  });

  it('lets none be made into cache that was used more than once', async () => {
    const node = silent({ current: 8000, anon: 300, active: 6700, inactive: 1000 });
    const state = newLoopState();
    expectLeft(node, await run(node, smallStep, state), state);
  });
});
