import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import type { PlannedChange } from '../../src/core/plan.ts';
import { missing, present } from '../../src/core/reading.ts';
import type { TemporaryRecord } from '../../src/core/temporary.ts';
import { mib, type Vmid } from '../../src/core/units.ts';
import { act } from '../../src/loop/act.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { observe } from '../../src/loop/observe.ts';
import type { TemporaryRecords } from '../../src/node/port.ts';
import type { ActingWorld } from '../../src/ports.ts';
import {
  AMPLE_ROOM,
  coresChange,
  everyone,
  hostPolicy,
  identity,
  remembered,
  vmid,
} from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);

/** What all nodes of a cluster see. */
class Cluster {
  readonly records = new Map<Vmid, TemporaryRecord>();
  readonly homes = new Map<Vmid, string>();
  failure: string | undefined;
  writes = 0;

  of(node: string): TemporaryRecords {
    return {
      node,
      read: (id) => {
        const record = this.records.get(id);
        return record === undefined ? missing('absent', 'none') : present(record);
      },
      write: (id, record) => {
        if (this.failure !== undefined) return { ok: false, message: this.failure };
        this.writes += 1;
        if (record === undefined) this.records.delete(id);
        else this.records.set(id, record);
        return { ok: true };
      },
      all: () => [...this.records.keys()],
      nodeOf: (id) => present(this.homes.get(id)),
    };
  }
}

/** One daemon of the cluster. */
class Daemon {
  readonly node = new FakeNode();
  state: LoopState = newLoopState();
  readonly world: ActingWorld;
  readonly #name: string;
  readonly #cluster: Cluster;

  constructor(name: string, cluster: Cluster) {
    this.#name = name;
    this.#cluster = cluster;
    this.world = { ...this.node.world, temporary: cluster.of(name) };
  }

  has(cores: number, life = 0, kind: Pick<GuestConfig, 'kind'> = {}): void {
    this.node.add(101, { ...kind, cores, identity: identity(101, life) });
    this.#cluster.homes.set(ID, this.#name);
  }

  loses(): void {
    this.node.containers.delete(ID);
    this.#cluster.homes.delete(ID);
  }

  async cycle(passMs = 60_000, dryRun = false): Promise<void> {
    const settings = { ...everyone(), hostPolicy, dryRun, atOnce: 1 };
    await runCycle(this.world, settings, this.state, new AbortController().signal);
    this.node.rebalance();
    this.node.pass(passMs);
  }

  /** From 2 to 3 cores, for two minutes or for the off-peak time. */
  async give(rule: 'saturated' | 'off-peak' = 'saturated'): Promise<number> {
    const [before, after] = rule === 'saturated' ? [2, 3] : [3, 2];
    const boostMs = rule === 'saturated' ? { boostMs: 120_000 } : {};
    const planned: PlannedChange = {
      vmid: ID,
      name: 'name-101',
      cores: coresChange(101, before, after, { rule, ...boostMs }),
    };
    const observed = observe(this.world, this.state, everyone());
    if (!observed.ok) throw new Error(observed.detail);
    const stop = new AbortController().signal;
    const { hands } = this.world;
    const context = { cycle: 1, observed: observed.value, headroom: AMPLE_ROOM, hands, stop };
    return (await act(this.world, this.state, [planned], context)).done;
  }

  get cores(): number | null {
    return this.node.get(101).config.cores;
  }

  said(text: string): readonly string[] {
    return this.node.lines.filter((line) => line.includes(text));
  }
}

function twoNodes() {
  const cluster = new Cluster();
  const [one, two] = [new Daemon('pve1', cluster), new Daemon('pve2', cluster)];
  two.node.nowMs = one.node.nowMs;
  return { cluster, one, two };
}

/** The first node has boosted 101 and lost it. */
async function boostedAndGone() {
  const nodes = twoNodes();
  nodes.one.has(2);
  await nodes.one.cycle();
  await nodes.one.give();
  nodes.one.loses();
  return nodes;
}

const boostOf = (record: TemporaryRecord | undefined) => record?.changes[0]?.boost?.boosted;

