import { describe, expect, it } from 'vitest';
import { NodeLoop } from '../../src/app/node-loop.ts';
import { type Part, together } from '../../src/app/part.ts';
import type { OpenWorld } from '../../src/app/world.ts';
import { parseConfig } from '../../src/config/load.ts';
import { newLoopState } from '../../src/core/loop-state.ts';
import { newTally } from '../../src/output/tally.ts';
import { hostPolicy, policy, vmid } from '../core/builders.ts';
import { FakeLimitEvents } from '../loop/fake-limit-events.ts';
import { FakeNode } from '../loop/fake-node.ts';

const config = (pollInterval: number) => {
  const loaded = parseConfig(`DEFAULT:\n  poll_interval: ${pollInterval}\n`, 'f.yaml', {});
  if (!loaded.ok) throw new Error('the configuration is wrong');
  return loaded.config;
};

const stop = new AbortController().signal;

/** The loop of a node with one container, and what it did besides its cycles. */
function loopWith(id: number, mode: 'act' | 'observe' = 'observe', tells = true) {
  const node = new FakeNode();
  node.add(id).load = 0.2;
  const events = new FakeLimitEvents();
  const did: string[] = [];
  const open: OpenWorld = {
    name: `pve${id}`,
    below: '',
    world: {
      ...node.world,
      observe: async () => void did.push('look'),
      ...(tells && { limitEvents: events }),
    },
    tally: newTally(),
    hanging: () => undefined,
    reconfigure: ({ pollIntervalMs }) => void did.push(`reconfigure ${pollIntervalMs}`),
    close: async () => {},
  };
  const keeper = {
    state: newLoopState(),
    save: () => void did.push('save'),
    saveWhenDue: () => void did.push('save when due'),
  };
  const manage = () => ({ kind: 'managed', policy: policy(), mode, because: 'DEFAULT' }) as const;
  const settingsOf = () => ({ manage, hostPolicy, dryRun: true, atOnce: 1 });
  const loop = new NodeLoop({ open, keeper, config: config(300), settingsOf });
  return { node, loop, did, events };
}

const seenBy = ({ loop }: ReturnType<typeof loopWith>): readonly number[] | undefined =>
  loop.view?.observed.containers.map((container) => container.vmid);

describe('the loop of a node', () => {
  it('stands beside that of another node: neither sees what the other does', async () => {
    const one = loopWith(101);
    const other = loopWith(202);
    await one.loop.cycle(stop);
    expect([seenBy(one), seenBy(other)]).toEqual([[101], undefined]);
    await other.loop.cycle(stop);
    await other.loop.cycle(stop);
    expect([seenBy(one), seenBy(other)]).toEqual([[101], [202]]);
    expect([one.loop.state.cycle, other.loop.state.cycle]).toEqual([1, 2]);
  });

  it('glances between two samples, where there are samples and it costs less than one', () => {
    const { loop, node } = loopWith(101);
    expect(loop.glanceAfterMs).toBe(5000);
    loop.apply(config(10));
    expect(loop.glanceAfterMs).toBe(Number.POSITIVE_INFINITY);
    loop.apply(config(300));
    Object.assign(loop.world.cgroups, { glance: undefined });
    expect([loop.glanceAfterMs, node.glances]).toEqual([Number.POSITIVE_INFINITY, true]);
  });

  it('hands a whole cycle what it knew, and keeps it over an early one', async () => {
    const { node, loop } = loopWith(101);
    const whole = await loop.cycle(stop);
    expect(whole).toMatchObject({
      node: 'pve101',
      kind: 'whole',
      result: { ok: true },
      view: { cycle: 1 },
    });
    expect(loop.headroom).toBeDefined();
    node.pass(1000);
    const early = await loop.earlyCycle(new Set([vmid(101)]), stop);
    expect(early).toMatchObject({ kind: 'early', view: undefined });
    expect(loop.view?.cycle).toBe(1);
  });

  it('waits for one look at the node per whole cycle, and per sample', async () => {
    const { loop, did } = loopWith(101);
    await loop.cycle(stop);
    expect(did).toEqual(['look']);
    await loop.sample(stop);
    await loop.earlyCycle(new Set([vmid(101)]), stop);
    expect(did).toEqual(['look', 'look']);
  });

  it('does nothing more once it is stopped in a look', async () => {
    const { loop, node } = loopWith(101);
    const stopped = AbortSignal.abort();
    expect(await loop.cycle(stopped)).toBeUndefined();
    expect(await loop.sample(stopped)).toEqual({ urgent: new Set(), suspicious: false });
    expect([loop.state.cycle, node.sets]).toEqual([0, []]);
  });

  it('goes by a new configuration from then on, and so does its world', () => {
    const { loop, did } = loopWith(101);
    loop.apply(config(60));
    expect(loop.config.pollIntervalMs).toBe(60_000);
    expect(did).toEqual(['reconfigure 60000']);
  });

  it('saves at once after a change, and else only what a whole cycle has learnt, when due', () => {
    const { loop, did } = loopWith(101);
    const result = { ok: true, done: 0, failed: 0, pause: undefined, eventful: true } as const;
    loop.saveAfter({ node: 'pve', kind: 'early', result, view: undefined });
    expect(did).toEqual([]);
    loop.saveAfter({ node: 'pve', kind: 'whole', result, view: undefined });
    loop.saveAfter({ node: 'pve', kind: 'early', result: { ...result, done: 1 }, view: undefined });
    loop.saveAfter({
      node: 'pve',
      kind: 'whole',
      result: { ...result, failed: 1 },
      view: undefined,
    });
    expect(did).toEqual(['save when due', 'save', 'save']);
  });
});

