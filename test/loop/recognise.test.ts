import { describe, expect, it } from 'vitest';
import { guestIdentity } from '../../src/core/identity.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import { observe } from '../../src/loop/observe.ts';
import { everyone, identity, remembered, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);

describe('what is remembered of a guest', () => {
  it('is in one record, and what else the state holds is of the host or of the loop', () => {
    const others = Object.keys(newLoopState()).filter((name) => name !== 'guests');
    expect(others.sort()).toEqual([
      'capabilities',
      'connection',
      'cycle',
      'hostCpu',
      'hostCpus',
      'pause',
      'refusedWrites',
      'unrecorded',
    ]);
  });
});

/** A node with 101, seen twice; then all that can be remembered of it is. */
function known() {
  const node = new FakeNode();
  node.add(101);
  const state = newLoopState();
  const look = () => {
    node.pass(60_000);
    state.cycle += 1;
    const observed = observe(node.world, state, everyone());
    if (!observed.ok) throw new Error(observed.detail);
    return observed.value;
  };
  look();
  look();
  const model = state.guests.get(vmid(101))?.memory.model;
  if (model !== undefined) model.rise = 9999;
  recordOf(state, vmid(101)).cores.boost = { before: 2, boosted: 3, endMs: milliseconds(9e9) };
  recordOf(state, vmid(101)).memory.offPeak = { before: 2048, givenBackMs: undefined };
  recordOf(state, ID).grantMib = mib(512);
  recordOf(state, ID).oomFloor = { limitMib: 1024, atMs: milliseconds(0) };
  recordOf(state, ID).failure = { count: 3, retryAtMs: milliseconds(9e9) };
  recordOf(state, ID).life.shrinkRetry = { count: 3, retryAtMs: milliseconds(9e9) };
  recordOf(state, vmid(101)).cores.handHoldMs = milliseconds(9e9);
  recordOf(state, ID).known = { cores: 2, cpuLimit: null, memoryMib: mib(1024) };
  recordOf(state, ID).intended = { cores: 8, cpuLimit: null, memoryMib: mib(1024) };
  return { node, state, look };
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;

/** The names of the fields in which something is known of 101. */
function known101({ guests }: LoopState): string[] {
  const names: string[] = [];
  const collect = (holder: object): void => {
    for (const [name, value] of Object.entries(holder)) {
      const isRecord = ['life', 'cores', 'memory', 'seen'].includes(name) && !Array.isArray(value);
      if (isRecord) collect(value);
      else if (value !== undefined && !isEmpty(value)) names.push(name);
    }
  };
  collect(guests.get(ID) ?? {});
  return names.sort();
}

/** What the observation itself has just seen of it. */
const SEEN_NOW = [
  'identity',
  'interval',
  'memory',
  'model',
  'running',
  'sample',
  'shortages',
  'startedMs',
];

const AGAIN = { identity: identity(101, 1) };
const saidOfOthers = ({ lines }: FakeNode): string[] =>
  lines.filter((line) => line.includes('is not the guest that had this id before'));

describe('another guest under a known id', () => {
  it.each([
    ['made again on the same storage', AGAIN.identity],
    [
      'with a fixed address on another volume',
      guestIdentity('zfs:subvol-101-disk-1', ['hwaddr=BC:24:11:00:00:01']),
    ],
  ])('inherits nothing: %s', (_, other) => {
    const { node, state, look } = known();
    node.write(101, { identity: other });
    look();
    expect(known101(state)).toEqual(SEEN_NOW);
    expect(state.guests.get(vmid(101))?.memory.model?.rise).toBe(0);
    expect(state.guests.get(vmid(101))?.shortages?.limitHits).toBe(0);
    expect(saidOfOthers(node)).toHaveLength(1);
    expect(saidOfOthers(node)[0]).toContain(
      'nor a boost to 3 cores (2 cores before), ' +
        'nor what the off-peak time has taken (2048 MB before)',
    );
    look();
    expect(saidOfOthers(node)).toHaveLength(1);
  });

  it.each([0, 8])('counts as just started, after cycle %i', (cycle) => {
    const { node, state, look } = known();
    state.cycle = cycle;
    node.write(101, AGAIN);
    look();
    expect(state.guests.get(ID)?.life.startedMs).toBe(node.nowMs);
  });

  it('that cannot be recognised has nothing remembered, again and again', () => {
    const { node, state, look } = known();
    node.write(101, { identity: undefined });
    for (let cycle = 0; cycle < 3; cycle++) {
      look();
      expect(state.guests.get(ID)?.life.sample !== undefined).toBe(true);
      expect(
        remembered(state, 'boost').size +
          remembered(state, 'grantMib').size +
          remembered(state, 'identity').size,
      ).toBe(0);
      recordOf(state, ID).grantMib = mib(1);
    }
    expect(saidOfOthers(node)).toHaveLength(1);
    expect(saidOfOthers(node)[0]).toContain('no readable rootfs line');
  });

  it('whose identity could not be read before does not get what was gathered meanwhile', () => {
    const { node, state, look } = known();
    node.write(101, { identity: undefined });
    look();
    recordOf(state, ID).known = { cores: 7, cpuLimit: null, memoryMib: mib(1024) };
    recordOf(state, ID).grantMib = mib(1);
    node.write(101, AGAIN);
    look();
    expect(state.guests.get(ID)?.grantMib !== undefined).toBe(false);
  });

  it('is not made of one device replaced after the other', () => {
    const { node, state, look } = known();
    const nets = (...last: readonly number[]) =>
      guestIdentity(
        'local-lvm:vm-101-disk-0',
        last.map((each) => `hwaddr=BC:24:11:00:00:0${each}`),
      );
    node.write(101, { identity: nets(1, 2) });
    look();
    node.write(101, { identity: nets(2, 3) });
    look();
    node.write(101, { identity: nets(3) });
    look();
    expect(state.guests.get(vmid(101))?.cores.boost !== undefined).toBe(true);
    expect(saidOfOthers(node)).toEqual([]);
  });
});

describe('a state that names no guests', () => {
  const old = (memoryMib: number) => {
    const { node, state, look } = known();
    for (const each of state.guests.values()) each.identity = undefined;
    node.write(101, { memoryMib: mib(memoryMib), ...AGAIN });
    look();
    return { state, node };
  };

  it('belongs to the guest that has the values in it', () => {
    const { state } = old(1024);
    expect(state.guests.get(vmid(101))?.cores.boost !== undefined).toBe(true);
    expect(state.guests.get(ID)?.identity).toBe(AGAIN.identity);
  });

  it('does not belong to one that has other values', () => {
    expect(known101(old(8192).state)).not.toContain('boost');
  });
});

describe('a hold by hand', () => {
  const holdsOf = (guest: ReturnType<typeof identity> | undefined): number => {
    const { node, look } = known();
    const hold = { untilMs: milliseconds(9e9), reason: 'by hand', ...(guest && { guest }) };
    node.holds.set(ID, hold);
    return look().holds.size;
  };

  it('holds the guest that it is about', () => expect(holdsOf(identity(101))).toBe(1));
  it('holds no other guest with this id', () => expect(holdsOf(identity(101, 1))).toBe(0));
  it('of an earlier release, which names none, holds', () => expect(holdsOf(undefined)).toBe(1));
});
