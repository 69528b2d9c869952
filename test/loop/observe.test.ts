import { describe, expect, it } from 'vitest';
import { lacksLimit } from '../../src/core/capabilities.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type { ContainerObservation, ContainerUsage } from '../../src/core/observation.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import { type Observed, observe } from '../../src/loop/observe.ts';
import { sample } from '../../src/loop/sample.ts';
import { broken, everyone, gone, host, remembered, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

function see(node: FakeNode, state: LoopState): Observed {
  const observed = observe(node.world, state, everyone());
  if (!observed.ok) throw new Error(observed.detail);
  return observed.value;
}

function only(observed: Observed): ContainerObservation {
  const [first] = observed.containers;
  if (first === undefined) throw new Error('no container was seen');
  return first;
}

function usageOf({ state }: ContainerObservation): ContainerUsage {
  if (state.kind !== 'running') throw new Error(`it is ${state.kind}`);
  return state.usage;
}

/** A state in which everything is known of container 101. */
function fullState(): LoopState {
  const state = newLoopState();
  const id = vmid(101);
  recordOf(state, id).grantMib = mib(512);
  recordOf(state, id).failure = { count: 1, retryAtMs: milliseconds(9e9) };
  recordOf(state, id).life.pendingCores = { cores: 4, sinceMs: milliseconds(0), warned: false };
  recordOf(state, id).life.oomKillMs = milliseconds(0);
  recordOf(state, id).loggedSkip = 'locked';
  recordOf(state, vmid(101)).cores.loggedHold = 'at-maximum';
  return state;
}

describe('observing', () => {
  it('sees every container, in the order of the ids', () => {
    const node = new FakeNode();
    for (const id of [1000, 102, 999]) node.add(id);
    const { containers, atMs } = see(node, newLoopState());
    expect(containers.map((each) => each.vmid)).toEqual([102, 999, 1000]);
    expect(atMs).toBe(node.nowMs);
  });

  it('counts each kill once, whether a sample between the cycles or an early cycle saw it', () => {
    const node = new FakeNode();
    const state = newLoopState();
    const one = node.add(101);
    const kill = (kills: number): void => {
      node.pass(10_000);
      one.memory = { current: 400, anon: 400, oomKills: kills };
    };
    const kept = () => recordOf(state, vmid(101)).shortages?.kills;
    see(node, state);
    kill(1);
    sample(node.world, state, { urgentSamples: 2, ...everyone() });
    kill(2);
    sample(node.world, state, { urgentSamples: 2, ...everyone() });
    kill(4);
    observe(node.world, state, { ...everyone(), urgent: new Set([vmid(101)]) });
    expect(kept()).toBe(4);
    kill(5);
    see(node, state);
    expect(kept()).toBe(5);
  });

  it('has no CPU rate in the first cycle, and one over the real time in the second', () => {
    const node = new FakeNode();
    node.add(101).load = 1.5;
    const state = newLoopState();
    const first = usageOf(only(see(node, state)));
    expect(first.cpu).toMatchObject({ ok: false, why: 'first-sample' });
    expect(first.memory).toMatchObject({ value: { workingSetMib: 400, limitMib: 1024 } });
    node.pass(7321);
    const second = usageOf(only(see(node, state)));
    expect(second.cpu).toMatchObject({ value: { used: 1.5, allowed: 2, overMs: 7321 } });
  });

  it('knows the limits of those too that an early decision does not look at', () => {
    const node = new FakeNode();
    node.add(101);
    node.add(102);
    const state = newLoopState();
    see(node, state);
    node.write(102, { memoryMib: mib(4096) });
    const early = observe(node.world, state, { ...everyone(), urgent: new Set([vmid(101)]) });
    expect(early).toMatchObject({ value: { containers: [{ vmid: 101 }] } });
    expect(state.guests.get(vmid(102))?.running?.memoryMib).toBe(4096);
    node.add(103);
    node.add(104).running = false;
    observe(node.world, state, { ...everyone(), urgent: new Set([vmid(101)]) });
    expect([...remembered(state, 'running').keys()]).toEqual([101, 102, 103]);
  });

  it('is missing as a whole where nothing can be listed, and forgets nothing then', () => {
    const node = new FakeNode();
    node.listMissing = gone('/etc/pve/lxc is not there');
    const state = fullState();
    expect(observe(node.world, state, everyone())).toEqual(gone('/etc/pve/lxc is not there'));
    expect(state).toEqual(fullState());
  });

  it('takes a container without cgroup for stopped', () => {
    const node = new FakeNode();
    node.add(101).running = false;
    expect(only(see(node, newLoopState())).state).toEqual({ kind: 'stopped' });
  });

  it('does not take one whose cgroup cannot be read for stopped, nor for idle', () => {
    const node = new FakeNode();
    node.add(101).sampleMissing = broken('EIO');
    const { state } = only(see(node, newLoopState()));
    expect(state).toEqual({ kind: 'unknown', reason: broken('EIO') });
  });

  it('sees memory though the configuration cannot be read, and no CPU share', () => {
    const node = new FakeNode();
    node.add(101).configMissing = broken('101.conf');
    const state = newLoopState();
    see(node, state);
    node.pass(1000);
    const { cpu, memory } = usageOf(only(see(node, state)));
    expect([cpu, memory.ok]).toEqual([broken('101.conf'), true]);
  });

  it('has no CPU rate while the CPUs of the host cannot be counted', () => {
    const node = new FakeNode();
    node.add(101);
    const state = newLoopState();
    see(node, state);
    node.pass(1000);
    node.seen = host({ cpus: broken('/proc/stat') });
    expect(usageOf(only(see(node, state))).cpu).toEqual(broken('/proc/stat'));
  });

  it('bridges a cycle that could not read: the rate is that of the whole time', () => {
    const node = new FakeNode();
    const one = node.add(101);
    const state = newLoopState();
    see(node, state);
    one.sampleMissing = broken();
    node.pass(1000);
    see(node, state);
    one.sampleMissing = undefined;
    node.pass(1000);
    const { cpu } = usageOf(only(see(node, state)));
    expect(cpu).toMatchObject({ ok: true, value: { overMs: 2000, used: 1 } });
  });

  it('notes when a life began: of one that was stopped, was restarted, or is new', () => {
    const node = new FakeNode();
    const one = node.add(101);
    node.add(102);
    const state = newLoopState();
    state.cycle = 1;
    see(node, state);
    expect(remembered(state, 'startedMs').size).toBe(0);
    state.cycle = 2;
    one.running = false;
    node.get(102).identity = 9102;
    node.add(103);
    node.pass(1000);
    see(node, state);
    expect([...remembered(state, 'startedMs').keys()]).toEqual([101, 102, 103]);
    const lastSeenStopped = node.nowMs;
    one.running = true;
    node.pass(1000);
    see(node, state);
    expect(state.guests.get(vmid(101))?.life.startedMs).toBe(lastSeenStopped);
  });

  it('remembers when an OOM kill was seen', () => {
    const node = new FakeNode();
    const one = node.add(101);
    const state = newLoopState();
    see(node, state);
    expect(remembered(state, 'oomKillMs').size).toBe(0);
    node.pass(1000);
    one.memory = { oomKills: 1 };
    expect(usageOf(only(see(node, state))).memory).toMatchObject({ value: { newOomKills: 1 } });
    expect(state.guests.get(vmid(101))?.life.oomKillMs).toBe(node.nowMs);
  });

  it('remembers a wait for memory, and calls it no kill', () => {
    const node = new FakeNode();
    const one = node.add(101);
    const state = newLoopState();
    see(node, state);
    node.pass(1000);
    one.memory = { current: 1020, anon: 1010, limitHits: 3 };
    see(node, state);
    const life = state.guests.get(vmid(101))?.life;
    expect([life?.heldBackMs, life?.oomKillMs]).toEqual([node.nowMs, undefined]);
  });
});

describe('a container that stands still', () => {
  function watched() {
    const node = new FakeNode();
    const one = node.add(101);
    const state = newLoopState();
    const cycle = () => {
      node.pass(10_000);
      return only(see(node, state));
    };
    const look = () => {
      node.pass(2000);
      return sample(node.world, state, { urgentSamples: 2, ...everyone() });
    };
    for (let times = 0; times < 3; times += 1) cycle();
    return { node, one, state, cycle, look };
  }

  it('is frozen, not idle, and no rate reaches over that time', () => {
    const { one, state, cycle } = watched();
    expect(state.guests.get(vmid(101))?.life.seen.cores).toHaveLength(1);
    one.life = { frozen: true };
    one.load = 0;
    for (let times = 0; times < 5; times += 1) {
      expect(cycle().state).toEqual({ kind: 'frozen' });
    }
    expect([state.guests.get(vmid(101))?.life.seen, remembered(state, 'interval').size]).toEqual([
      { cores: [], memory: [] },
      0,
    ]);
    expect([...remembered(state, 'running').keys()]).toEqual([101]);
    expect(remembered(state, 'startedMs').size).toBe(0);
    one.life = {};
    one.load = 1;
    one.memory = { refaults: 100_000 };
    const { cpu, memory } = usageOf(cycle());
    expect(cpu).toMatchObject({ ok: false, why: 'frozen' });
    expect(memory).toMatchObject({ ok: true, value: { refaultMibPerS: 0, pressure: undefined } });
    expect(usageOf(cycle()).cpu).toMatchObject({ ok: true, value: { used: 1 } });
  });

  it('for a while between two cycles has no rate in the next one', () => {
    const { one, cycle, look } = watched();
    one.life = { frozen: true };
    one.load = 0;
    expect(look()).toEqual({ urgent: new Set(), suspicious: false });
    one.life = {};
    look();
    expect(usageOf(cycle()).cpu).toMatchObject({ ok: false, why: 'frozen' });
  });

  it('is not urgent, though its boost is over: that waits', () => {
    const { node, one, state, look } = watched();
    recordOf(state, vmid(101)).cores.boost = {
      before: 1,
      boosted: 2,
      endMs: milliseconds(node.nowMs),
    };
    one.life = { frozen: true };
    for (let times = 0; times < 3; times += 1) expect(look().urgent.size).toBe(0);
    one.life = {};
    look();
    expect([...look().urgent]).toEqual([101]);
  });

  it('whose cgroup was left behind has stopped, and begins a new life afterwards', () => {
    const { one, state, cycle } = watched();
    one.life = { populated: false };
    expect(cycle().state).toEqual({ kind: 'stopped', leftBehind: true });
    expect([remembered(state, 'sample').size, remembered(state, 'running').size]).toEqual([0, 0]);
    one.life = {};
    expect(usageOf(cycle()).cpu).toMatchObject({ why: 'first-sample' });
    expect(remembered(state, 'startedMs').size).toBe(1);
  });
});

describe('a kernel that lacks a controller', () => {
  it('is told of in one sentence, and CPU is seen as ever', () => {
    const node = new FakeNode();
    for (let id = 101; id < 131; id += 1) node.add(id).memoryMissing = gone('memory.current');
    node.liveLimits = new Set(['cpuset', 'cpu']);
    const state = newLoopState();
    for (let times = 0; times < 3; times += 1) see(node, state);
    expect(lacksLimit(state, 'memory')).toBe(true);
    const [line, ...more] = node.linesOf('WARN');
    expect([line, more]).toEqual([expect.stringContaining('`cgroup_enable=memory`'), []]);
    expect(node.linesOf('INFO').filter((said) => /reclaim/.test(said))).toEqual([]);
  });
});

it.each([
  ['Container', {}],
  ['VM', { kind: 'qemu' } as const],
])('a process that the host has ended in a %s is no sign of a small limit', (what, kind) => {
  const node = new FakeNode();
  const one = node.add(101, kind);
  const state = newLoopState();
  see(node, state);
  one.memory = { hostKills: 1 };
  node.pass(1000);
  see(node, state);
  expect(node.linesOf('WARN')).toEqual([
    `WARN: ${what} 101: the host was out of memory and ended a process in it; ` +
      'its own limit was not the cause, so it is not raised for that',
  ]);
  expect([remembered(state, 'oomFloor').size, remembered(state, 'oomKillMs').size]).toEqual([0, 1]);
});

it('a limit under which it was killed is remembered, one inside of it is not', () => {
  const node = new FakeNode();
  const one = node.add(101);
  const state = newLoopState();
  see(node, state);
  one.memory = { nestedKills: 3, nestedHits: 200 };
  node.pass(1000);
  see(node, state);
  expect([remembered(state, 'oomFloor').size, remembered(state, 'oomKillMs').size]).toEqual([0, 0]);
  one.memory = { nestedKills: 3, nestedHits: 200, oomKills: 1, limitHits: 30 };
  node.pass(1000);
  see(node, state);
  expect(state.guests.get(vmid(101))?.oomFloor).toEqual({ limitMib: 1024, atMs: node.nowMs });
});

describe('a new life', () => {
  it('begins with a restart: what was seen of the old one does not count', () => {
    const node = new FakeNode();
    const one = node.add(101);
    const state = fullState();
    see(node, state);
    one.identity = 7;
    one.memory = { oomKills: 3 };
    node.pass(1000);
    const { cpu, memory } = usageOf(only(see(node, state)));
    expect(cpu).toMatchObject({ why: 'first-sample' });
    expect(memory).toMatchObject({ value: { newOomKills: 0 } });
    expect([remembered(state, 'pendingCores').size, remembered(state, 'oomKillMs').size]).toEqual([
      0, 0,
    ]);
  });

  it('keeps the memory that was granted: the raised limit is still its own', () => {
    const node = new FakeNode();
    const one = node.add(101);
    const state = fullState();
    see(node, state);
    one.running = false;
    see(node, state);
    one.running = true;
    one.identity = 7;
    see(node, state);
    expect(state.guests.get(vmid(101))?.grantMib).toBe(512);
    expect(remembered(state, 'failure').size).toBe(1);
  });

  it('of a stopped container has no earlier sample', () => {
    const node = new FakeNode();
    const one = node.add(101);
    const state = newLoopState();
    see(node, state);
    one.running = false;
    see(node, state);
    expect(remembered(state, 'sample').size).toBe(0);
    one.running = true;
    node.pass(1000);
    expect(usageOf(only(see(node, state))).cpu).toMatchObject({ why: 'first-sample' });
  });
});

describe('a container that is gone from this node', () => {
  it('is forgotten altogether, and the others are not', () => {
    const node = new FakeNode();
    node.add(101);
    node.add(1010);
    const state = fullState();
    recordOf(state, vmid(1010)).grantMib = mib(16);
    recordOf(state, vmid(1010)).loggedSkip = 'locked';
    see(node, state);
    node.containers.delete(vmid(101));
    see(node, state);
    expect([...state.guests.keys()]).toEqual([101, 1010]);
    node.pass(60_000);
    see(node, state);
    expect([...state.guests.keys()]).toEqual([1010]);
    const { life, grantMib, loggedSkip: saidSkipped } = recordOf(state, vmid(1010));
    expect([life.sample !== undefined, grantMib, saidSkipped]).toEqual([true, 16, 'locked']);
  });
});

it('a container that one list lacks keeps what is known of it, and its limit counts', () => {
  const node = new FakeNode();
  const one = node.add(101);
  const state = newLoopState();
  see(node, state);
  recordOf(state, vmid(101)).grantMib = mib(16);
  node.containers.delete(vmid(101));
  node.pass(30_000);
  see(node, state);
  expect(recordOf(state, vmid(101)).running?.memoryMib).toBe(1024);
  node.containers.set(vmid(101), one);
  node.pass(30_000);
  see(node, state);
  expect(recordOf(state, vmid(101))).toMatchObject({ grantMib: 16, awaySinceMs: undefined });
});

describe('a container that cannot be read for a while', () => {
  it('still counts with the limit that it had, until it is seen stopped', () => {
    const node = new FakeNode();
    const one = node.add(101);
    const state = newLoopState();
    see(node, state);
    one.sampleMissing = broken('EIO');
    see(node, state);
    one.configMissing = broken('101.conf');
    see(node, state);
    expect(state.guests.get(vmid(101))?.running?.memoryMib).toBe(1024);
    one.sampleMissing = undefined;
    one.running = false;
    see(node, state);
    expect(remembered(state, 'running').size).toBe(0);
  });
});

it('what was intended for a container that is gone is forgotten with it', () => {
  const node = new FakeNode();
  const state = newLoopState();
  recordOf(state, vmid(101)).intended = { cores: 2, cpuLimit: null, memoryMib: mib(512) };
  see(node, state);
  node.pass(60_000);
  see(node, state);
  expect(remembered(state, 'intended').size).toBe(0);
});