describe('what a node tells between two samples', () => {
  /** A loop that has seen one cycle, and listens to 101 and 102. */
  async function listening() {
    const made = loopWith(101, 'act');
    const { node, loop, events, did } = made;
    node.add(102).load = 0.2;
    for (const id of [101, 102]) events.lives.set(vmid(id), id);
    await loop.cycle(stop);
    node.pass(1000);
    await loop.sample(stop, 'prompted');
    expect(events.watched).toEqual([101, 102]);
    node.pass(9000);
    did.length = 0;
    return made;
  }

  it('is looked at without a look at all of the node, and only where it was told of', async () => {
    const { node, loop, events, did } = await listening();
    node.get(101).memory = { limitHits: 5 };
    events.happen(102);
    expect(await loop.sample(stop, 'prompted')).toEqual({ urgent: new Set(), suspicious: false });
    expect(did).toEqual([]);
    const seen = (id: number) => loop.state.guests.get(vmid(id))?.life.interval?.last.atMs;
    expect(seen(102)).toBe(node.nowMs);
    expect(seen(101)).toBeLessThan(node.nowMs);
  });

  it('is decided as a sample would decide it', async () => {
    const { node, loop, events, did } = await listening();
    node.get(101).memory = { oomKills: 1 };
    events.happen(101);
    expect(await loop.sample(stop, 'prompted')).toMatchObject({ urgent: new Set([101]) });
    expect(did).toEqual(['look']);
    expect(events.watched).toEqual([102]);
    await loop.earlyCycle(new Set([vmid(101)]), stop);
    node.pass(1000);
    await loop.sample(stop, 'prompted');
    expect(events.watched).toEqual([102, 101].sort());
  });

  it('is decided also if a look while changes were under way has seen it before', async () => {
    const { node, loop } = await listening();
    node.get(101).memory = { oomKills: 1 };
    expect(loop.sampleMeanwhile()).toBe(true);
    node.pass(1000);
    const { urgent } = await loop.sample(stop);
    expect(urgent).toEqual(new Set([101]));
    await loop.earlyCycle(urgent, stop);
    expect(loop.state.guests.get(vmid(101))?.oomFloor).toBeDefined();
  });

  it('is asked for only those that are scaled', async () => {
    const { loop, events } = loopWith(101);
    events.lives.set(vmid(101), 101);
    await loop.cycle(stop);
    await loop.sample(stop);
    expect(events.done).toEqual([]);
    expect(loop.prompts?.dueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('is nothing where a node tells nothing', async () => {
    const { loop } = loopWith(101, 'act', false);
    await loop.cycle(stop);
    expect(loop.prompts).toBeUndefined();
    expect(await loop.sample(stop)).toEqual({ urgent: new Set(), suspicious: false });
  });
});

describe('parts together', () => {
  it('go through each step in their order, and leave out what they have not', async () => {
    const did: string[] = [];
    const part = (name: string): Part => ({
      apply: async ({ pollIntervalMs }) => void did.push(`${name} applies ${pollIntervalMs}`),
      stop: async () => void did.push(`${name} stops`),
    });
    const hearing: Part = {
      ...part('b'),
      cycleBegins: (node) => void did.push(`b begins on ${node}`),
      cycleEnded: ({ kind }) => void did.push(`b heard of a ${kind} cycle`),
    };
    const parts = together([part('a'), hearing], () => {});
    await parts.apply(config(300));
    parts.cycleBegins('pve1');
    const { loop } = loopWith(101);
    const ended = await loop.cycle(stop);
    if (ended === undefined) throw new Error('nobody has stopped it');
    parts.cycleEnded(ended);
    await parts.stop();
    expect(did).toEqual([
      'a applies 300000',
      'b applies 300000',
      'b begins on pve1',
      'b heard of a whole cycle',
      'a stops',
      'b stops',
    ]);
  });
});
