import { expect, it } from 'vitest';
import type { Connection } from '../../src/core/connection.ts';
import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
import { milliseconds } from '../../src/core/units.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { sample } from '../../src/loop/sample.ts';
import { everyone, hostPolicy, policy, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);
const SSH: Connection = { by: 'ssh', why: 'cut off' };

function started() {
  const node = new FakeNode();
  const one = node.add(101);
  const state = newLoopState();
  let now: Connection = { by: 'api' };
  const world = { ...node.world, connection: () => now };
  const { manage } = everyone(policy());
  const settings = { manage, hostPolicy, dryRun: false, atOnce: 1 };
  const cycle = async () => {
    node.pass(60_000);
    await runCycle(world, settings, state, new AbortController().signal);
  };
  const look = () => {
    node.pass(5000);
    return sample(world, state, { urgentSamples: 2, manage });
  };
  const use = (connection: Connection, identity: number, cpuUs: number): void => {
    now = connection;
    // As another connection counts: from elsewhere, and in other lives.
    one.identity = identity;
    one.cpuUs = cpuUs;
  };
  return { node, one, state, cycle, look, use };
}

it('counters of two connections make no rate, and it is said once', async () => {
  const { node, one, state, cycle, use } = started();
  one.load = 1;
  await cycle();
  await cycle();
  node.tellsNeed = false;
  use(SSH, 900, 9_000_000_000);
  await cycle();
  const startedMs = node.nowMs;
  expect(node.sets).toEqual([]);
  expect(state.capabilities?.workingSet).toBe(false);
  expect(recordOf(state, ID).life.seen.cores.filter((seen) => seen !== undefined)).toEqual([]);
  const said = () => node.lines.filter((line) => line.includes('It is reached'));
  expect(said()).toEqual(['WARN: It is reached by SSH, since by the API: cut off.']);
  await cycle();
  expect(said()).toHaveLength(1);
  expect(recordOf(state, ID).life.seen.cores).toHaveLength(1);
  // Whether it was restarted meanwhile cannot be told by a connection that has not seen it before.
  expect(recordOf(state, ID).life.startedMs).toBe(startedMs);
  node.tellsNeed = true;
  use({ by: 'api' }, 101, 1000);
  await cycle();
  expect(said().at(-1)).toBe('INFO: It is reached by the API again.');
  expect(state.capabilities?.workingSet).toBe(true);
});

it.each([
  ['goes on', 101, false],
  ['was restarted meanwhile', 102, true],
])('a guest that %s is known again by the connection that comes back', async (_, id, isNew) => {
  const { node, state, cycle, use } = started();
  await cycle();
  use(SSH, 900, 0);
  await cycle();
  for (let minute = 0; minute < 20; minute += 1) await cycle();
  use({ by: 'api' }, id, 0);
  await cycle();
  const { startedMs } = recordOf(state, ID).life;
  expect(startedMs === node.nowMs).toBe(isNew);
});

it('a guest whose restart was seen by SSH is new to the API too', async () => {
  const { state, cycle, use } = started();
  await cycle();
  recordOf(state, ID).life.shrinkRetry = { count: 3, retryAtMs: milliseconds(1e9) };
  use(SSH, 900, 0);
  await cycle();
  expect(recordOf(state, ID).life.shrinkRetry).toBeDefined();
  use(SSH, 901, 0);
  await cycle();
  const { startedMs, shrinkRetry } = recordOf(state, ID).life;
  expect([startedMs, shrinkRetry]).toEqual([expect.any(Number), undefined]);
  expect(recordOf(state, ID).aside.api?.life).toBeUndefined();
});

it('nor in the samples between two cycles', async () => {
  const { one, cycle, look, use } = started();
  one.load = 1;
  await cycle();
  look();
  use(SSH, 101, 9_000_000_000);
  expect(look()).toEqual({ urgent: new Set(), suspicious: false });
  expect(look()).toEqual({ urgent: new Set(), suspicious: false });
});
