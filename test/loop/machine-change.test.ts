import { describe, expect, it } from 'vitest';
import { type LoopState, recordOf } from '../../src/core/loop-state.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import { missing } from '../../src/core/reading.ts';
import { mib } from '../../src/core/units.ts';
import { recordDrift } from '../../src/loop/drift.ts';
import { observe } from '../../src/loop/observe.ts';
import { everyone, machine, policy, vmid } from '../core/builders.ts';
import type { FakeNode } from './fake-node.ts';
import {
  change,
  fewerCores,
  lessMemory,
  nodeWith,
  ofCores,
  ofMemory,
  pending,
  REFUSED,
  refusing,
  TIMED_OUT,
} from './machines.ts';

/** What is remembered of a change of a machine that went half its way. */

const recordIn = (state: LoopState) => recordOf(state, vmid(200));

/** The command brings about no more than this, and fails. */
function halfWay(node: FakeNode, values: Partial<GuestConfig>): void {
  node.pct = (request) => {
    if (request.revert !== undefined) return node.apply(request);
    node.write(200, values);
    return REFUSED;
  };
}

const both = { ...fewerCores, ...ofMemory(2048, 4096) };

it('memory is not taken where the node does not tell what its guests need of it', async () => {
  const node = nodeWith();
  node.tellsNeed = false;
  const state = await change(node, lessMemory);
  expect(node.get(200).config.memoryMib).toBe(2048);
  expect(recordIn(state).failure).toBeUndefined();
  expect(node.lines.join()).toContain('what it needs of its memory cannot be seen from here');
  node.tellsNeed = true;
  await change(node, lessMemory);
  expect(node.get(200).config.memoryMib).toBe(1024);
});

describe('a change of a machine that went half its way', () => {
  it('has taken what it took', async () => {
    const node = nodeWith();
    halfWay(node, { cores: 3 });
    const state = await change(node, fewerCores);
    const { known, running, cores, failure } = recordIn(state);
    expect(known).toMatchObject({ cores: 3, memoryMib: 2048 });
    expect(running?.cores).toBe(3);
    expect(cores.changedMs).toBe(node.nowMs);
    expect(failure?.count).toBe(1);
    expect(node.linesOf('WARN')[0]).toContain('PARTLY. VM 200');
  });

  it('has granted what it gave, and nothing of the rest', async () => {
    const node = nodeWith();
    halfWay(node, { memoryMib: mib(3072) });
    const { grantMib, known, memory, cores } = recordIn(await change(node, both));
    expect([grantMib, known?.memoryMib, memory.grownMs]).toEqual([1024, 3072, node.nowMs]);
    expect([known?.cores, cores.changedMs]).toEqual([4, undefined]);
  });

  it('is undone at the end of a boost from what it reached', async () => {
    const more = ofCores(4, 8, { rule: 'saturated', boostMs: 120_000 });
    const node = nodeWith();
    halfWay(node, { cores: 6 });
    expect(recordIn(await change(node, more)).cores.boost).toMatchObject({ before: 4, boosted: 6 });
    const still = nodeWith();
    halfWay(still, { memoryMib: mib(2048 + 512) });
    const other = recordIn(await change(still, { ...more, ...ofMemory(2048, 4096) }));
    expect([other.cores.boost, other.grantMib]).toEqual([undefined, 512]);
  });

  it('that is in force though something of it could not be dropped has granted all', async () => {
    const node = nodeWith();
    node.pct = (request) => {
      if (request.revert !== undefined) return REFUSED;
      node.write(200, { memoryMib: mib(4096), pendingKeys: ['balloon'] });
      return REFUSED;
    };
    const { grantMib, known, failure } = recordIn(await change(node, ofMemory(2048, 4096)));
    expect([grantMib, known?.memoryMib, failure?.count]).toEqual([2048, 4096, 1]);
  });

  it('whose command was cut off is ours if it comes about later', async () => {
    const node = nodeWith();
    node.pct = () => TIMED_OUT;
    const state = await change(node, fewerCores);
    const look = (cores: number, passMs: number): void => {
      node.write(200, { cores });
      node.pass(passMs);
      const observed = observe(node.world, state, everyone());
      if (!observed.ok) throw new Error(observed.detail);
      recordDrift(node.world, state, observed.value, () => ({
        kind: 'managed',
        policy: policy(),
        mode: 'act',
        because: 'DEFAULT',
      }));
    };
    for (const cores of [4, 3, 1]) look(cores, 60_000);
    const { cores, known, intended } = recordIn(state);
    expect([cores.handHoldMs, known?.cores, intended]).toEqual([undefined, 1, undefined]);
    const told = node.events.flatMap(({ kind, details }) => (kind === 'change' ? [details] : []));
    expect(told.map(({ status, after }) => [status, after])).toEqual([
      ['failed', 1],
      ['confirmed', 1],
    ]);
    // From now on it is somebody's hand.
    look(2, 60_000);
    expect(recordIn(state).cores.handHoldMs).toBeDefined();
  });

  it('is none where its guest keeps a module: nothing is pending, it may grow', async () => {
    const node = nodeWith();
    const oneWay = { why: 'its balloon does not follow', remedy: 'none' };
    const reach = { memoryMib: { min: 2048, oneWay, unpluggedTo: 1536 } };
    const assigned = { assignedMib: mib(2048), digest: '0'.repeat(40) };
    node.write(200, machine(200, assigned, reach));
    refusing(node, ['memory'], REFUSED);
    const planned = ofMemory(2048, 1536);
    const memory = planned.memory && { ...planned.memory, unplugs: true as const };
    const state = await change(node, { ...planned, ...(memory && { memory }) });
    const { failure, life, unsettled, known } = recordIn(state);
    expect(pending(node)).toEqual([]);
    expect([failure, unsettled, life.shrinkRetry?.count]).toEqual([undefined, undefined, 1]);
    expect(known?.memoryMib ?? 2048).toBe(2048);
    expect(node.linesOf('WARN').join()).toContain('its guest keeps the module beyond 1536 MB');
  });

  it('of one that has left the node meanwhile tells of nothing that was refused', async () => {
    const node = nodeWith();
    node.pct = (request) => {
      node.get(200).configMissing = missing('absent', '200.conf is not there');
      return node.apply(request);
    };
    const state = await change(node, ofCores(4, 2));
    const [said = ''] = node.linesOf('ERROR');
    expect(said).toContain('It is not on this node any more, so what came of it is not known');
    expect(said).not.toContain('refused');
    // If it comes back soon, what waits there is dropped.
    expect(recordIn(state).unsettled).toBeDefined();
  });

  it('is no success where the live cpulimit cannot be read', async () => {
    const node = nodeWith();
    node.pct = (request) => {
      node.get(200).cpuLimitMissing = missing('unreadable', 'it hangs');
      return node.apply(request);
    };
    await change(node, ofCores(4, 2, { unit: 'cpulimit' }));
    expect(node.linesOf('ERROR')[0]).toContain('What came of it is not known: it hangs');
  });
});
