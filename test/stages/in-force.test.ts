import { describe, expect, it } from 'vitest';
import { newLoopState } from '../../src/core/loop-state.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import { runCycle } from '../../src/cycle.ts';
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
    expect(node.linesOf('WARN')[0]).toMatch(/512 MB are in force; it is put right if it stays so/);
    node.get(101).limitMib = 768;
    node.pass(40_000);
    await cycle(node, state);
    expect(node.sets).toEqual([]);
  });

  it('is put right at once where this program has left it', async () => {
    const node = differing(512);
    const state = newLoopState();
    const values = { cores: 2, cpuLimit: null, memoryMib: mib(1024) };
    state.known.set(ID, values);
    state.intended.set(ID, { ...values, memoryMib: mib(512), sinceMs: milliseconds(node.nowMs) });
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
