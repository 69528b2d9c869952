import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import { wantedGuard } from '../../src/core/memory-guard.ts';
import type { ContainerPolicy, Management } from '../../src/core/policy.ts';
import { present } from '../../src/core/reading.ts';
import { milliseconds } from '../../src/core/units.ts';
import { type CycleSettings, runCycle } from '../../src/loop/cycle.ts';
import { endGuards } from '../../src/loop/guard-memory.ts';
import { sample } from '../../src/loop/sample.ts';
import { hostPolicy, policy, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);
const POLL_MS = 300_000;
const PIN = { what: 'memory', line: 'lxc.cgroup2.memory.max: 1G' } as const;
const HELD = { untilMs: milliseconds(Number.MAX_SAFE_INTEGER), reason: 'asked for' };

function guarded(own: Partial<ContainerPolicy> = {}, maxMib?: number): ContainerPolicy {
  const plain = policy({ maxMib });
  return { ...plain, memory: { ...plain.memory, guard: true }, ...own };
}

class Stage {
  readonly node = new FakeNode();
  readonly state: LoopState = newLoopState();
  management: Management = managed();

  constructor() {
    this.node.add(101, {}, { current: 450, anon: 400 });
  }

  get one() {
    return this.node.get(101);
  }

  /** Memory that is in use, and events of `memory.high` since. */
  use(mib: number, highHits = 0): void {
    const hits = (this.one.memory.highHits ?? 0) + highHits;
    this.one.memory = { current: mib, anon: mib - 50, highHits: hits };
  }

  by(management: Management): void {
    this.management = management;
  }

  async cycle(own: Partial<CycleSettings> = {}): Promise<void> {
    this.node.pass(POLL_MS);
    await this.early(own);
  }

  async early(own: Partial<CycleSettings> = {}): Promise<void> {
    const manage = () => this.management;
    const settings = { manage, hostPolicy, dryRun: false, atOnce: 1, guards: true, ...own };
    await runCycle(this.node.world, settings, this.state, new AbortController().signal);
  }

  get life() {
    return this.state.guests.get(ID)?.life;
  }

  get at(): number | undefined {
    return this.node.guardedMib.get(ID);
  }

  get lines(): readonly string[] {
    return this.node.lines.filter((line) => /memory.high|memory_guard/.test(line));
  }
}

function managed(its: ContainerPolicy = guarded(), mode: 'act' | 'observe' = 'act'): Management {
  return { kind: 'managed', policy: its, mode, because: 'DEFAULT' };
}

