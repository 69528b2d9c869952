import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Demand } from '../../src/sim/plant.ts';
import { guest, NodeUnderTest } from '../e2e/node-under-test.ts';
import { HALF } from './promises.ts';
import { beginBoost, letSamplesAge, savedBoosts, savedState } from './saved.ts';
import { crashes, onceLater } from './scenario.ts';

/** Cycles that change something, cut off at each of their writes and commands. */

await crashes('the first cycle of all, in which memory grows', {
  points: 80,
  memory: { 101: [1000, 4096] },
  create: async () => {
    const under = await NodeUnderTest.create([
      guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 1, anonMib: 900 }),
    ]);
    under.configure('DEFAULT: {poll_interval: 1, max_memory: 4096}\n');
    return under;
  },
});

/** A container that changes what it wants once it was seen for the first time. */
async function seenOnce(before: Demand, after: Demand, yaml: string): Promise<NodeUnderTest> {
  const now = { demand: before };
  const spec = { ...guest(101, { cores: 2, memoryMib: 1024 }, before), demand: () => now.demand };
  const under = await NodeUnderTest.create([spec]);
  under.configure(yaml);
  await under.run(['once']);
  now.demand = after;
  under.node.advance(1000);
  return under;
}

const CALM: Demand = { cpuCores: 1, anonMib: 500 };
const BUSY: Demand = { cpuCores: 4, anonMib: 900 };
const IDLE: Demand = { cpuCores: 0.3, anonMib: 500 };
const IN_BAND: Demand = { cpuCores: 1.4, anonMib: 900 };
const QUICK =
  'poll_interval: 1, cooldown_seconds: 0, evaluation_periods: 1, first_shrink_seconds: 0';
const YAML = 'DEFAULT: {poll_interval: 1, max_memory: 4096, max_cores: 4}\n';

async function busy(): Promise<NodeUnderTest> {
  const under = await seenOnce(CALM, BUSY, YAML);
  letSamplesAge(under, { 101: 2 });
  return under;
}

await crashes('a cycle in which cores and memory grow at once', {
  points: 85,
  own: /^pct|log\.json|state\.json|rmdir/,
  memory: { 101: [1000, 4096] },
  create: busy,
  goOn: onceLater,
});

await crashes('a cycle in which a change is half done, and is put back', {
  points: 100,
  own: /^pct|log\.json/,
  codes: [0, 1],
  // Which of two tries is the half one depends on where the first was cut off.
  otherEnd: true,
  memory: { 101: [1000, 4096] },
  create: busy,
  prepare: (site) => {
    site.fault = () =>
      site.settings.length === 1 ? { kind: 'killed', done: 'first-option' } : undefined;
  },
});

await crashes('a cycle in which only what is live is changed, and is put back', {
  points: 100,
  // A command that puts back and outlives its caller by far is taken for an admin's.
  byHand: true,
  own: /^pct|backups\/101/,
  codes: [0, 1],
  otherEnd: true,
  memory: { 101: [1000, 4096] },
  create: () => seenOnce(CALM, { cpuCores: 1, anonMib: 900 }, YAML),
  prepare: (site) => {
    site.fault = () =>
      site.settings.length === 1 ? { kind: 'killed', done: 'live-only' } : undefined;
  },
});

/** It is where Proxmox VE sets it with the limit, and nowhere below. */
function expectHighFree({ root, node }: NodeUnderTest): void {
  const high = readFileSync(join(root, 'sys/fs/cgroup/lxc/101/memory.high'), 'utf8');
  const { live } = node.limits(101) ?? {};
  expect(Number(high) / 2 ** 20).toBeGreaterThan((live?.memoryMib ?? 0) * 0.99);
}

await crashes('a cycle in which memory is proven to be free, and taken', {
  points: 85,
  own: /^pct|reclaim|memory.high/,
  // What is left of its cache is another amount in each run.
  otherEnd: true,
  memory: { 101: [450, 2560] },
  create: async () => {
    const under = await NodeUnderTest.create([
      guest(101, { cores: 2, memoryMib: 2560 }, { cpuCores: 1, anonMib: 300, fileSetMib: 2000 }),
    ]);
    under.configure(`DEFAULT: {${QUICK}}\n`);
    return under;
  },
  expectEnd: ({ under }) => {
    // What was reclaimed is read again, so that the next life may leave it what it has.
    expectHighFree(under);
  },
});

