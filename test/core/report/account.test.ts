import { describe, expect, it } from 'vitest';
import { newLoopState, recordOf } from '../../../src/core/loop-state.ts';
import type { MemoryGuard } from '../../../src/core/memory-guard.ts';
import type { Management } from '../../../src/core/policy.ts';
import { missing, present } from '../../../src/core/reading.ts';
import { type Account, accountOf } from '../../../src/core/report/account.ts';
import type { ReportInput } from '../../../src/core/report/report-input.ts';
import { mib, milliseconds, ratio } from '../../../src/core/units.ts';
import {
  broken,
  budgetOf,
  container,
  cpuUse,
  everyone,
  guest,
  machine,
  memoryUse,
  policy,
  vmid,
} from '../builders.ts';
import { HOLD_REASONS, heldFor, reportInput, SKIP_REASONS, skippedFor } from './report.ts';

const ID = vmid(101);

function account(input: ReportInput): Account {
  const found = accountOf(input, ID);
  if (found === undefined) throw new Error('no account');
  expect(JSON.parse(JSON.stringify(found))).toEqual(found);
  expect(JSON.stringify(found)).not.toMatch(/undefined|NaN|Infinity|\[object/);
  return found;
}

const memoryOf = ({ resources }: Account) =>
  resources.find(({ resource }) => resource === 'memory');
const guardOf = (found: Account, resource: 'cores' | 'memory', what: string) =>
  found.resources
    .find((one) => one.resource === resource)
    ?.guards.find((guard) => guard.what === what);

const starving = container(guest(101), { memory: present(memoryUse(1000)) });

describe('an account', () => {
  it('tells of a growth from what was seen to what the plan made of it', () => {
    const found = account(reportInput([starving]));
    expect(found).toMatchObject({ vmid: 101, name: 'guest-101', cycle: 7, leftAlone: null });
    expect(found.policy[0]).toEqual({
      what: 'policy',
      says: 'DEFAULT',
      numbers: { source: 'DEFAULT' },
    });
    const memory = memoryOf(found);
    expect(memory?.decision).toMatchObject({
      verdict: 'grow',
      before: 1024,
      after: 1536,
      rule: 'above-upper',
      says: expect.stringMatching(/^1024 -> 1536 MB, since it uses 1000 of its 1024 MB .*80 %/),
    });
    expect(memory?.plan).toMatchObject({ verdict: 'grow', says: 'granted in full' });
    expect(found.resources[0]?.decision).toMatchObject({ verdict: 'hold', because: 'in-band' });
    expect(found.resources[0]?.plan).toEqual({
      verdict: 'none',
      says: 'nothing to plan',
    });
  });

  it('tells what comes of a preset, and why', () => {
    const preset = { name: 'pihole', gives: ['min_memory: 256'], because: 'Its lists are large' };
    const found = account(reportInput([starving], everyone({ ...policy(), preset })));
    expect(found.policy[1]).toEqual({
      what: 'preset',
      says: 'pihole gives min_memory: 256. Its lists are large',
      numbers: { preset: 'pihole' },
    });
  });

  it('tells what a short host made of it', () => {
    const part = memoryOf(account(reportInput([starving], { available: budgetOf(14, 256) })));
    expect(part?.plan).toMatchObject({ after: 1280, limits: ['host'] });
    expect(part?.plan.says).toBe('granted in part, 1280 MB: the host cannot give more now');
    const none = account(reportInput([starving], { available: budgetOf(14, 0) }));
    expect(memoryOf(none)?.plan).toMatchObject({
      verdict: 'hold',
      because: 'host-memory',
      says: expect.stringMatching(/^not granted: /),
    });
    expect(guardOf(none, 'memory', 'host budget')).toMatchObject({ holds: true });
  });

  it('says why each number is missing', () => {
    const cpu = missing('first-sample', 'no earlier sample');
    const found = account(reportInput([container(guest(101), { cpu, memory: broken('bad') })]));
    const says = Object.fromEntries(found.seen.map((fact) => [fact.what, fact.says]));
    expect(says).toMatchObject({ CPU: 'not known: no earlier sample', memory: 'not known: bad' });
    expect(found.resources.map(({ decision }) => decision.because)).toEqual(['missing', 'missing']);
  });

  it('makes up the need of memory from its parts', () => {
    const use = memoryUse(1000, { swapMib: mib(200) });
    const one = container(guest(101, { memoryMib: mib(2048) }), {
      memory: present({ ...use, limitMib: mib(2048) }),
    });
    const need = memoryOf(account(reportInput([one])))?.weighed.find(({ what }) => what === 'need');
    expect(need?.numbers).toEqual({ need: 1320, inUse: 1000, swap: 200, headroom: 120 });
  });

  it('tells of the last change, of pending cores and of what a dry run leaves undone', () => {
    const state = newLoopState();
    const input = reportInput([starving], { dryRun: true }, { state });
    const text = 'memory 512 -> 1024 MB, since';
    recordOf(state, ID).lastChange = { wallMs: input.wallMs, text, status: 'failed' };
    const sinceMs = milliseconds(input.nowMs - 7000);
    recordOf(state, ID).life.pendingCores = { cores: 4, sinceMs, warned: false };
    expect(account(input).outcome.map(({ says }) => says)).toEqual([
      `2026-11-21 22:04:45, failed: ${text}`,
      '4 cores configured 7 s ago, not in its cpuset yet',
      'not done: this is a dry run',
    ]);
  });

  it('of a container that was not there is none', () => {
    expect(accountOf(reportInput([starving]), vmid(102))).toBeUndefined();
  });

  it.each(Object.entries(HOLD_REASONS))('has a sentence for a hold: %s', (kind, because) => {
    const [cpu] = account(heldFor(because, { containers: [container(guest(101))] })).resources;
    expect(cpu?.decision).toMatchObject({ verdict: 'hold', because: kind });
    expect(cpu?.decision.says).toMatch(/^.{20,}$/);
  });

  it.each(Object.entries(SKIP_REASONS))('has a sentence for a skip: %s', (_, because) => {
    const found = account(skippedFor(because, { containers: [container(guest(101))] }));
    expect(found.leftAlone).toMatch(/^.{10,}$/);
    expect(found.resources).toEqual([]);
  });

  it('makes texts of others harmless', () => {
    const evil = 'a\u001b[2J\u202eb\nc';
    const config = guest(101, { name: evil, lock: evil, pendingKeys: ['memory'] });
    expect(JSON.stringify(account(reportInput([container(config)])))).not.toMatch(
      /(?<!\\)\\(u001b|n)|\u202e/,
    );
  });
});

describe('the guards', () => {
  const timed = policy();
  const timing = {
    ...timed.timing,
    cooldownDownMs: milliseconds(300_000),
    periodsUp: 2,
    periodsDown: 3,
  };
  const manage = everyone({ ...timed, timing, scaling: 'boost' }).manage;

  it('are off where nothing is in their way', () => {
    const found = account(reportInput([container(guest(101))]));
    const holding = [...found.guards, ...found.resources.flatMap(({ guards }) => guards)]
      .filter(({ holds }) => holds)
      .map(({ what }) => what);
    expect(holding).toEqual([
      'observations for growth',
      'observations for shrinking',
      'observations for growth',
      'observations for shrinking',
    ]);
  });

  it('tell the times that are left', () => {
    const state = newLoopState();
    const input = reportInput([container(guest(101))], { manage }, { manage, state });
    const at = (ms: number) => milliseconds(input.nowMs + ms);
    for (const resource of ['cores', 'memory'] as const) {
      recordOf(state, ID)[resource].changedMs = at(-100_000);
      recordOf(state, ID)[resource].handHoldMs = at(40_000);
    }
    recordOf(state, ID).life.startedMs = at(-60_000);
    recordOf(state, ID).life.oomKillMs = at(-900_000);
    recordOf(state, ID).life.heldBackMs = at(-240_000);
    recordOf(state, ID).life.shrinkRetry = { count: 3, retryAtMs: at(5000) };
    recordOf(state, ID).cores.boost = { before: 2, boosted: 3, endMs: at(9000) };
    recordOf(state, ID).memory.offPeak = { before: 4096, givenBackMs: undefined };
    recordOf(state, ID).life.seen.cores = [
      { used: 1, peak: 1 },
      { used: 1, peak: 1.5 },
    ];
    const found = account(input);
    const cases = [
      ['cores', 'cooldown for growth', false, 'none'],
      ['cores', 'cooldown for shrinking', true, '200 s left of 300 s'],
      ['cores', 'observations for growth', false, '2 of 2'],
      ['cores', 'observations for shrinking', true, '2 of 3'],
      ['cores', 'changed by hand', true, '40 s left'],
      ['cores', 'boost', true, 'back to 2 cores in 9 s'],
      ['memory', 'boost', false, 'off; saturated in 0 samples in a row, 3 begin one'],
      ['memory', 'start', true, '60 s ago; no shrinking for 540 s'],
      ['memory', 'OOM kill', false, '900 s ago'],
      ['memory', 'wait for memory', true, '240 s ago; no shrinking for 360 s'],
      ['memory', 'test shrink', true, '3 tries have failed; next try in 5 s'],
      ['memory', 'off-peak', false, 'had 4096 MB before the off-peak time'],
    ] as const;
    for (const [resource, what, holds, says] of cases) {
      expect(guardOf(found, resource, what)).toMatchObject({ what, holds, says });
    }
  });

  it('tell where the memory guard is, or why there is none', () => {
    const guarded = policy();
    const own = { ...guarded, memory: { ...guarded.memory, guard: true as const } };
    const says = (one = container(guest(101)), input: Partial<ReportInput> = {}, mode = 'act') => {
      const manage = () => ({ ...everyone(own).manage(), mode }) as Management;
      const found = account(reportInput([one], { manage, ...input }, { manage }));
      return guardOf(found, 'memory', 'memory guard')?.says;
    };
    const knowing = (guard: MemoryGuard) => {
      const state = newLoopState();
      recordOf(state, ID).life.guard = guard;
      return { state };
    };
    const checkedMs = milliseconds(0);
    const at940 = { limitMib: 1024, atMib: 940, checkedMs };
    const below = 'memory.high is 940 MB, below the limit of 1024 MB';
    expect(says()).toBe('none: not set yet');
    expect(says(undefined, knowing(at940))).toBe(below);
    expect(says(undefined, knowing({ ...at940, problem: 'EIO' }))).toBe(`${below}; EIO`);
    const full = { ...at940, atMib: undefined };
    expect(says(undefined, knowing(full))).toBe('none: too much is in use below the limit');
    const failed = knowing({ ...full, problem: 'memory.high: EIO' });
    expect(says(undefined, failed)).toBe('none: it was not set; memory.high: EIO');
    expect(says(container(machine(101)))).toMatch(/^none: virtual machines have no/);
    expect(says(undefined, {}, 'observe')).toMatch(/^none: it is only observed/);
    expect(says(undefined, { dryRun: true })).toBe('none: nothing is changed in a dry run');
    expect(says(undefined, { from: 'now' })).toMatch(/^none: the daemon sets it/);
  });

  it('tell what the container shows', () => {
    const use = memoryUse(512, { pressure: ratio(0.2), newLimitHits: 3 });
    const config = guest(101, { cores: 2, lock: 'backup', template: true, pendingKeys: ['cores'] });
    const one = container(config, {
      memory: present(use),
      cpu: present(cpuUse(1, 2)),
      cpusetCpus: 1,
    });
    const state = newLoopState();
    const input = reportInput([one], {}, { state });
    recordOf(state, ID).failure = { count: 2, retryAtMs: milliseconds(input.nowMs + 1000) };
    const found = account(input);
    expect(found.guards.filter(({ holds }) => holds).map(({ what }) => what)).toEqual([
      'locked',
      'template',
      'changes that wait for its next start',
      'failed lately',
    ]);
    const open = account(reportInput([container(guest(101), { memory: present(use) })]));
    expect(guardOf(open, 'memory', 'limit hits')).toMatchObject({ holds: true, says: '3' });
    expect(guardOf(open, 'memory', 'memory pressure')).toMatchObject({ holds: true });
    expect(guardOf(open, 'memory', 'refaults')).toMatchObject({ holds: false });
    const late = container(guest(101), { cpusetCpus: 1 });
    expect(guardOf(account(reportInput([late])), 'cores', 'not active yet')).toMatchObject({
      holds: true,
      says: '2 configured, 1 in its cpuset',
    });
  });

  it('of a virtual machine are about what it has: no raw line, and no cpuset', () => {
    const machine = container({ ...guest(101), kind: 'qemu' }, { cpusetCpus: 1 });
    const found = account(reportInput([machine]));
    expect(JSON.stringify(found)).not.toMatch(/raw line|cpuset/);
    expect(guardOf(found, 'cores', 'not active yet')).toMatchObject({
      says: '2 configured, 1 in the machine',
    });
  });
});