describe('memory_guard', () => {
  it('is set below the limit, told with its numbers, and kept', async () => {
    const stage = new Stage();
    await stage.cycle();
    expect(stage.at).toBe(940);
    expect(stage.lines).toEqual([
      expect.stringMatching(
        /101: memory.high none -> 940MB, by memory_guard \(limit 1024 MB, \d+ MB in use\)/,
      ),
    ]);
    await stage.cycle();
    expect(stage.node.done.filter((each) => each.startsWith('guard'))).toEqual(['guard 101 940']);
  });

  it.each<[string, (stage: Stage) => void, Partial<CycleSettings>]>([
    ['the option is off', (one) => one.by(managed(policy())), {}],
    ['it only observes', (one) => one.by(managed(guarded(), 'observe')), {}],
    ['it is ignored', (one) => one.by({ kind: 'ignored', because: 'x' }), {}],
    ['only its CPU is scaled', (one) => one.by(managed(guarded({ only: 'cores' }))), {}],
    ['a person has it in hand', (one) => one.node.holds.set(ID, HELD), {}],
    ['a raw line says what counts', (one) => one.node.write(101, { pins: [PIN] }), {}],
    ['it is locked', (one) => one.node.write(101, { lock: 'backup' }), {}],
  ])('is not set, and taken back, if %s', async (_why, change, own) => {
    const before = new Stage();
    change(before);
    await before.cycle(own);
    expect(before.at).toBeUndefined();
    const stage = new Stage();
    await stage.cycle();
    expect(stage.at).toBe(940);
    change(stage);
    await stage.cycle(own);
    expect(stage.at).toBeUndefined();
    expect(stage.lines.at(-1)).toMatch(/101: memory.high is as Proxmox VE sets it/);
  });

  it.each<[string, Partial<CycleSettings>]>([
    ['a dry run', { dryRun: true }],
    ['a program that ends after one cycle', { guards: false }],
  ])('is not set by %s', async (_what, own) => {
    const stage = new Stage();
    await stage.cycle(own);
    expect(stage.at).toBeUndefined();
  });

  it('gives way to what is in use, and comes back', async () => {
    const stage = new Stage();
    await stage.cycle();
    stage.management = managed(guarded({}, 1024));
    stage.use(900);
    await stage.cycle();
    expect(stage.at).toBe(945);
    stage.use(1010);
    await stage.cycle();
    expect(stage.at).toBeUndefined();
    stage.use(450);
    await stage.cycle();
    expect(stage.at).toBe(940);
  });

  it('that slows a container is urgent, and the limit grows', async () => {
    const stage = new Stage();
    await stage.cycle();
    stage.node.pass(10_000);
    stage.use(990, 40);
    const settings = { urgentSamples: 2, manage: () => stage.management };
    const { urgent } = sample(stage.node.world, stage.state, settings);
    expect([...urgent]).toEqual([ID]);
    await stage.early({ urgent });
    expect(stage.one.config.memoryMib).toBe(1536);
    expect(stage.node.lines.join('\n')).toMatch(/its memory guard slows it below its limit/);
    // As far below the new limit.
    expect(stage.at).toBe(1425);
  });

  it('that is met by cache alone is not urgent', async () => {
    const stage = new Stage();
    await stage.cycle();
    stage.node.pass(10_000);
    stage.use(450, 40);
    const settings = { urgentSamples: 2, manage: () => stage.management };
    expect(sample(stage.node.world, stage.state, settings).urgent.size).toBe(0);
  });

  it('lets a container go whose limit cannot grow', async () => {
    const stage = new Stage();
    stage.management = managed(guarded({}, 1024));
    await stage.cycle();
    stage.node.pass(10_000);
    stage.use(1000, 40);
    await stage.early({ urgent: new Set([ID]) });
    expect(stage.one.config.memoryMib).toBe(1024);
    expect(stage.at).toBeUndefined();
  });

  it('comes no closer while nothing can be changed, and gives way all the same', async () => {
    const stage = new Stage();
    stage.node.quorum = present(false);
    await stage.cycle();
    expect(stage.at).toBeUndefined();
    stage.node.quorum = present(true);
    await stage.cycle();
    expect(stage.at).toBe(940);
    stage.node.quorum = present(false);
    stage.use(910);
    await stage.cycle();
    expect(stage.at).toBe(956);
    stage.use(450);
    await stage.cycle();
    expect(stage.at).toBe(956);
  });

  it('of a program that was killed gives way too while nothing can be changed', async () => {
    const stage = new Stage();
    await stage.cycle();
    expect(stage.at).toBe(940);
    if (stage.life !== undefined) stage.life.guard = undefined;
    stage.node.quorum = present(false);
    stage.use(910);
    await stage.cycle();
    expect(stage.at).toBe(956);
  });

  it('is set anew in another life of the container', async () => {
    const stage = new Stage();
    await stage.cycle();
    stage.one.identity += 1;
    stage.node.guardedMib.clear();
    await stage.cycle();
    expect(stage.at).toBe(940);
  });

  it('is told once if others hold memory.high, and tried again', async () => {
    const stage = new Stage();
    stage.node.guardAnswer = { kind: 'others', message: 'memory.high is 300 MB, by others' };
    await stage.cycle();
    await stage.cycle();
    expect(stage.lines).toEqual([
      expect.stringMatching(/101 has no memory_guard: memory.high is 300 MB, by others/),
    ]);
    expect(stage.state.guests.get(ID)?.life.guard?.problem).toMatch(/by others/);
    stage.node.guardAnswer = undefined;
    await stage.cycle();
    expect(stage.at).toBe(940);
  });

  it('that cannot be moved still stands, still counts, and is tried again', async () => {
    const stage = new Stage();
    await stage.cycle();
    stage.node.guardAnswer = { kind: 'refused', message: 'memory.high: EIO', standsMib: 940 };
    stage.management = managed(guarded({}, 1024));
    stage.use(900);
    await stage.cycle();
    expect(stage.lines.at(-1)).toMatch(/101: memory_guard stays at 940 MB: memory.high: EIO/);
    expect(stage.life?.guard).toMatchObject({ atMib: 940, problem: 'memory.high: EIO' });
    // It slows the container: that is urgent.
    stage.node.pass(10_000);
    stage.use(990, 40);
    const settings = { urgentSamples: 2, manage: () => stage.management };
    expect([...sample(stage.node.world, stage.state, settings).urgent]).toEqual([ID]);
    stage.use(900);
    stage.node.guardAnswer = undefined;
    // In less than the time after which others are tried again.
    stage.node.pass(1000);
    await stage.early({ urgent: new Set([ID]) });
    expect(stage.at).toBe(945);
    expect(stage.life?.guard?.problem).toBeUndefined();
  });

  it('that cannot be taken back is told once, still stands, and is tried again', async () => {
    const stage = new Stage();
    await stage.cycle();
    stage.by(managed(policy()));
    stage.node.guardEnds = { ok: false, message: 'memory.high: EIO' };
    for (let times = 0; times < 3; times += 1) await stage.cycle();
    expect(stage.lines.slice(1)).toEqual([
      expect.stringMatching(/101: memory.high could not be put back: memory.high: EIO/),
    ]);
    expect(stage.life?.guard).toMatchObject({ atMib: 940, problem: 'memory.high: EIO' });
    stage.node.guardEnds = undefined;
    await stage.cycle();
    expect(stage.at).toBeUndefined();
    expect(stage.life?.guard).toBeUndefined();
  });

  it('of which nothing was left to put back is not told as put back', async () => {
    const stage = new Stage();
    await stage.cycle();
    stage.by(managed(policy()));
    stage.node.guardEnds = { ok: true, isPutBack: false };
    await stage.cycle();
    expect(stage.lines).toHaveLength(1);
    expect(stage.life?.guard).toBeUndefined();
  });

  it('does not stay while another program scales the node', async () => {
    const stage = new Stage();
    await stage.cycle();
    const why = 'waiting, since lxc-autoscale on other scales this node';
    Object.assign(stage.node.world, { notOurs: () => ({ kind: 'elsewhere', why }) });
    await stage.cycle();
    expect(stage.at).toBeUndefined();
    expect(stage.lines.at(-1)).toMatch(
      /101: memory.high is as Proxmox VE sets it: another program scales this node/,
    );
    await stage.cycle();
    expect(stage.at).toBeUndefined();
    Object.assign(stage.node.world, { notOurs: () => undefined });
    await stage.cycle();
    expect(stage.at).toBe(940);
  });

  it('follows a limit that has just been changed, though nothing else asks for it', async () => {
    const stage = new Stage();
    await stage.cycle();
    expect(stage.at).toBe(940);
    const { memory, ...own } = policy({ minMib: 2048 });
    stage.management = managed({ ...own, memory: { ...memory, guard: true } });
    await stage.cycle();
    expect(stage.one.config.memoryMib).toBe(2048);
    const need = { limitMib: 2048, workingSetMib: 400, nowMib: undefined };
    expect(stage.at).toBe(wantedGuard(need));
  });

  it('costs no sample of its own while nothing is to be moved', async () => {
    const stage = new Stage();
    await stage.cycle();
    const { cgroups } = stage.node.world;
    const plain = cgroups.sample;
    let samples = 0;
    const sampled: typeof plain = (id) => {
      samples += 1;
      return plain(id);
    };
    Object.assign(cgroups, { sample: sampled });
    await stage.cycle();
    expect(samples).toBe(1);
    stage.use(900);
    stage.management = managed(guarded({}, 1024));
    await stage.cycle();
    expect([samples, stage.at]).toEqual([3, 945]);
  });

  it('is taken back as the program ends', async () => {
    const stage = new Stage();
    await stage.cycle();
    await endGuards(stage.node.world, stage.state);
    expect(stage.at).toBeUndefined();
  });

  it('is nothing to a node that has no way to it', async () => {
    const stage = new Stage();
    const { memoryGuards: _none, ...hands } = stage.node.world.hands;
    const settings = { manage: () => stage.management, hostPolicy, dryRun: false, atOnce: 1 };
    const world = { ...stage.node.world, hands };
    const stop = new AbortController().signal;
    const result = await runCycle(world, { ...settings, guards: true }, stage.state, stop);
    expect(result).toMatchObject({ ok: true, failed: 0 });
    await endGuards(world, stage.state);
  });
});
