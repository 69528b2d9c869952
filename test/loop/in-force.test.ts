import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type { CpuUnit } from '../../src/core/policy.ts';
import { missing } from '../../src/core/reading.ts';
import { takeOver, toSaved } from '../../src/core/saved-state.ts';
import { mib, milliseconds, cores as toCores } from '../../src/core/units.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { parseSavedState } from '../../src/store/saved-state-schema.ts';
import { host, hostPolicy, policy, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

/** A live memory limit that is not what the configuration says, found in a quiet cycle. */

const ID = vmid(101);
const POLL_MS = 61_000;

function cycle(node: FakeNode, state = newLoopState()): Promise<unknown> {
  const manage = () =>
    ({ kind: 'managed', policy: policy(), mode: 'act', because: 'DEFAULT' }) as const;
  const settings = { manage, hostPolicy, dryRun: false, atOnce: 1 };
  return runCycle(node.world, settings, state, new AbortController().signal);
}

/** Configured with 1024 MB, 400 MB of them in use. */
function differing(live: number | undefined, current = 400): FakeNode {
  const node = new FakeNode();
  node.add(101, {}, { current, anon: current }).limitMib = live;
  return node;
}

async function twoCycles(node: FakeNode, state = newLoopState()): Promise<void> {
  await cycle(node, state);
  expect(node.sets).toEqual([]);
  node.pass(POLL_MS);
  await cycle(node, state);
}

describe('a live limit that is not the configured one', () => {
  it.each([
    ['lower', 512, [512, 1024]],
    ['higher, where the configured one is enough', 2048, [2048, 1024]],
    ['none at all', undefined, [1040, 1024]],
    ['no whole number', 600.5, [1040, 1024]],
  ])('and %s: the configuration comes into force', async (_what, live, sets) => {
    const node = differing(live);
    await twoCycles(node);
    expect(node.sets.map(({ memoryMib }) => memoryMib)).toEqual(sets);
    expect(node.get(101)).toMatchObject({ limitMib: 1024, config: { memoryMib: 1024 } });
    expect(node.events).toMatchObject([{ details: { status: 'confirmed', rule: 'in-force' } }]);
    expect(node.backups).toHaveLength(2);
    expect(node.heldMib.size).toBe(0);
  });

  it('and higher, where the configured one is too little: the configuration follows', async () => {
    const node = differing(2048, 1500);
    await twoCycles(node);
    expect(node.get(101)).toMatchObject({ limitMib: 2048, config: { memoryMib: 2048 } });
    expect(node.linesOf('ERROR')[0]).toMatch(
      /its configuration says 2048 MB now.*it needs 1650 MB/,
    );
  });

  it('and lower on a host that has no memory: it stays, and is not cut', async () => {
    const node = differing(512);
    node.seen = host({ availableMib: 1000 });
    await twoCycles(node);
    expect(node.sets).toEqual([]);
  });

  it('is left alone while a pct may be under way', async () => {
    const node = differing(512);
    const state = newLoopState();
    await cycle(node, state);
    node.pass(30_000);
    await cycle(node, state);
    expect(node.sets).toEqual([]);
    expect(node.linesOf('WARN')[0]).toMatch(/512 MB are active; it is put right if it stays so/);
    node.get(101).limitMib = 768;
    node.pass(40_000);
    await cycle(node, state);
    expect(node.sets).toEqual([]);
  });

  it('is put right at once where this program has left it', async () => {
    const node = differing(512);
    const state = newLoopState();
    const values = { cores: 2, cpuLimit: null, memoryMib: mib(1024) };
    recordOf(state, ID).known = values;
    recordOf(state, ID).intended = {
      ...values,
      memoryMib: mib(512),
      sinceMs: milliseconds(node.nowMs),
    };
    await cycle(node, state);
    expect(node.get(101)).toMatchObject({ limitMib: 1024, config: { memoryMib: 1024 } });
  });

  it('is not put right against a hand', async () => {
    const node = differing(1024);
    const state = newLoopState();
    await cycle(node, state);
    node.write(101, { memoryMib: mib(4096) });
    await twoCycles(node, state);
    expect(node.sets).toEqual([]);
  });
});

/** As `cycle`, of containers whose CPU is scaled by a cpulimit, or by cores. */
function cpuCycle(
  node: FakeNode,
  state: LoopState,
  { unit = 'cpulimit', mode = 'act' }: { unit?: CpuUnit; mode?: 'act' | 'observe' } = {},
): Promise<unknown> {
  const { cpu, ...rest } = policy();
  const scaled = { ...rest, cpu: { ...cpu, unit } };
  const manage = () => ({ kind: 'managed', policy: scaled, mode, because: 'DEFAULT' }) as const;
  const settings = { manage, hostPolicy, dryRun: false, atOnce: 1 };
  return runCycle(node.world, settings, state, new AbortController().signal);
}

/** 4 cores on a host of 8 CPUs; null: no cpulimit. Half of what is configured is used. */
function differingCpu(live: number | null, configured: number | null): FakeNode {
  const node = new FakeNode();
  node.add(101, { cores: 4, cpuLimit: configured }, { current: 500, anon: 500 });
  Object.assign(node.get(101), { liveCpuLimit: live, load: (configured ?? 4) / 2 });
  return node;
}

const liveOf = (node: FakeNode) => {
  const live = node.world.cgroups.cpuLimit(ID);
  return live.ok ? (live.value ?? null) : live.detail;
};

describe('a live cpulimit that is not the configured one', () => {
  it.each([
    ['lower', 1, 2, [1, 2]],
    ['higher', 3.5, 2, [3.5, 2]],
    ['none at all', null, 2, [null, 2]],
    ['there though none is configured', 1.5, null, [1.5, null]],
    ['so low that pct would not take it', 0.004, 2, [null, 2]],
    ['that low, and none is configured', 0.004, null, [0.01, null]],
  ])('and %s: the configuration comes into force', async (_what, live, configured, sets) => {
    const node = differingCpu(live, configured);
    const state = newLoopState();
    await cpuCycle(node, state);
    node.pass(30_000);
    await cpuCycle(node, state);
    expect(node.sets).toEqual([]);
    expect(node.linesOf('WARN').join()).toMatch(/as its cpulimit, but .* active; it is put right/);
    node.pass(31_000);
    await cpuCycle(node, state);
    expect(node.sets.map(({ cpuLimit }) => cpuLimit)).toEqual(sets);
    expect(liveOf(node)).toBe(configured);
    expect(node.get(101).config.cpuLimit).toBe(configured);
    expect(node.events).toMatchObject([{ details: { status: 'confirmed', rule: 'in-force' } }]);
    expect(node.backups).toHaveLength(2);
    node.pass(POLL_MS);
    await cpuCycle(node, state);
    expect(node.sets).toHaveLength(2);
  });

  it('is left alone where both are more than it can use', async () => {
    const node = differingCpu(8, 6);
    const state = newLoopState();
    for (let cycles = 0; cycles < 3; cycles++) {
      await cpuCycle(node, state, { unit: 'cores' });
      node.pass(POLL_MS);
    }
    expect(node.sets).toEqual([]);
    expect(node.linesOf('WARN')).toEqual([]);
  });

  it('is not put right against a hand', async () => {
    const node = differingCpu(2, 2);
    const state = newLoopState();
    await cpuCycle(node, state);
    node.get(101).liveCpuLimit = 2;
    node.write(101, { cpuLimit: toCores(3) });
    for (let cycles = 0; cycles < 3; cycles++) {
      node.pass(POLL_MS);
      await cpuCycle(node, state);
    }
    expect(node.sets).toEqual([]);
  });

  it('is put right at once where this program has left it', async () => {
    const node = differingCpu(1, 2);
    const state = newLoopState();
    const values = { cores: 4, cpuLimit: 2, memoryMib: mib(1024) };
    recordOf(state, ID).known = values;
    recordOf(state, ID).intended = { ...values, cpuLimit: 1, sinceMs: milliseconds(node.nowMs) };
    await cpuCycle(node, state);
    node.pass(5000);
    await cpuCycle(node, state);
    expect(liveOf(node)).toBe(2);
  });

  it.each([
    [
      'cores are what is scaled',
      { unit: 'cores' },
      /2 cores as its cpulimit, but 1 core is active; set another cpulimit and then the wanted/,
    ],
    [
      'it is only observed',
      { mode: 'observe' },
      /it would go from 1 to 2 cores \(observe mode: not done\)/,
    ],
  ] as const)('is named and not set where %s', async (_what, how, said) => {
    const node = differingCpu(1, 2);
    const state = newLoopState();
    for (let cycles = 0; cycles < 3; cycles++) {
      await cpuCycle(node, state, how);
      node.pass(POLL_MS);
    }
    expect(node.sets).toEqual([]);
    const told = [...node.linesOf('WARN'), ...node.linesOf('INFO')].filter((line) =>
      said.test(line),
    );
    expect(told).toHaveLength(1);
  });

  it('waits behind memory, which other commands change', async () => {
    const node = differingCpu(1, 2);
    node.get(101).memory = { current: 950, anon: 950 };
    const state = newLoopState();
    recordOf(state, ID).cores.differing = { live: 1, configured: 2, sinceMs: milliseconds(0) };
    node.pass(POLL_MS);
    await cpuCycle(node, state);
    node.pass(POLL_MS);
    await cpuCycle(node, state);
    expect(node.sets.map(({ memoryMib, cpuLimit }) => cpuLimit ?? memoryMib)).toEqual([1536, 1, 2]);
    expect(liveOf(node)).toBe(2);
  });

  it('does not end a boost, and takes nothing that would count as its norm', async () => {
    const node = differingCpu(null, 2);
    const state = newLoopState();
    recordOf(state, vmid(101)).cores.boost = {
      before: 1,
      boosted: 2,
      endMs: milliseconds(10 * POLL_MS),
    };
    await cpuCycle(node, state);
    node.pass(POLL_MS);
    await cpuCycle(node, state);
    expect(liveOf(node)).toBe(2);
    const { boost, taken } = recordOf(state, ID).cores;
    expect([boost?.boosted, taken]).toEqual([2, undefined]);
  });

  it('cannot be read: nothing is known of how long it differs', async () => {
    const node = differingCpu(1, 2);
    const state = newLoopState();
    await cpuCycle(node, state);
    node.pass(POLL_MS);
    node.get(101).cpuLimitMissing = missing('unreadable', 'cpu.max: not now');
    await cpuCycle(node, state);
    node.get(101).cpuLimitMissing = undefined;
    node.pass(POLL_MS);
    await cpuCycle(node, state);
    expect(node.sets).toEqual([]);
  });
});

describe('runs of `once` from cron', () => {
  it.each([
    ['memory', differing(512), [512, 1024]],
    ['cpulimit', differingCpu(1, 2), [1, 2]],
  ])('put a %s right that differs for as long as a daemon waits', async (_what, node, sets) => {
    let saved: unknown;
    const run = async (): Promise<void> => {
      const state = newLoopState();
      const instant = { nowMs: milliseconds(node.nowMs), wallMs: milliseconds(node.nowMs) };
      const read = saved === undefined ? undefined : parseSavedState(saved);
      expect(read?.ok).not.toBe(false);
      if (read?.ok) takeOver(state, read.value, 'boot', instant);
      await cpuCycle(node, state);
      const then = { nowMs: milliseconds(node.nowMs), wallMs: milliseconds(node.nowMs) };
      saved = JSON.parse(JSON.stringify(toSaved(state, 'boot', then)));
    };
    await run();
    node.pass(30_000);
    await run();
    expect(node.sets).toEqual([]);
    node.pass(31_000);
    await run();
    expect(node.sets.map(({ memoryMib, cpuLimit }) => memoryMib ?? cpuLimit)).toEqual(sets);
  });
});