describe('a boost', () => {
  it('is on record before pct is started, and no longer when it is over', async () => {
    const { cluster, one } = twoNodes();
    one.has(2);
    await one.cycle();
    let atSet: unknown;
    one.node.pct = (request) => {
      atSet ??= boostOf(cluster.records.get(ID));
      return one.node.apply(request);
    };
    expect(await one.give()).toBe(1);
    expect(atSet).toBe(3);
    for (let count = 0; count < 4; count++) await one.cycle();
    expect(one.cores).toBe(2);
    expect(cluster.records.size).toBe(0);
    expect(cluster.writes).toBe(2);
  });

  it.each([
    ['Container', {}],
    ['VM', { kind: 'qemu' } as const],
  ])('ends on the node that the %s was migrated to', async (what, kind) => {
    const { cluster, one, two } = twoNodes();
    one.has(2, 0, kind);
    await one.cycle();
    await one.give();
    await two.cycle();
    one.loses();
    two.has(3, 0, kind);
    await one.cycle();
    const boost = 'a boost to 3 cores (2 cores before)';
    expect(one.said(`${what} 101 went to node pve2 with ${boost}`)).toHaveLength(1);
    await two.cycle();
    const named = `${what} 101 (guest-101) has ${boost}, given by node pve1`;
    expect(two.said(named)).toHaveLength(1);
    for (let count = 0; count < 4; count++) await two.cycle();
    expect(two.cores).toBe(2);
    expect(cluster.records.size).toBe(0);
    expect(two.said('has a boost')).toHaveLength(1);
  });

  it('is not begun anew by the node that the guest comes back to', async () => {
    const { cluster, one, two } = await boostedAndGone();
    two.has(3);
    await one.cycle();
    for (let count = 0; count < 5; count++) await two.cycle();
    two.loses();
    one.has(2);
    await one.cycle();
    expect(remembered(one.state, 'boost').size).toBe(0);
    expect(one.cores).toBe(2);
    expect(cluster.records.size).toBe(0);
  });

  it('outlives a daemon that has lost its state', async () => {
    const { one } = twoNodes();
    one.has(2);
    await one.cycle();
    await one.give();
    one.state = newLoopState();
    for (let count = 0; count < 5; count++) await one.cycle();
    expect(one.cores).toBe(2);
  });

  it('is not given where it cannot be put on record, and that is said', async () => {
    const { cluster, one } = twoNodes();
    one.has(2);
    await one.cycle();
    cluster.failure = '/etc/pve/x: EACCES';
    expect(await one.give()).toBe(0);
    expect(one.node.sets).toEqual([]);
    expect(one.said('could not be recorded for the other nodes: /etc/pve/x')).toHaveLength(1);
    expect(await one.give('off-peak')).toBe(0);
  });
});

describe('what the off-peak time has taken', () => {
  it('is given back by the node that the guest was migrated to', async () => {
    const { cluster, one, two } = twoNodes();
    one.has(3);
    await one.cycle();
    expect(await one.give('off-peak')).toBe(1);
    one.loses();
    two.has(2);
    for (let count = 0; count < 3; count++) await two.cycle();
    expect(two.cores).toBe(3);
    expect(cluster.records.size).toBe(0);
  });
});

describe('the record', () => {
  it('of a guest that was destroyed is of no use to one that is given its id', async () => {
    const { cluster, two } = await boostedAndGone();
    two.has(3, 1);
    for (let count = 0; count < 5; count++) await two.cycle();
    expect(two.cores).toBe(3);
    expect(two.said('is not the guest that has a boost to 3 cores')).toHaveLength(1);
    expect(cluster.records.size).toBe(0);
  });

  it('of a guest that is nowhere is removed at a start', async () => {
    const { cluster, two } = await boostedAndGone();
    await two.cycle(60_000, true);
    expect(cluster.records.size).toBe(1);
    two.state = newLoopState();
    await two.cycle();
    expect(cluster.records.size).toBe(0);
  });

  it('is taken over by a dry run without a write', async () => {
    const { cluster, two } = await boostedAndGone();
    two.has(3);
    const { writes } = cluster;
    for (let count = 0; count < 4; count++) await two.cycle(60_000, true);
    expect(cluster.writes).toBe(writes);
    expect(remembered(two.state, 'boost').size).toBe(1);
  });

  it('goes where an administrator has overruled the boost', async () => {
    const { cluster, one } = twoNodes();
    one.has(2);
    await one.cycle();
    await one.give();
    one.node.write(101, { cores: 6, memoryMib: mib(1024) });
    await one.cycle();
    expect(cluster.records.size).toBe(0);
    expect(one.cores).toBe(6);
  });
});
