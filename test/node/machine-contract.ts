import { afterEach, describe, expect, it } from 'vitest';
import { notesIn } from '../../src/core/guest-notes.ts';
import { guestState } from '../../src/core/guest-state.ts';
import type { CgroupSample, GuestConfig } from '../../src/core/observation.ts';
import { bytes, bytesToMib, mib, type Vmid } from '../../src/core/units.ts';
import type { CommandOutcome, NodeEyes, NodeHands, SetRequest } from '../../src/node/port.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import type { VmSpec } from '../../src/sim/vms.ts';
import { vmid } from '../core/builders.ts';

/** What every node keeps to with virtual machines, whatever it is reached by. */

const machine = (id: number, settings: VmSpec['settings'], more: object = {}): VmSpec => ({
  vmid: id,
  memoryMib: 2048,
  settings: { cores: 4, vcpus: 2, hotplug: 'network,disk,usb,cpu,memory', ...settings },
  guest: { demand: () => ({ cpuCores: 1, anonMib: 500, fileSetMib: 300 }), ...more },
});

/** 200 has a balloon that follows, 201 gives no CPU back, and 202 takes modules of memory. */
export const MACHINES: readonly VmSpec[] = [
  machine(200, { shares: 0, balloon: 1024, hotplug: 'network,disk,usb,cpu' }),
  machine(201, { vcpus: 4 }, { refusesUnplug: true }),
  machine(202, { numa: 1, balloon: 0 }),
];

export const ALL_MACHINES = {
  anyNamed: true,
  isWanted: () => true,
  mayBeWanted: () => true,
};

