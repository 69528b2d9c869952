import { expect, it } from 'vitest';
import type { Connection } from '../../src/core/connection.ts';
import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
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
  expect(node.sets).toEqual([]);
  expect(state.capabilities?.workingSet).toBe(false);
  expect(recordOf(state, ID).life.seen.cores.filter((seen) => seen !== undefined)).toEqual([]);
  const said = () => node.lines.filter((line) => line.includes('It is reached'));
  expect(said()).toEqual(['WARN: It is reached by SSH, since by the API: cut off.']);
  await cycle();
  expect(said()).toHaveLength(1);
  expect(recordOf(state, ID).life.seen.cores).toHaveLength(1);
  // No restart was seen, so nothing waits for one to be over.
  expect(recordOf(state, ID).life.startedMs).toBeUndefined();
  node.tellsNeed = true;
  use({ by: 'api' }, 101, 1000);
  await cycle();
  expect(said().at(-1)).toBe('INFO: It is reached by the API again.');
  expect(state.capabilities?.workingSet).toBe(true);
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
