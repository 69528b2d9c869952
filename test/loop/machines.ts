import type { Change } from '../../src/core/decision.ts';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import type { PlannedChange } from '../../src/core/plan.ts';
import { act } from '../../src/loop/act.ts';
import { observe } from '../../src/loop/observe.ts';
import type { CommandOutcome } from '../../src/node/port.ts';
import {
  AMPLE_ROOM,
  coresChange,
  everyone,
  machine,
  memoryChange,
  vmid,
} from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

/** Changes of a machine on the fake node. */

const IN_USE = { current: 900, anon: 900 };

/** A machine with 4 vCPUs, 2048 MB of 8192, and these keys pending. */
export function nodeWith(pendingKeys: readonly string[] = []): FakeNode {
  const node = new FakeNode();
  node.add(200, machine(200, { pendingKeys, digest: '0'.repeat(40) }), IN_USE);
  return node;
}

const VM = { vmid: vmid(200), name: 'vm', kind: 'qemu' } as const;

export const ofCores = (
  before: number,
  after: number,
  own: Partial<Change> = {},
): PlannedChange => ({
  ...VM,
  cores: coresChange(200, before, after, { kind: 'qemu', ...own }),
});
export const ofMemory = (before: number, after: number): PlannedChange => ({
  ...VM,
  memory: memoryChange(200, before, after, { kind: 'qemu' }),
});
export const fewerCores = ofCores(4, 1);
export const lessMemory = ofMemory(2048, 1024);

export async function change(
  node: FakeNode,
  planned: PlannedChange,
  state: LoopState = newLoopState(),
): Promise<LoopState> {
  const observed = observe(node.world, state, everyone());
  if (!observed.ok) throw new Error(observed.detail);
  const { hands } = node.world;
  const stop = new AbortController().signal;
  const context = { observed: observed.value, headroom: AMPLE_ROOM, hands, stop, cycle: 1 };
  await act(node.world, state, [planned], context);
  return state;
}

export const pending = (node: FakeNode): readonly string[] => node.get(200).config.pendingKeys;

/** The guest refuses, and these are pending then. */
export function refusing(node: FakeNode, keys: readonly string[], outcome: CommandOutcome): void {
  node.pct = (request) => {
    if (request.revert !== undefined) return node.apply(request);
    node.write(200, { pendingKeys: [...pending(node), ...keys] });
    return outcome;
  };
}

export const REFUSED: CommandOutcome = {
  kind: 'failed',
  why: 'other',
  exitCode: 255,
  message: 'error unplugging cpu4',
};
export const TIMED_OUT: CommandOutcome = {
  kind: 'timed-out',
  afterMs: 40_000 as never,
  message: 'no answer',
};
