import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { journalLabel } from '../../src/core/journal-words.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import type { NodeOptions } from '../../src/sim/node.ts';
import type { Demand } from '../../src/sim/plant.ts';
import { guest, HOST, NodeUnderTest } from './node-under-test.ts';

/** Memory that is to be taken back: the kernel is asked first, and its answer decides. */

const MIB = 1024 * 1024;
/**
 * Busy in the middle of its cores; 300 MB are its own, the rest of what it holds is file cache, a
 * tenth of which is read all the time.
 */
const CACHED: Demand = { cpuCores: 1, anonMib: 300, fileSetMib: 2000 };

interface Changing {
  now: Demand;
}

/** A quarter less of it takes half a gigabyte of the cache. */
const HAS_MIB = 2560;

async function cachedNode(
  demand: Changing,
  options: Partial<NodeOptions> = {},
  memoryMib = HAS_MIB,
): Promise<NodeUnderTest> {
  const settings = { cores: 2, memoryMib };
  const spec: GuestSpec = { ...guest(101, settings, CACHED), demand: () => demand.now };
  const under = await NodeUnderTest.create([spec], options);
  // Only what is proven, or not, is to hold a shrink back here.
  const now = 'cooldown_seconds: 0, evaluation_periods: 1, first_shrink_seconds: 0';
  under.configure(`DEFAULT: {poll_interval: 1, ${now}}\n`);
  return under;
}

const memoryFile = (under: NodeUnderTest, name: string): string =>
  readFileSync(join(under.root, 'sys/fs/cgroup/lxc/101', name), 'utf8');
const mibIn = (under: NodeUnderTest, name: string): number => Number(memoryFile(under, name)) / MIB;

/** What was asked for and what was given up, in MiB. */
const reclaims = (under: NodeUnderTest): Array<readonly [asked: number, got: number]> =>
  under.node.events
    .filter(({ what }) => what === 'reclaim')
    .map(({ detail }) => detail.split(' ').map((bytes) => Number(bytes) / MIB))
    .map(([asked = 0, got = 0]) => [asked, got]);

/** Nobody was hurt. */
function expectUnharmed(under: NodeUnderTest): void {
  expect(under.node.oomKills(101)).toBe(0);
  expect(memoryFile(under, 'memory.events')).toMatch(/^oom_kill 0$/m);
  expect(memoryFile(under, 'memory.swap.current')).toBe('0\n');
}

function expectLeft(under: NodeUnderTest): void {
  expect(under.node.calls).toEqual([]);
  expect(under.backups(101)).toEqual([]);
  expect(under.node.limits(101)).toMatchObject({
    memoryMib: HAS_MIB,
    live: { memoryMib: HAS_MIB },
  });
  expect(under.log()).toMatch(/WARNING - NOT PROVEN\. Container 101 \(ct101\): memory 2560 -> /);
  expect(under.journal().map(journalLabel)).toEqual(['Decrease Memory Not Proven']);
}

it('a page-cache heavy container shrinks after the cache was really given up', async () => {
  const under = await cachedNode({ now: CACHED });
  const before = mibIn(under, 'memory.current');
  expect(before).toBeGreaterThan(2300);
  const seen: number[] = [];
  under.node.onCommand(() => {
    seen.push(mibIn(under, 'memory.current'));
    return undefined;
  });
  expect((await under.run(['once'])).code).toBe(0);
  const limit = under.node.limits(101)?.live?.memoryMib ?? 0;
  expect(limit).toBe(HAS_MIB * 0.75);
  // When pct was called, what the new limit takes was free already, but for what was read since.
  expect(seen).toHaveLength(1);
  expect(seen[0]).toBeLessThan(limit + 100);
  const asked = reclaims(under).reduce((sum, [each]) => sum + each, 0);
  expect(asked).toBeGreaterThanOrEqual(before - limit);
  expect(asked).toBeLessThanOrEqual(2000);
  expect(under.journal()).toMatchObject([{ action: 'Decrease Memory', status: 'confirmed' }]);
  expectUnharmed(under);
});

