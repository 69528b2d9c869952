import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type { PlannedChange } from '../../src/core/plan.ts';
import { missing, present } from '../../src/core/reading.ts';
import { cores } from '../../src/core/units.ts';
import { act } from '../../src/loop/act.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { dropLeft } from '../../src/loop/left-pending.ts';
import { observe } from '../../src/loop/observe.ts';
import type { CommandOutcome } from '../../src/node/port.ts';
import {
  AMPLE_ROOM,
  coresChange,
  everyone,
  hostPolicy,
  machine,
  memoryChange,
  policy,
  vmid,
} from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

/** What a change of a machine leaves for the next start, beside what an administrator has left. */

const MINUTE = 60_000;
const IN_USE = { current: 900, anon: 900 };

/** A machine with 4 vCPUs, 2048 MB of 8192, and these keys pending. */
function nodeWith(pendingKeys: readonly string[] = []): FakeNode {
  const node = new FakeNode();
  node.add(200, machine(200, { pendingKeys, digest: '0'.repeat(40) }), IN_USE);
  return node;
}

const fewerCores: PlannedChange = { vmid: vmid(200), name: 'vm', cores: coresChange(200, 4, 1) };
const lessMemory: PlannedChange = {
  ...{ vmid: vmid(200), name: 'vm', memory: memoryChange(200, 2048, 1024) },
};

async function change(node: FakeNode, planned: PlannedChange): Promise<LoopState> {
  const state = newLoopState();
  const observed = observe(node.world, state, everyone());
  if (!observed.ok) throw new Error(observed.detail);
  const { hands } = node.world;
  const stop = new AbortController().signal;
  const context = { observed: observed.value, headroom: AMPLE_ROOM, hands, stop, cycle: 1 };
  await act(node.world, state, [planned], context);
  return state;
}

/** What a later cycle does first. */
async function drop(node: FakeNode, state: LoopState): Promise<void> {
  const { config } = node.get(200);
  const state200 = { kind: 'stopped' } as const;
  const containers = [{ vmid: config.vmid, config: present(config), state: state200 }];
  const context = { hostCpus: 4, stop: new AbortController().signal };
  await dropLeft(node.world, state, containers, context);
}

const pending = (node: FakeNode): readonly string[] => node.get(200).config.pendingKeys;
const unsettled = (state: LoopState) => recordOf(state, vmid(200)).unsettled;

/** The guest refuses, and these are pending then. */
function refusing(node: FakeNode, keys: readonly string[], outcome: CommandOutcome): void {
  node.pct = (request) => {
    if (request.revert !== undefined) return node.apply(request);
    node.write(200, { pendingKeys: [...pending(node), ...keys] });
    return outcome;
  };
}

const REFUSED: CommandOutcome = {
  ...{ kind: 'failed', why: 'other', exitCode: 255, message: 'error unplugging cpu4' },
};
const TIMED_OUT: CommandOutcome = {
  ...{ kind: 'timed-out', afterMs: 40_000 as never, message: 'no answer' },
};

describe('what a change leaves for the next start', () => {
  it('is dropped; what was pending before stays, also of its own lever', async () => {
    const node = nodeWith(['memory', 'affinity']);
    refusing(node, ['balloon'], REFUSED);
    const state = await change(node, lessMemory);
    expect(pending(node)).toEqual(['memory', 'affinity']);
    expect(node.sets.at(-1)?.revert).toEqual(['balloon']);
    expect(unsettled(state)).toBeUndefined();
  });

  it('is not looked for among the keys of an administrator', async () => {
    const node = nodeWith(['vcpus']);
    refusing(node, [], REFUSED);
    const state = await change(node, fewerCores);
    expect(pending(node)).toEqual(['vcpus']);
    await drop(node, state);
    expect(node.sets).toHaveLength(1);
  });

  it('is not taken for nothing where the configuration cannot be read afterwards', async () => {
    const node = nodeWith();
    refusing(node, ['vcpus'], REFUSED);
    const { pct } = node;
    node.pct = (request) => {
      node.get(200).configMissing = missing('unreadable', 'it hangs');
      return pct(request);
    };
    const state = await change(node, fewerCores);
    expect(node.linesOf('ERROR')[0]).toContain(
      'could not be dropped (it hangs); please run `qm set 200 --revert vcpus`',
    );
    node.get(200).configMissing = undefined;
    node.pct = pct;
    await drop(node, state);
    expect(pending(node)).toEqual([]);
  });

  it('may come later, if the command did not end by itself', async () => {
    const node = nodeWith();
    refusing(node, [], TIMED_OUT);
    const state = await change(node, fewerCores);
    expect(unsettled(state)?.keys).toEqual(['vcpus']);
    node.pass(MINUTE);
    await drop(node, state);
    expect(unsettled(state)).toBeDefined();
    node.write(200, { pendingKeys: ['vcpus'] });
    await drop(node, state);
    expect(pending(node)).toEqual([]);
    // From now on it is somebody else's.
    node.write(200, { pendingKeys: ['vcpus'] });
    await drop(node, state);
    expect(pending(node)).toEqual(['vcpus']);
  });

  it('is no more dropped after a quarter of an hour', async () => {
    const node = nodeWith();
    refusing(node, [], TIMED_OUT);
    const state = await change(node, fewerCores);
    node.pass(16 * MINUTE);
    node.write(200, { pendingKeys: ['vcpus'] });
    await drop(node, state);
    expect(pending(node)).toEqual(['vcpus']);
    expect(unsettled(state)).toBeUndefined();
  });

  it('of a limit that was brought in force is dropped too', async () => {
    const node = nodeWith();
    const vm = node.get(200);
    vm.config = { ...vm.config, cpuLimit: 2 };
    vm.liveCpuLimit = cores(1);
    refusing(node, ['cpulimit'], REFUSED);
    const byLimit = { ...policy(), cpu: { ...policy().cpu, unit: 'cpulimit' as const } };
    const manage = () =>
      ({ kind: 'managed', policy: byLimit, mode: 'act', because: 'DEFAULT' }) as const;
    const settings = { manage, hostPolicy, dryRun: false, atOnce: 1 };
    const state = newLoopState();
    for (const _ of [1, 2]) {
      await runCycle(node.world, settings, state, new AbortController().signal);
      node.pass(MINUTE + 1000);
    }
    expect(node.sets.map(({ cpuLimit, revert }) => revert ?? cpuLimit)).toContainEqual([
      'cpulimit',
    ]);
    expect(pending(node)).toEqual([]);
  });
});
