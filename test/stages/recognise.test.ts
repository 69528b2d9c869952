import { describe, expect, it } from 'vitest';
import { forgetGuests } from '../../src/core/forget.ts';
import { guestIdentity } from '../../src/core/identity.ts';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import { observe } from '../../src/stages/observe.ts';
import { everyone, identity, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);

/** Every map of the state with entries of 101 and of 102, under both kinds of keys. */
function filled(): LoopState {
  const state = newLoopState();
  for (const map of Object.values(state)) {
    if (!(map instanceof Map)) continue;
    for (const id of [101, 102]) {
      for (const key of [id, `${id}/`, `${id}/cores`, `${id}/memory`])
        map.set(key as never, {} as never);
    }
  }
  return state;
}

const idsIn = (state: LoopState): ReadonlySet<string> =>
  new Set(
    Object.entries(state).flatMap(([name, map]) =>
      map instanceof Map
        ? [...map.keys()].map((key) => `${name}: ${Number.parseInt(`${key}`, 10)}`)
        : [],
    ),
  );

describe('what is remembered of a guest', () => {
  it('is kept in maps under its id, and nowhere else', () => {
    const others = Object.entries(newLoopState()).filter(([, value]) => !(value instanceof Map));
    // What is no map must be about the host or the loop: forgetGuests does not reach into it.
    expect(others.map(([name]) => name)).toEqual([
      ...['cycle', 'hostCpus', 'reclaimSupported', 'lacking', 'hostCpu', 'unrecorded'],
      ...['pause', 'refusedWrites'],
    ]);
  });

  it('is dropped as a whole, and that of no other guest', () => {
    const state = filled();
    const before = [...idsIn(state)];
    expect(before.filter((each) => each.endsWith(' 101')).length).toBeGreaterThan(20);
    forgetGuests(state, (id) => id === ID);
    expect([...idsIn(state)]).toEqual(before.filter((each) => each.endsWith(' 102')));
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
  const learnt = state.learnt.get('101/memory');
  if (learnt !== undefined) learnt.rise = 9999;
  state.boosts.set('101/cores', { before: 2, boosted: 3, endMs: milliseconds(9e9) });
  state.offPeak.set('101/memory', { before: 2048, givenBackMs: undefined });
  state.grants.set(ID, mib(512));
  state.oomFloors.set(ID, { limitMib: 1024, atMs: milliseconds(0) });
  state.failures.set(ID, { count: 3, retryAtMs: milliseconds(9e9) });
  state.shrinkRetry.set(ID, { count: 3, retryAtMs: milliseconds(9e9) });
  state.handHolds.set('101/cores', milliseconds(9e9));
  state.known.set(ID, { cores: 2, cpuLimit: null, memoryMib: mib(1024) });
  state.intended.set(ID, { cores: 8, cpuLimit: null, memoryMib: mib(1024) });
  return { node, state, look };
}

/** What the observation itself has just seen of it. */
const SEEN_NOW = [
  ...['identities', 'samples', 'between', 'running', 'seenCores', 'seenMemory', 'startedMs'],
  'learnt',
];
const of101 = (state: LoopState): string[] =>
  [...idsIn(state)].filter((each) => each.endsWith(' 101')).map((each) => each.slice(0, -5));

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
    expect(of101(state).sort()).toEqual([...SEEN_NOW].sort());
    expect(state.learnt.get('101/memory')?.rise).toBe(0);
    expect(saidOfOthers(node)).toHaveLength(1);
    expect(saidOfOthers(node)[0]).toContain(
      'nor a boost to 3 cores (2 cores before), ' +
        'nor what the off-peak time has taken (2048 MB before)',
    );
    look();
    expect(saidOfOthers(node)).toHaveLength(1);
  });

  it('counts as just started', () => {
    const { node, state, look } = known();
    node.write(101, AGAIN);
    look();
    expect(state.startedMs.get(ID)).toBe(node.nowMs);
  });

  it('that cannot be recognised has nothing remembered, again and again', () => {
    const { node, state, look } = known();
    node.write(101, { identity: undefined });
    for (let cycle = 0; cycle < 3; cycle++) {
      look();
      expect(state.samples.has(ID)).toBe(true);
      expect(state.boosts.size + state.grants.size + state.identities.size).toBe(0);
      state.grants.set(ID, mib(1));
    }
    expect(saidOfOthers(node)).toHaveLength(1);
    expect(saidOfOthers(node)[0]).toContain('no readable rootfs line');
  });

  it('whose identity could not be read before does not get what was gathered meanwhile', () => {
    const { node, state, look } = known();
    node.write(101, { identity: undefined });
    look();
    state.known.set(ID, { cores: 7, cpuLimit: null, memoryMib: mib(1024) });
    state.grants.set(ID, mib(1));
    node.write(101, AGAIN);
    look();
    expect(state.grants.has(ID)).toBe(false);
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
    expect(state.boosts.has('101/cores')).toBe(true);
    expect(saidOfOthers(node)).toEqual([]);
  });
});

describe('a state that names no guests', () => {
  const old = (memoryMib: number) => {
    const { node, state, look } = known();
    state.identities.clear();
    node.write(101, { memoryMib: mib(memoryMib), ...AGAIN });
    look();
    return { state, node };
  };

  it('belongs to the guest that has the values in it', () => {
    const { state } = old(1024);
    expect(state.boosts.has('101/cores')).toBe(true);
    expect(state.identities.get(ID)).toBe(AGAIN.identity);
  });

  it('does not belong to one that has other values', () => {
    expect(of101(old(8192).state)).not.toContain('boosts');
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