export interface MachinesUnderContract {
  readonly eyes: NodeEyes;
  readonly hands: NodeHands;
  readonly node: SimulatedNode;
  /** Lets the time pass that something takes. */
  during<T>(work: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** What a backend can see of a machine. */
export interface MachineSight {
  /** What the guest itself tells by its balloon driver, and whether it is paused (QMP). */
  readonly monitor: boolean;
}

const [ID, STUBBORN, PLUGGED] = [vmid(200), vmid(201), vmid(202)];
const ALL: readonly Vmid[] = [ID, STUBBORN, PLUGGED];
const NEVER = new AbortController().signal;

export function machineContract(
  name: string,
  create: () => Promise<MachinesUnderContract>,
  sight: MachineSight = { monitor: true },
): void {
  describe(`virtual machines (${name})`, () => {
    const open: MachinesUnderContract[] = [];
    afterEach(async () => {
      for (const one of open.splice(0)) await one.close();
    });
    const make = async (): Promise<Observer> => {
      const made = await create();
      open.push(made);
      const observer = new Observer(made);
      await observer.look();
      return observer;
    };
    describe('are seen', () => {
      seeing(make);
      living(make, sight);
    });
    describe('are set, and read back', () => setting(make));
    describe('are not set', () => refusing(make));
  });
}

class Observer {
  readonly made: MachinesUnderContract;

  constructor(made: MachinesUnderContract) {
    this.made = made;
  }

  get eyes(): NodeEyes {
    return this.made.eyes;
  }

  get node(): SimulatedNode {
    return this.made.node;
  }

  /** As a cycle does. */
  async look(): Promise<void> {
    await this.made.during(this.eyes.observe());
    this.eyes.guests.list();
  }

  async sees(happen: (node: SimulatedNode) => unknown): Promise<void> {
    await happen(this.node);
    await this.look();
  }

  config(id: Vmid = ID): GuestConfig {
    const file = this.eyes.guests.read(id);
    if (!file.ok) throw new Error(file.detail);
    return file.value.config;
  }

  sample(id: Vmid = ID): CgroupSample {
    const sample = this.eyes.cgroups.sample(id);
    if (!sample.ok) throw new Error(sample.detail);
    return sample.value;
  }

  /** As it was decided on now, but for what is said. */
  async set(request: Partial<SetRequest>, id: Vmid = ID): Promise<CommandOutcome> {
    const digest = request.digest ?? this.config(id).digest;
    const { during, hands } = this.made;
    const outcome = await during(hands.apply({ ...request, vmid: id, digest }, NEVER));
    await during(this.eyes.inspect(id));
    return outcome;
  }

  /** `[PENDING]` of the file itself. */
  pending(id: Vmid): readonly string[] {
    return [...(this.node.machine.vms.conf(id)?.pending.keys() ?? [])];
  }
}

type Make = () => Promise<Observer>;

function seeing(make: Make): void {
  it('with what they have, and how far that can be moved', async () => {
    const one = await make();
    const list = one.eyes.guests.list();
    if (!list.ok) throw new Error(list.detail);
    expect([...list.value.keys()].filter((id) => id >= ID).sort()).toEqual(ALL);
    const kinds = [...ALL, vmid(999)].map((id) => one.eyes.guests.isMachine?.(id));
    expect(kinds).toEqual([true, true, true, false]);
    expect(list.value.get(ID)).toEqual({ ok: true, value: one.config() });
    expect(one.config()).toMatchObject({
      kind: 'qemu',
      name: 'vm200',
      cores: 2,
      cpuLimit: null,
      memoryMib: 1024,
      assignedMib: 2048,
      pendingKeys: [],
      template: false,
      lock: undefined,
      digest: expect.stringMatching(/^[0-9a-f]{40}$/),
      reaches: {
        cores: { kind: 'live', min: 1, max: 4 },
        memoryMib: { kind: 'live', max: 2048 },
      },
    });
    expect(one.config(PLUGGED).reaches?.memoryMib).toMatchObject({ pluggedFrom: 2048 });
    expect(new Set(ALL.map((id) => one.config(id).identity)).size).toBe(3);
  });

  it('with the text of their configuration, and no other than that of the file', async () => {
    const one = await make();
    const file = one.eyes.guests.read(ID);
    const lines = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .sort();
    const text = file.ok ? Buffer.from(file.value.content).toString() : '';
    expect(lines(text)).toEqual(lines(one.node.machine.files.readVm(ID) ?? ''));
  });

  it('with what they use of the CPU', async () => {
    const one = await make();
    const before = one.sample();
    await one.sees((node) => node.advance(10_000));
    const after = one.sample();
    expect(after.identity).toBe(before.identity);
    if (!before.cpu.ok || !after.cpu.ok) throw new Error('no counters');
    const cores = (after.cpu.value.usageUs - before.cpu.value.usageUs) / 10_000_000;
    expect(cores).toBeGreaterThan(0.8);
    expect(cores).toBeLessThan(1.3);
    expect(after.cpu.value.cpusetCpus).toBe(2);
  });

  it('among the memory of the host once, whether they are looked after or not', async () => {
    const one = await make();
    expect(one.eyes.host.observe().vmMemoryMib).toEqual({ ok: true, value: 0 });
  });
}

function living(make: Make, { monitor }: MachineSight): void {
  it('running, stopped and started anew', async () => {
    const one = await make();
    const first = one.sample().identity;
    const state = () => guestState(one.eyes.cgroups.sample(ID));
    expect(state()).toEqual({ kind: 'running' });
    await one.sees((node) => node.setVmRunning(ID, false));
    expect(state()).toEqual({ kind: 'stopped' });
    expect(one.config().cores).toBe(2);
    await one.sees((node) => node.setVmRunning(ID, true));
    expect(state()).toEqual({ kind: 'running' });
    expect(one.sample().identity).not.toBe(first);
  });

  it('with what the guest itself tells of its memory, or with what pvestatd does', async () => {
    const one = await make();
    await one.sees((node) => node.advance(10_000));
    const { memory, life } = one.sample();
    if (!monitor) {
      expect(memory).toMatchObject({
        value: { countsCache: true, limitBytes: 1024 * 1024 * 1024 },
      });
      // It does something, so it is not paused.
      expect(life.ok).toBe(true);
      return;
    }
    if (!memory.ok || !life.ok) throw new Error('no figures');
    const used = memory.value.currentBytes - memory.value.inactiveFileBytes;
    expect(bytesToMib(memory.value.limitBytes ?? memory.value.currentBytes)).toBe(1024);
    expect(used / 1024 / 1024).toBeGreaterThan(500);
    expect(used / 1024 / 1024).toBeLessThan(700);
    expect(bytesToMib(one.sample().heldBytes ?? bytes(0))).toBeGreaterThan(500);
    expect(life.value).toEqual({ populated: true, frozen: false });
  });

  it('paused, or as ones that may be', async () => {
    const one = await make();
    await one.sees((node) => {
      const running = node.machine.vms.running(ID);
      if (running !== undefined) running.frozen = true;
      node.advance(10_000);
    });
    await one.made.during(one.eyes.inspect(ID));
    const { life } = one.sample();
    expect(life).toMatchObject(monitor ? { value: { frozen: true } } : { why: 'absent' });
  });
}

function setting(make: Make): void {
  it('vCPUs, both ways', async () => {
    const one = await make();
    for (const cores of [4, 1]) {
      expect(await one.set({ cores })).toEqual({ kind: 'done' });
      expect(one.config()).toMatchObject({ cores, memoryMib: 1024, pendingKeys: [] });
    }
  });

  it('a cpulimit, which is live at once, and takes it away again', async () => {
    const one = await make();
    const { cgroups } = one.eyes;
    for (const cpuLimit of [1.5, 0.8, null]) {
      expect(await one.set({ cpuLimit })).toEqual({ kind: 'done' });
      expect(one.config().cpuLimit).toBe(cpuLimit);
      expect(cgroups.cpuLimit(ID)).toEqual({ ok: true, value: cpuLimit ?? undefined });
    }
  });

  it('the target of a balloon', async () => {
    const one = await make();
    const before = one.config();
    expect(await one.set({ memoryMib: mib(1536) })).toEqual({ kind: 'done' });
    expect(one.config()).toMatchObject({ memoryMib: 1536, assignedMib: 2048, cores: 2 });
    expect(one.config().digest).not.toBe(before.digest);
    expect(one.node.machine.vms.running(ID)?.guest.targetMib).toBe(1536);
  });

  it('memory, in modules', async () => {
    const one = await make();
    expect(await one.set({ memoryMib: mib(3072) }, PLUGGED)).toEqual({ kind: 'done' });
    expect(one.config(PLUGGED)).toMatchObject({ memoryMib: 3072, assignedMib: 3072 });
  });

  it('notes, with nothing pending, and takes them away again', async () => {
    const one = await make();
    for (const notes of ['# web: 100 %\n\n<!-- a --> ü', '']) {
      expect(await one.set({ notes })).toEqual({ kind: 'done' });
      const file = one.eyes.guests.read(ID);
      expect(file.ok && notesIn(file.value.content)).toBe(notes);
      expect(one.pending(ID)).toEqual([]);
    }
    const { digest } = one.config();
    expect(await one.set({ cores: 3 })).toEqual({ kind: 'done' });
    expect(await one.set({ notes: 'x', digest })).toMatchObject({ kind: 'failed' });
  });

  it('what the guest refuses waits for the next start, and is dropped', async () => {
    const one = await make();
    const refused = await one.set({ cores: 2 }, STUBBORN);
    expect(refused).toMatchObject({ kind: 'failed', message: expect.stringContaining('unplug') });
    expect(one.config(STUBBORN)).toMatchObject({ cores: 4, pendingKeys: ['vcpus'] });
    expect(await one.set({ revert: ['vcpus'] }, STUBBORN)).toEqual({ kind: 'done' });
    expect(one.config(STUBBORN)).toMatchObject({ cores: 4, pendingKeys: [] });
    expect(one.pending(STUBBORN)).toEqual([]);
  });
}

function refusing(make: Make): void {
  const change = { cores: 3 };

  it.each<[string, (node: SimulatedNode) => unknown, string]>([
    ['locked', (node) => node.editVm(ID, (text) => `lock: backup\n${text}`), 'locked'],
    ['at work elsewhere', (node) => node.holdConfigLock(ID), 'busy'],
    ['without quorum', (node) => node.setQuorum(false), 'no-quorum'],
  ])('if they are %s', async (_what, happen, why) => {
    const one = await make();
    await one.sees(happen);
    expect(await one.set(change)).toMatchObject({ kind: 'failed', why });
    expect(one.config().cores).toBe(2);
  });

  it('by what was decided on another configuration', async () => {
    const one = await make();
    const { digest } = one.config();
    expect(await one.set({ cpuLimit: 1 })).toEqual({ kind: 'done' });
    expect(await one.set({ ...change, digest })).toMatchObject({ kind: 'failed', why: 'modified' });
    expect(one.config()).toMatchObject({ cores: 2, cpuLimit: 1 });
  });

  it('to what would only take effect at the next start', async () => {
    const one = await make();
    const fixed = { cores: 9, memoryMib: mib(4096) };
    expect(await one.set({ cores: fixed.cores })).toMatchObject({ kind: 'not-started' });
    expect(await one.set({ memoryMib: fixed.memoryMib })).toMatchObject({ kind: 'not-started' });
    expect(one.pending(ID)).toEqual([]);
  });
}