await crashes('a cycle in which a boost ends', {
  points: 80,
  goOn: onceLater,
  own: /^pct|state\.json/,
  create: async () => {
    const demand = { cpuCores: 0.5, anonMib: 500 };
    const yaml = 'DEFAULT: {poll_interval: 1, scaling_mode: boost}\n';
    const under = await seenOnce(demand, demand, yaml);
    beginBoost(under, 101, { before: 1, boosted: 2, endMs: 1 });
    letSamplesAge(under, { 101: 0.5 });
    return under;
  },
  expectEnd: ({ under }) => {
    expect(under.node.limits(101)?.cores).toBe(1);
    expect(savedBoosts(under)).toBe(0);
  },
});

await crashes('a cycle in which a cpulimit goes down', {
  points: 80,
  goOn: onceLater,
  own: /^pct/,
  // A tenth more or less is a matter of when exactly it was measured.
  otherEnd: true,
  create: async () => {
    const yaml = `DEFAULT: {${QUICK}, cpu_unit: cpulimit, min_cores: 0.5}\n`;
    const settings = { cores: 2, cpuLimit: 2, memoryMib: 1024 };
    const under = await NodeUnderTest.create([guest(101, settings, IDLE)]);
    under.configure(yaml);
    await under.run(['once']);
    under.node.advance(1000);
    letSamplesAge(under, { 101: IDLE.cpuCores });
    return under;
  },
  expectEnd: ({ under }, when) => {
    const { cores, cpuLimit } = under.node.limits(101) ?? {};
    expect(cores).toBe(2);
    // A live limit that is not the configured one is put right first, and lowered by a later cycle.
    expect(when === HALF ? [2] : [0.6, 0.7]).toContain(cpuLimit);
  },
});

const NIGHTS = 'off_peak_cron: "* * * * *", off_peak_minutes: 60, start_grace_seconds: 0';
const offPeak = (isOn: boolean): string => `DEFAULT: {${QUICK}, energy_mode: ${isOn}, ${NIGHTS}}\n`;

/** In the middle of its band, so that only the off-peak time takes something. */
const inBand = () => guest(101, { cores: 4, memoryMib: 4096 }, IN_BAND);

async function taking(): Promise<NodeUnderTest> {
  const under = await NodeUnderTest.create([inBand()]);
  under.configure(offPeak(false));
  await under.run(['once']);
  under.configure(offPeak(true));
  letSamplesAge(under, { 101: IN_BAND.cpuCores });
  under.node.advance(1000);
  return under;
}

await crashes('a cycle in which the off-peak time takes cores and memory', {
  points: 90,
  goOn: onceLater,
  own: /^pct|state\.json/,
  memory: { 101: [900, 4096] },
  // What is left of its cache is another amount in each run.
  otherEnd: true,
  create: taking,
  expectEnd: ({ under }) => {
    expect(under.node.limits(101)?.cores).toBe(2);
    expect(under.log()).not.toContain('not by this program');
  },
});

await crashes('a cycle in which the off-peak time is over', {
  points: 85,
  // Cores that pvestatd has not dealt out yet are given back by a command of their own.
  moreSets: 2,
  // Where what is live was to be put right, that is one cycle's work, and giving back the next's.
  goOn: async (site) => {
    await onceLater(site);
    return onceLater(site);
  },
  own: /^pct|state\.json/,
  memory: { 101: [900, 4096] },
  create: async () => {
    const under = await taking();
    await under.run(['once']);
    under.configure(offPeak(false));
    letSamplesAge(under, { 101: IN_BAND.cpuCores });
    return under;
  },
  expectEnd: ({ under }) => {
    expect(under.node.limits(101)).toMatchObject({ cores: 4, memoryMib: 4096 });
    expect(under.log()).not.toContain('not by this program');
  },
});

/** Of which resources something is learnt. */
function learntKeys(under: NodeUnderTest): readonly string[] {
  const { of } = savedState(under)['learnt'] as { of: readonly (readonly [string, unknown])[] };
  return of.map(([key]) => key);
}

await crashes('a cycle that learns', {
  points: 30,
  own: /state\.json/,
  create: async () => {
    const yaml = 'DEFAULT: {poll_interval: 1, scaling_mode: adaptive}\n';
    const under = await seenOnce(CALM, CALM, yaml);
    letSamplesAge(under, { 101: 1 });
    return under;
  },
  // A crash takes nothing of what was learnt before.
  expectCut: ({ under }) => expect(learntKeys(under)).toContain('101/memory'),
  expectEnd: ({ under }) => expect(learntKeys(under)).toEqual(['101/cores', '101/memory']),
});
