import { afterEach, describe, expect, it } from 'vitest';
import type { Capabilities } from '../../src/core/capabilities.ts';
import { notesIn } from '../../src/core/guest-notes.ts';
import { guestState } from '../../src/core/guest-state.ts';
import type { CgroupSample, GuestConfig } from '../../src/core/observation.ts';
import { bytesToMib, mib, mibToBytes, type Vmid } from '../../src/core/units.ts';
import type { CommandOutcome, NodeEyes, NodeHands, SetRequest } from '../../src/node/port.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { vmid } from '../core/builders.ts';

/**
 * What every node behind the seam keeps to, whatever it is made of. A new backend is one that
 * passes these; a double that does not proves nothing of what it stands in for.
 */

/** A node with 101 and 102: each has 2 cores and 1024 MB, runs, and nothing else is at work. */
export interface NodeUnderContract {
  readonly eyes: NodeEyes;
  readonly hands: NodeHands;
  /** What an administrator, the kernel or the cluster does meanwhile. */
  readonly world: {
    start(id: number): void;
    stop(id: number): void;
    freeze(id: number): void;
    /** It stops, and its cgroup stays without a process. */
    leaveBehind(id: number): void;
    destroy(id: number): void;
    lock(id: number): void;
    setQuorum(quorate: boolean): void;
    /** pvestatd takes the configured cores to the cpusets. */
    rebalance(): void;
  };
  /** Lets the time pass that something takes. */
  during<T>(work: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** What happens on a simulated node. */
export const worldOf = (node: SimulatedNode): NodeUnderContract['world'] => ({
  start: (id) => node.startContainer(id),
  stop: (id) => node.stopContainer(id),
  freeze: (id) => node.setFrozen(id, true),
  leaveBehind: (id) => node.leaveBehind(id),
  destroy: (id) => node.destroyContainer(id),
  lock: (id) => node.setLock(id, 'backup'),
  setQuorum: (quorate) => node.setQuorum(quorate),
  rebalance: () => node.advance(10_000),
});

/** What a backend can see of a node. Where it cannot, it says so in its capabilities. */
export interface Sight {
  readonly capabilities: Capabilities;
  /** Whether it tells a guest that is frozen, or left behind, from one that runs. */
  readonly freezing: boolean;
}

const EVERYTHING: Sight = {
  capabilities: {
    proof: true,
    pressure: true,
    workingSet: true,
    liveLimits: new Set(['cpu', 'cpuset', 'memory']),
  },
  freezing: true,
};

export const SIGHT_OF_API: Sight = {
  capabilities: { ...EVERYTHING.capabilities, proof: false, pressure: false, workingSet: false },
  freezing: false,
};

const ID = vmid(101);
const OTHER = vmid(102);
const NOBODY = vmid(999);
const GUESTS = [ID, OTHER] as const;
const NEVER = new AbortController().signal;

export function nodeContract(
  name: string,
  create: () => Promise<NodeUnderContract>,
  sight: Sight = EVERYTHING,
): void {
  describe(`a node (${name})`, () => {
    const open: NodeUnderContract[] = [];
    afterEach(async () => {
      for (const node of open.splice(0)) await node.close();
    });
    const node = async (): Promise<Observer> => {
      const made = await create();
      open.push(made);
      await made.during(made.eyes.observe());
      return new Observer(made);
    };
    describe('lists', () => listing(node));
    describe('tells whether a guest runs', () => states(node, sight));
    describe('tells what a guest is', () => identity(node));
    describe('says that something is missing', () => absence(node, sight));
    describe('sets, and reads back', () => setting(node));
    describe('refuses', () => refusals(node));
  });
}

/** Looks at a node and acts on it as the loop does. */
class Observer {
  readonly node: NodeUnderContract;

  constructor(node: NodeUnderContract) {
    this.node = node;
  }

  config(id: Vmid = ID): GuestConfig {
    const file = this.node.eyes.guests.read(id);
    if (!file.ok) throw new Error(file.detail);
    return file.value.config;
  }

  notes(): string | undefined {
    const file = this.node.eyes.guests.read(ID);
    return file.ok ? notesIn(file.value.content) : undefined;
  }

  sample(id: Vmid = ID): CgroupSample {
    const sample = this.node.eyes.cgroups.sample(id);
    if (!sample.ok) throw new Error(sample.detail);
    return sample.value;
  }

  state(id: Vmid = ID) {
    return guestState(this.node.eyes.cgroups.sample(id));
  }

  listed(): readonly Vmid[] {
    const list = this.node.eyes.guests.list();
    if (!list.ok) throw new Error(list.detail);
    return [...list.value.keys()].sort((one, other) => one - other);
  }

  /** What has happened shows with the next look. */
  async sees(happen: (node: NodeUnderContract) => void): Promise<void> {
    happen(this.node);
    await this.node.during(this.node.eyes.observe());
  }

  /** As it was decided on now, but for what is said. */
  async set(request: Partial<SetRequest>): Promise<CommandOutcome> {
    const digest = request.digest ?? this.config().digest;
    const { hands, eyes } = this.node;
    const outcome = await this.node.during(hands.apply({ ...request, vmid: ID, digest }, NEVER));
    await this.node.during(eyes.inspect(ID));
    return outcome;
  }

  /** All that a change may touch, as it is now. */
  all() {
    const { memory, cpu } = this.sample();
    return {
      config: this.config(),
      live: [memory.ok && memory.value.limitBytes, cpu.ok && cpu.value.cpusetCpus],
    };
  }
}

type Make = () => Promise<Observer>;

function listing(make: Make): void {
  it('its guests with their configurations', async () => {
    const one = await make();
    const list = one.node.eyes.guests.list();
    if (!list.ok) throw new Error(list.detail);
    expect(one.listed()).toEqual(GUESTS);
    for (const vmid of GUESTS) {
      expect(list.value.get(vmid)).toMatchObject({
        value: { vmid, cores: 2, memoryMib: 1024, lock: undefined, template: false },
      });
    }
  });

  it('what a single look says as well, with the text and its digest', async () => {
    const one = await make();
    const list = one.node.eyes.guests.list();
    if (!list.ok) throw new Error(list.detail);
    expect(list.value.get(ID)).toEqual({ ok: true, value: one.config() });
    const file = one.node.eyes.guests.read(ID);
    expect(file.ok && file.value.content.length).toBeGreaterThan(0);
    expect(one.config().digest).toMatch(/^[0-9a-f]{40}$/);
  });

  it('a guest whether it runs or not, until it is destroyed', async () => {
    const one = await make();
    await one.sees(({ world }) => world.stop(101));
    expect(one.listed()).toEqual([ID, OTHER]);
    await one.sees(({ world }) => world.destroy(101));
    expect(one.listed()).toEqual([OTHER]);
  });

  it('what the host has', async () => {
    const { eyes } = (await make()).node;
    const { cpus, memory } = eyes.host.observe();
    expect([cpus.ok && cpus.value > 0, memory.ok && memory.value.totalMib > 0]).toEqual([
      true,
      true,
    ]);
    expect(eyes.guests.quorum()).toEqual({ ok: true, value: true });
    expect(eyes.clock.monotonicMs()).toBeGreaterThanOrEqual(0);
  });
}

function states(make: Make, { freezing }: Sight): void {
  const cases: readonly [string, (node: NodeUnderContract) => void, object][] = [
    ['running', () => {}, { kind: 'running' }],
    ['frozen', ({ world }) => world.freeze(101), { kind: 'frozen' }],
    ['stopped', ({ world }) => world.stop(101), { kind: 'stopped' }],
    ['left behind', ({ world }) => world.leaveBehind(101), { kind: 'stopped', leftBehind: true }],
    ['destroyed', ({ world }) => world.destroy(101), { kind: 'stopped' }],
  ];
  const seen = cases.filter(([state]) => freezing || !['frozen', 'left behind'].includes(state));
  it.each(seen)('%s', async (_state, happen, expected) => {
    const one = await make();
    await one.sees(happen);
    expect(one.state()).toEqual(expected);
    expect(one.state(OTHER)).toEqual({ kind: 'running' });
  });
}

function identity(make: Make): void {
  it('by what no two guests share', async () => {
    const one = await make();
    const [own, other] = GUESTS.map((id) => one.config(id).identity);
    expect(own).toBeDefined();
    expect(own).not.toBe(other);
    expect(one.config().identity).toBe(own);
  });

  it('and which life of it this is', async () => {
    const one = await make();
    const guest = one.config().identity;
    const first = one.sample().identity;
    expect(one.sample().identity).toBe(first);
    await one.sees(({ world }) => world.stop(101));
    await one.sees(({ world }) => world.start(101));
    expect(one.sample().identity).not.toBe(first);
    expect(one.config().identity).toBe(guest);
  });
}

function absence(make: Make, { capabilities }: Sight): void {
  it('of a guest that has stopped, and never that it is zero', async () => {
    const one = await make();
    await one.sees(({ world }) => world.stop(101));
    const { cgroups } = one.node.eyes;
    expect(cgroups.sample(ID)).toMatchObject({ ok: false, why: 'absent' });
    expect(cgroups.cpuLimit(ID)).toMatchObject({ ok: false, why: 'absent' });
    expect(cgroups.sampledCpuLimit(ID)).toMatchObject({ ok: false, why: 'absent' });
    expect(cgroups.capabilities(ID)).toBeUndefined();
  });

  it('of a guest that is not there, with a reason for people', async () => {
    const { eyes } = (await make()).node;
    for (const reading of [eyes.guests.read(NOBODY), eyes.cgroups.sample(NOBODY)]) {
      expect(reading).toMatchObject({ ok: false, why: 'absent' });
      expect(reading.ok ? '' : reading.detail).toContain('999');
    }
  });

  it('and of one that runs has the numbers, and what the node can do', async () => {
    const one = await make();
    const { cpu, memory, life } = one.sample();
    expect([cpu.ok, memory.ok, life.ok]).toEqual([true, true, true]);
    expect(memory.ok && memory.value.currentBytes).toBeGreaterThan(0);
    expect(one.node.eyes.cgroups.capabilities(ID)).toEqual(capabilities);
  });
}

function setting(make: Make): void {
  const limitMib = ({ memory }: CgroupSample): number | undefined =>
    memory.ok && memory.value.limitBytes !== undefined
      ? bytesToMib(memory.value.limitBytes)
      : undefined;

  it('memory, which is live at once', async () => {
    const one = await make();
    const before = one.config();
    expect(await one.set({ memoryMib: mib(2048) })).toEqual({ kind: 'done' });
    expect(one.config()).toMatchObject({ memoryMib: 2048, cores: 2 });
    expect(one.config().digest).not.toBe(before.digest);
    expect(limitMib(one.sample())).toBe(2048);
  });

  it('cores, which are live when the node has rebalanced', async () => {
    const one = await make();
    expect(await one.set({ cores: 3 })).toEqual({ kind: 'done' });
    expect(one.config()).toMatchObject({ cores: 3, memoryMib: 1024 });
    await one.sees(({ world }) => world.rebalance());
    expect(one.sample().cpu).toMatchObject({ value: { cpusetCpus: 3 } });
  });

  it('a cpulimit, and takes it away again', async () => {
    const one = await make();
    const { cgroups } = one.node.eyes;
    expect(cgroups.cpuLimit(ID)).toEqual({ ok: true, value: undefined });
    expect(await one.set({ cpuLimit: 1.5 })).toEqual({ kind: 'done' });
    expect(one.config().cpuLimit).toBe(1.5);
    expect(cgroups.cpuLimit(ID)).toEqual({ ok: true, value: 1.5 });
    expect(await one.set({ cpuLimit: null })).toEqual({ kind: 'done' });
    expect(one.config().cpuLimit).toBeNull();
    expect(cgroups.cpuLimit(ID)).toEqual({ ok: true, value: undefined });
  });

  it('notes, byte for byte, and takes them away again', async () => {
    const one = await make();
    const before = one.config();
    for (const notes of ['- 100 %25: **ü** 😀\t\\ \'"$(x)`\n\n  <!-- a -->\nlast', '--notes', '']) {
      expect(await one.set({ notes })).toEqual({ kind: 'done' });
      expect(one.notes()).toBe(notes);
    }
    expect({ ...one.config(), digest: '' }).toEqual({ ...before, digest: '' });
  });

  it('a memory guard, where it has a way to it, until it is taken back', async () => {
    const { node: made } = await make();
    const guards = made.hands.memoryGuards;
    if (guards === undefined) return;
    const at = mibToBytes(mib(940));
    expect(await made.during(guards.set(ID, at))).toMatchObject({ kind: 'set' });
    expect(await made.during(guards.set(ID, at))).toEqual({ kind: 'kept' });
    expect(guards.standing()).toEqual([ID]);
    expect(await made.during(guards.end(ID))).toEqual({ ok: true, isPutBack: true });
    expect(guards.standing()).toEqual([]);
  });

  it('a guest that has stopped, without starting it', async () => {
    const one = await make();
    await one.sees(({ world }) => world.stop(101));
    expect(await one.set({ memoryMib: mib(512) })).toEqual({ kind: 'done' });
    expect(one.config().memoryMib).toBe(512);
    expect(one.state()).toEqual({ kind: 'stopped' });
  });
}

function refusals(make: Make): void {
  const change = { cores: 3 };

  it.each<[string, (node: NodeUnderContract) => void, string]>([
    ['a guest that is locked', ({ world }) => world.lock(101), 'locked'],
    ['a write without quorum', ({ world }) => world.setQuorum(false), 'no-quorum'],
  ])('%s, and changes nothing', async (_what, happen, why) => {
    const one = await make();
    await one.sees(happen);
    const before = one.all();
    expect(await one.set(change)).toMatchObject({
      kind: 'failed',
      why,
      message: expect.stringMatching(/./),
    });
    expect(one.all()).toEqual(before);
    expect(one.node.eyes.guests.quorum()).toEqual({ ok: true, value: why !== 'no-quorum' });
  });

  it('notes that were written on another configuration, or are no notes', async () => {
    const one = await make();
    const { digest } = one.config();
    expect(await one.set({ cores: 3 })).toEqual({ kind: 'done' });
    expect(await one.set({ notes: 'x', digest })).toMatchObject({ why: 'modified' });
    for (const notes of ['x\0y', 'x'.repeat(8193)]) {
      expect(await one.set({ notes })).toMatchObject({ kind: 'not-started' });
    }
    expect(await one.set({ notes: 'x', cores: 2 })).toMatchObject({ kind: 'not-started' });
    expect(one.notes()).toBe('');
  });

  it('what was decided on another configuration, and changes nothing', async () => {
    const one = await make();
    const { digest } = one.config();
    expect(await one.set({ memoryMib: mib(2048) })).toEqual({ kind: 'done' });
    const before = one.all();
    expect(await one.set({ ...change, digest })).toMatchObject({
      kind: 'failed',
      why: 'modified',
    });
    expect(one.all()).toEqual(before);
  });

  it('a guest that is gone', async () => {
    const one = await make();
    const { digest } = one.config();
    await one.sees(({ world }) => world.destroy(101));
    expect(await one.set({ ...change, digest })).toMatchObject({ kind: 'failed', why: 'gone' });
    expect(one.listed()).toEqual([OTHER]);
  });
}