it('EAGAIN proves nothing, and what was given up before it is counted', async () => {
  const under = await cachedNode({ now: CACHED });
  under.node.onReclaim((_vmid, bytes) => bytes / 4);
  const plan = join(under.root, '../plan.json');
  const write = { call: 'handle.write', path: '/memory.reclaim' };
  const fault = { ...write, when: 'after', error: 'EAGAIN' };
  writeFileSync(plan, JSON.stringify({ root: under.root, faults: [fault] }));
  const outside = new URL('../faults/outside.cjs', import.meta.url).pathname;
  const before = ['/usr/bin/env', `NODE_OPTIONS=--require ${outside}`, `OUTSIDE=${plan}`];
  expect((await under.start(['once'], under.path, before).ended).code).toBe(0);
  expectLeft(under);
  expectUnharmed(under);
  // The first part was the last one, and a quarter of it came.
  expect(reclaims(under)).toEqual([[64, 16]]);
  const proof = under.journal()[0]?.['proof'] as Record<string, number>;
  expect(proof).toMatchObject({ kind: 'still-in-use', asked: 64 });
  expect(proof['got']).toBeLessThanOrEqual(16);
});

it('cache that the kernel does not give up is left, told, and not asked for again', async () => {
  const under = await cachedNode({ now: CACHED });
  under.node.onReclaim((_vmid, bytes) => bytes / 10);
  const daemon = under.start(['daemon']);
  await daemon.saying(/NOT PROVEN([\s\S]*Resource allocation process completed){3}/);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  expectLeft(under);
  expectUnharmed(under);
  expect(under.log()).toMatch(
    /asked to give up \d{3} MB and gave up \d{2} MB; \d{4} MB are in use where at most \d{4} MB/,
  );
  const [event] = under.journal();
  expect(event).toMatchObject({ status: 'unproven', proof: { kind: 'still-in-use' } });
  expect(event?.['note']).toMatch(/Next try in 300 s/);
  const proof = event?.['proof'] as Record<string, number>;
  const asked = reclaims(under).reduce((sum, [each]) => sum + each, 0);
  expect(proof['asked']).toBeCloseTo(asked, 0);
  expect(proof['got']).toBeLessThan(asked / 5);
  expect(proof['current']).toBeGreaterThan(proof['wanted'] ?? Number.POSITIVE_INFINITY);
});

it('not proven is no failure: once exits with 0', async () => {
  const under = await cachedNode({ now: CACHED });
  under.node.onReclaim((_vmid, bytes) => bytes / 10);
  expect((await under.run(['once'])).code).toBe(0);
  expectLeft(under);
});

it.each([
  ['processes that grow', { ...CACHED, anonMib: 1900 }],
  ['a tmpfs that fills up', { ...CACHED, shmemMib: 1600 }],
])('%s between decision and change keep their memory', async (_what, grown) => {
  const demand: Changing = { now: CACHED };
  const under = await cachedNode(demand);
  under.node.onReclaim(() => {
    if (demand.now === CACHED) {
      demand.now = grown;
      under.node.advance(100);
    }
    return undefined;
  });
  expect((await under.run(['once'])).code).toBe(0);
  expectLeft(under);
  expectUnharmed(under);
  // What it grew to fits under the limit that it kept.
  under.node.advance(5000);
  expectUnharmed(under);
});

it('a tmpfs-heavy container is never asked for its tmpfs, and loses none of it', async () => {
  const demand = { cpuCores: 1, anonMib: 200, shmemMib: 1200, fileSetMib: 5000 };
  const under = await cachedNode({ now: demand }, {}, 8192);
  const daemon = under.start(['daemon']);
  await daemon.saying(/Resource allocation process completed([\s\S]*completed){2}/);
  daemon.signal('SIGTERM');
  await daemon.ended;
  expectUnharmed(under);
  expect(memoryFile(under, 'memory.stat')).toMatch(new RegExp(`^shmem ${1200 * MIB}$`, 'm'));
  expect(under.node.limits(101)?.memoryMib).toBeGreaterThan(1400 + 140);
  expect(reclaims(under).length).toBeGreaterThan(0);
  for (const [asked] of reclaims(under)) expect(asked).toBeLessThanOrEqual(5000);
});

it('growth does not wait for what was not proven', async () => {
  const demand: Changing = { now: CACHED };
  const under = await cachedNode(demand);
  under.node.onReclaim(() => 0);
  const daemon = under.start(['daemon']);
  await daemon.saying('NOT PROVEN');
  demand.now = { ...CACHED, anonMib: 2300 };
  await daemon.saying('Increasing memory for container 101');
  await daemon.saying('Confirmed.');
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  expect(under.node.limits(101)?.memoryMib).toBeGreaterThan(HAS_MIB);
});

