import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import { missing, present } from '../../src/core/reading.ts';
import { cores } from '../../src/core/units.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { dropLeft } from '../../src/loop/left-pending.ts';
import { hostPolicy, policy, vmid } from '../core/builders.ts';
import type { FakeNode } from './fake-node.ts';
import {
  change,
  fewerCores,
  lessMemory,
  nodeWith,
  pending,
  REFUSED,
  refusing,
  TIMED_OUT,
} from './machines.ts';

/** What a change of a machine leaves for the next start, beside what an administrator has left. */

const MINUTE = 60_000;

/** What a later cycle does first. */
async function drop(node: FakeNode, state: LoopState): Promise<void> {
  const { config } = node.get(200);
  const state200 = { kind: 'stopped' } as const;
  const containers = [{ vmid: config.vmid, config: present(config), state: state200 }];
  const context = { hostCpus: 4, stop: new AbortController().signal };
  await dropLeft(node.world, state, containers, context);
}

const unsettled = (state: LoopState) => recordOf(state, vmid(200)).unsettled;

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

  it('of an earlier change is still dropped if the next one is refused the lock', async () => {
    const node = nodeWith();
    refusing(node, [], TIMED_OUT);
    const state = await change(node, fewerCores);
    node.pass(MINUTE);
    const locked = { kind: 'failed', why: 'busy', exitCode: 4, message: 'got timeout' } as const;
    node.pct = () => locked;
    await change(node, lessMemory, state);
    refusing(node, [], REFUSED);
    node.write(200, { pendingKeys: ['vcpus'] });
    await drop(node, state);
    expect(pending(node)).toEqual([]);
  });

  it('of an earlier change is still dropped after one of another key has been made', async () => {
    const node = nodeWith();
    const { pct } = node;
    refusing(node, [], TIMED_OUT);
    const state = await change(node, fewerCores);
    node.pass(MINUTE);
    node.pct = pct;
    await change(node, lessMemory, state);
    expect(unsettled(state)?.keys).toEqual(['vcpus']);
    await change(node, fewerCores, state);
    expect(unsettled(state)).toBeUndefined();
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
    expect(node.linesOf('ERROR').join()).toContain('qm exited with 255: error unplugging cpu4');
    expect(node.sets.map(({ cpuLimit, revert }) => revert ?? cpuLimit)).toContainEqual([
      'cpulimit',
    ]);
    expect(pending(node)).toEqual([]);
  });
});