it('a kernel without memory.reclaim: small steps, which is said once', async () => {
  const host = { ...HOST, kernelRelease: '5.15.158-2-pve' };
  const under = await cachedNode({ now: CACHED }, { host }, 8192);
  const daemon = under.start(['daemon']);
  await daemon.saying(/(Decreasing memory[\s\S]*Confirmed[\s\S]*){3}/);
  daemon.signal('SIGTERM');
  await daemon.ended;
  const steps = under.journal();
  expect(steps.slice(0, 3).map(({ before, after }) => [before, after])).toEqual([
    [8192, 7376],
    [7376, 6640],
    [6640, 5984],
  ]);
  // Below this lies file cache that was used more than once.
  for (const { after } of steps) expect(after).toBeGreaterThan(300 + 0.35 * 2000);
  expect(under.log().match(/This kernel has no memory\.reclaim/g)).toHaveLength(1);
  expectUnharmed(under);
});

it('a memory.reclaim that cannot be written: not proven, no shrink', async () => {
  const under = await cachedNode({ now: CACHED });
  const file = join(under.root, 'sys/fs/cgroup/lxc/101/memory.reclaim');
  rmSync(file);
  // A file that the kernel lets nobody write to, not even root.
  symlinkSync('/proc/sys/kernel/osrelease', file);
  expect((await under.run(['once'])).code).toBe(0);
  expectLeft(under);
  expectUnharmed(under);
  expect(under.log()).toMatch(/could not be asked .*memory\.reclaim: permission denied \(EACCES\)/);
});

const highs = (under: NodeUnderTest): readonly string[] =>
  under.node.events.filter(({ what }) => what === 'high').map(({ detail }) => detail);

it.each([
  ['without swap', 0, /NOT PROVEN.*it began to need more while its limit was to be lowered/],
  ['with swap', 4096, /NOT PROVEN.*MB were swapped out meanwhile/],
])(
  'a container that begins to grow while pct waits keeps its memory: %s',
  async (_w, swapMib, says) => {
    const demand: Changing = { now: CACHED };
    const under = await cachedNode(demand, { host: { ...HOST, swapMib } });
    const before = memoryFile(under, 'memory.high');
    under.node.onCommand(() => {
      demand.now = { ...CACHED, anonMib: 2400 };
      return { kind: 'slow', delayMs: 3000 };
    });
    expect((await under.run(['once'])).code).toBe(0);
    expect(under.log()).toMatch(says);
    expect(under.node.limits(101)).toMatchObject({ memoryMib: 2560, live: { memoryMib: 2560 } });
    expect(highs(under)).toHaveLength(2);
    expect(memoryFile(under, 'memory.high')).toBe(before);
    // What it wants fits under the limit that it kept.
    under.node.advance(10_000);
    expectUnharmed(under);
    expect(mibIn(under, 'memory.current')).toBeGreaterThan(2400);
  },
);

it('memory.high of a shrink that came about is what pct has set', async () => {
  const under = await cachedNode({ now: CACHED });
  expect((await under.run(['once'])).code).toBe(0);
  const limit = under.node.limits(101)?.live?.memoryMib ?? 0;
  expect(limit).toBeLessThan(2000);
  expect(highs(under)).toHaveLength(1);
  expect(mibIn(under, 'memory.high')).toBeGreaterThan(limit * 0.99);
});

it('memory.high that a killed daemon left low is put back by the next one', async () => {
  const under = await cachedNode({ now: CACHED });
  const before = memoryFile(under, 'memory.high');
  const life = under.start(['once']);
  under.node.onCommand(() => {
    life.signal('SIGKILL');
    return { kind: 'fail', exit: 255 };
  });
  await life.ended;
  expect(mibIn(under, 'memory.high')).toBeLessThan(2000);
  under.node.onCommand(() => ({ kind: 'fail', exit: 255 }));
  await under.run(['once']);
  expect(memoryFile(under, 'memory.high')).toBe(before);
  expect(under.log()).toMatch(/Container 101: memory.high was lowered by a process that has ended/);
});
