import { describe, expect, it } from 'vitest';
import type { Resource } from '../../src/core/allocation.ts';
import { CONTROLLERS } from '../../src/core/capabilities.ts';
import { type DecideInput, decide } from '../../src/core/decide.ts';
import type { Change, Decision, Hold, SkipReason } from '../../src/core/decision.ts';
import { explainHold, explainSkip } from '../../src/core/explain.ts';
import { learnMemory } from '../../src/core/learning.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type {
  ContainerObservation,
  ContainerUsage,
  Controller,
  MemoryUsage,
} from '../../src/core/observation.ts';
import { plan } from '../../src/core/plan.ts';
import { missing, present, type Reading } from '../../src/core/reading.ts';
import { begin } from '../../src/core/sampling-interval.ts';
import { cores, mib, milliseconds, ratio } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { haveSameShape } from '../same-shape.ts';
import {
  able,
  broken,
  budgetWith,
  container,
  cpuUse,
  decideInput,
  gone,
  guest,
  host,
  hostMemory,
  hostPolicy,
  memoryUse,
  type PolicyNumbers,
  policy,
  sample,
  usage,
  vmid,
} from './builders.ts';

const managed =
  (numbers: PolicyNumbers): DecideInput['manage'] =>
  () => ({ kind: 'managed', policy: policy(numbers), mode: 'act', because: 'DEFAULT' });

function skipOf(
  observed: ContainerObservation,
  own: Partial<DecideInput> = {},
): SkipReason | undefined {
  const { decisions, skipped } = decide(decideInput([observed], own));
  if (skipped.length > 0) expect(decisions).toEqual([]);
  return skipped[0]?.because;
}

function decisionOn(
  resource: Resource,
  observed: ContainerObservation,
  own: Partial<DecideInput> = {},
): Decision {
  const { decisions } = decide(decideInput([observed], own));
  const decision = decisions.find((each) => each.resource === resource);
  if (decision === undefined) throw new Error(`nothing was decided on ${resource}`);
  return decision;
}

const becauseOf = (decision: Decision): Hold['because'] | 'a change' =>
  decision.verdict === 'hold' ? decision.because : 'a change';

it.each([false, true])('decisions of a kind have one shape (observe only: %s)', (isObserved) => {
  const manage: DecideInput['manage'] = () => ({
    kind: 'managed',
    policy: policy(),
    mode: isObserved ? 'observe' : 'act',
    because: 'DEFAULT',
  });
  const all = decide(
    decideInput(
      [101, 102].map((id) => container(guest(id))),
      { manage },
    ),
  );
  const [one, , other] = all.decisions;
  if (one === undefined || other === undefined) throw new Error('two containers were decided on');
  expect([one.vmid, other.vmid, one.resource]).toEqual([101, 102, other.resource]);
  expect(haveSameShape(one, other)).toBe(true);
});

describe('a container is left alone', () => {
  const ordinary = guest(101);

  it('when its configuration could not be read', () => {
    const unread = { ...container(ordinary), config: broken() };
    expect(skipOf(unread)).toEqual({ kind: 'unreadable', reading: broken() });
  });

  it('as what it is, also while its configuration cannot be read', () => {
    const unread = { ...container(ordinary), config: broken() };
    const [one, other] = [unread, { ...unread, kind: 'qemu' } as const];
    const skips = [one, other].map((each) => decide(decideInput([each])).skipped[0]);
    expect(skips[0]).toMatchObject({ name: 'CT101' });
    expect(skips[0]).not.toHaveProperty('kind');
    expect(skips[1]).toMatchObject({ name: 'VM101', kind: 'qemu' });
  });

  it('when it is ignored, with the reason of the configuration', () => {
    const manage: DecideInput['manage'] = () => ({ kind: 'ignored', because: 'as it is told' });
    expect(skipOf(container(ordinary), { manage })).toMatchObject({ because: 'as it is told' });
  });

  it('when it is a template', () => {
    expect(skipOf(container(guest(101, { template: true })))).toEqual({ kind: 'template' });
  });

  it('when it is locked', () => {
    const locked = guest(101, { lock: 'backup' });
    expect(skipOf(container(locked))).toEqual({ kind: 'locked', lock: 'backup' });
  });

  it('when it is stopped', () => {
    const stopped = { ...container(ordinary), state: { kind: 'stopped' } as const };
    expect(skipOf(stopped)).toEqual({ kind: 'stopped' });
  });

  it('when its cgroup could not be read', () => {
    const state = { kind: 'unknown', reason: broken('EIO') } as const;
    const because = skipOf({ ...container(ordinary), state });
    expect(because).toEqual({ kind: 'unreadable', reading: broken('EIO') });
  });

  it.each(['cores', 'cpulimit', 'memory', 'swap'])(
    'when a change of %s waits for a start',
    (key) => {
      const waiting = guest(101, { pendingKeys: ['hostname', key] });
      expect(skipOf(container(waiting))).toEqual({ kind: 'pending-changes', keys: [key] });
    },
  );

  it('but not when something waits that is no matter of ours', () => {
    const waiting = guest(101, { pendingKeys: ['hostname', 'net0'] });
    expect(skipOf(container(waiting))).toBeUndefined();
  });

  it('when a change of it failed lately, and until then', () => {
    const state = newLoopState();
    recordOf(state, vmid(101)).failure = { count: 2, retryAtMs: milliseconds(1000) };
    const early = { state, nowMs: milliseconds(400) };
    expect(skipOf(container(ordinary), early)).toEqual({
      kind: 'failed-lately',
      failures: 2,
      retryInMs: 600,
    });
    expect(skipOf(container(ordinary), { state, nowMs: milliseconds(1000) })).toBeUndefined();
  });

  it('for the reason that matters most when there are several', () => {
    const all = guest(101, { template: true, lock: 'backup', pendingKeys: ['memory'] });
    const manage: DecideInput['manage'] = () => ({ kind: 'ignored', because: 'as it is told' });
    const stopped = { ...container(all), state: { kind: 'stopped' } as const };
    expect(skipOf(stopped, { manage })?.kind).toBe('ignored');
    expect(skipOf(stopped)?.kind).toBe('template');
    expect(
      skipOf({ ...container({ ...all, template: false }), state: { kind: 'stopped' } }),
    ).toEqual({ kind: 'locked', lock: 'backup' });
  });
});

describe('cores', () => {
  it('in the band are held, with the numbers', () => {
    const decision = decisionOn('cores', container(guest(101)));
    expect(decision).toMatchObject({
      because: { kind: 'in-band' },
      measured: { before: 2, used: 1 },
    });
  });

  it('are decided on what the configuration gives', () => {
    const busy = container(guest(101), { cpu: present(cpuUse(1.9, 2)) });
    expect(decisionOn('cores', busy)).toMatchObject({ verdict: 'grow', after: 4 });
  });

  it('are all of the host where there is no cores line', () => {
    const idle = container(guest(101, { cores: null }), {
      cpu: present(cpuUse(1, 16)),
      cpusetCpus: 16,
    });
    expect(decisionOn('cores', idle)).toMatchObject({
      verdict: 'shrink',
      after: 8,
      rule: 'above-maximum',
      measured: { before: 16 },
    });
  });

  it('are held while what is configured is not what the kernel gives', () => {
    const pending = container(guest(101, { cores: 4 }), { cpusetCpus: 2 });
    expect(becauseOf(decisionOn('cores', pending))).toEqual({
      kind: 'not-in-force',
      configured: 4,
      live: 2,
    });
  });

  it('are decided on where the cpuset is empty, and where more are written than there are', () => {
    const busy = { cpu: present(cpuUse(1.9, 2)) };
    const empty = container(guest(101), { ...busy, cpusetCpus: undefined });
    expect(decisionOn('cores', empty).verdict).toBe('grow');
    const many = container(guest(101, { cores: 99 }), {
      cpu: present(cpuUse(1, 16)),
      cpusetCpus: 16,
    });
    expect(decisionOn('cores', many)).toMatchObject({ verdict: 'shrink', after: 8 });
  });

  it('are held with the reason of what is missing', () => {
    const first = container(guest(101), { cpu: gone('the first sample') });
    const because = { kind: 'missing', reading: gone('the first sample') };
    expect(becauseOf(decisionOn('cores', first))).toEqual(because);
    const blind = { host: host({ cpus: broken('/proc/stat') }) };
    const busy = container(guest(101), { cpu: present(cpuUse(1.9, 2)) });
    expect(becauseOf(decisionOn('cores', busy, blind))).toEqual({
      kind: 'missing',
      reading: broken('/proc/stat'),
    });
  });
});

describe('memory', () => {
  const idle = (own: Partial<ContainerUsage> = {}): ContainerObservation =>
    container(guest(101, { memoryMib: mib(8192) }), {
      memory: present(memoryUse(420, { limitMib: mib(8192) })),
      ...own,
    });
  const hostMissing = { host: { ...host(), memory: broken('/proc/meminfo') } };

  it('that is not used is taken back', () => {
    expect(decisionOn('memory', idle())).toMatchObject({
      verdict: 'shrink',
      after: 6144,
      rule: 'below-lower',
      limits: ['kept', 'quarter'],
    });
  });

  it('is held while what is configured is not what the kernel gives', () => {
    const live = present(memoryUse(420, { limitMib: mib(4096) }));
    expect(becauseOf(decisionOn('memory', idle({ memory: live })))).toEqual({
      kind: 'not-in-force',
      configured: 8192,
      live: 4096,
    });
    const none = present(memoryUse(420, { limitMib: undefined }));
    expect(becauseOf(decisionOn('memory', idle({ memory: none })))).toEqual({
      kind: 'not-in-force',
      configured: 8192,
      live: null,
    });
  });

  it('is held with the reason of what is missing', () => {
    const because = { kind: 'missing', reading: broken('memory.stat') };
    expect(becauseOf(decisionOn('memory', idle({ memory: broken('memory.stat') })))).toEqual(
      because,
    );
  });

  it('without a maximum is held when the host could not be measured', () => {
    expect(becauseOf(decisionOn('memory', idle(), hostMissing))).toEqual({
      kind: 'missing',
      reading: broken('/proc/meminfo'),
    });
  });

  it('is not taken back for ten minutes after an OOM kill', () => {
    const state = newLoopState();
    recordOf(state, vmid(101)).life.oomKillMs = milliseconds(0);
    const at = (nowMs: number) =>
      decisionOn('memory', idle(), { state, nowMs: milliseconds(nowMs) });
    expect(at(599_999)).toMatchObject({ because: { kind: 'oom-lately' }, measured: { used: 420 } });
    expect(at(600_000).verdict).toBe('shrink');
  });

  it('is not taken back, nor are cores, for ten minutes after a wait for memory', () => {
    const state = newLoopState();
    recordOf(state, vmid(101)).life.heldBackMs = milliseconds(0);
    const few = { cpu: present(cpuUse(0.1, 4)), cpusetCpus: 4 };
    const wide = container(guest(101, { cores: 4, memoryMib: mib(8192) }), {
      memory: present(memoryUse(420, { limitMib: mib(8192) })),
      ...few,
    });
    const at = (resource: 'cores' | 'memory', nowMs: number) =>
      decisionOn(resource, wide, { state, nowMs: milliseconds(nowMs) });
    const because = { kind: 'held-back-lately' };
    for (const resource of ['cores', 'memory'] as const) {
      expect(at(resource, 599_999)).toMatchObject({ verdict: 'hold', because });
      expect(at(resource, 600_000).verdict).toBe('shrink');
    }
  });

  it('is not taken back for ten minutes after a start', () => {
    const state = newLoopState();
    recordOf(state, vmid(101)).life.startedMs = milliseconds(1000);
    const at = (nowMs: number) =>
      decisionOn('memory', idle(), { state, nowMs: milliseconds(nowMs) });
    expect(at(600_999)).toMatchObject({ because: { kind: 'started-lately' } });
    expect(at(601_000).verdict).toBe('shrink');
  });

  it('may still grow after an OOM kill', () => {
    const state = newLoopState();
    recordOf(state, vmid(101)).life.oomKillMs = milliseconds(0);
    const full = present(memoryUse(1000));
    const busy = container(guest(101), { memory: full });
    const decision = decisionOn('memory', busy, { state, nowMs: milliseconds(1) });
    expect(decision.verdict).toBe('grow');
  });

  it('below the minimum is raised to it at once, also after an OOM kill', () => {
    const small = guest(101, { memoryMib: mib(128) });
    for (const newOomKills of [0, 1]) {
      const memory = present(memoryUse(60, { limitMib: mib(128), newOomKills }));
      const manage = managed({ minMib: 2048 });
      const decision = decisionOn('memory', container(small, { memory }), { manage });
      expect(decision).toMatchObject({ verdict: 'grow', after: 2048 });
    }
  });

  it('above a configured maximum is lowered', () => {
    const manage = managed({ maxMib: 4096 });
    expect(decisionOn('memory', idle(), { manage })).toMatchObject({
      verdict: 'shrink',
      after: 6144,
      rule: 'above-maximum',
      limits: ['quarter'],
    });
  });

  it('above what the host can give is not lowered for it: the default only bounds growth', () => {
    const half = { memory: present(memoryUse(4096, { limitMib: mib(8192) })) };
    const small = { host: host({ totalMib: 6144, availableMib: 2048 }) };
    expect(becauseOf(decisionOn('memory', idle(half), small))).toEqual({ kind: 'in-band' });
    const full = { memory: present(memoryUse(8000, { limitMib: mib(8192) })) };
    const decision = decisionOn('memory', idle(full), small);
    expect(decision).toMatchObject({ because: { kind: 'at-maximum' }, measured: { max: 8192 } });
  });

  it('grows to what the host has less its reserve, and no further', () => {
    const full = { memory: present(memoryUse(8100, { limitMib: mib(8192) })) };
    const small = { host: host({ totalMib: 11_264, availableMib: 2048 }) };
    const decision = decisionOn('memory', idle(full), small);
    expect(decision).toMatchObject({ verdict: 'grow', after: 9216, limits: ['maximum'] });
  });

  it('never shrinks for being above the default maximum, whatever the numbers', () => {
    const megabytes = fc.integer({ min: 16, max: 1_000_000 });
    const share = fc.double({ min: 0.2, max: 1, noNaN: true });
    fc.assert(
      fc.property(megabytes, megabytes, share, (has, totalMib, part) => {
        const memory = present(memoryUse(has * part, { limitMib: mib(has) }));
        const observed = container(guest(101, { memoryMib: mib(has) }), { memory });
        const small = { host: host({ totalMib }), manage: managed({ minMib: 16 }) };
        expect(decisionOn('memory', observed, small).verdict).not.toBe('shrink');
      }),
    );
  });
});

describe('where a reading is missing', () => {
  const maybe = <T>(reading: fc.Arbitrary<T>): fc.Arbitrary<Reading<T>> =>
    fc.oneof(
      { weight: 2, arbitrary: reading.map((value): Reading<T> => present(value)) },
      { weight: 1, arbitrary: fc.constantFrom<Reading<T>>(gone(), broken()) },
    );
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const resources = fc.record({ cores: fc.integer({ min: 1, max: 16 }), gib: fc.nat(16) });
  const observed = fc
    .tuple(resources, maybe(share), maybe(share), maybe(fc.constant(0)), fc.nat(9))
    .map(([has, cpuShare, memoryShare, config, kind]): ContainerObservation => {
      const own = guest(101, { cores: has.cores, memoryMib: mib(512 + has.gib * 1024) });
      const memory = memoryShare.ok
        ? present(memoryUse(own.memoryMib * memoryShare.value, { limitMib: own.memoryMib }))
        : memoryShare;
      const cpu = cpuShare.ok ? present(cpuUse(has.cores * cpuShare.value, has.cores)) : cpuShare;
      const running = usage({ cpu, memory, cpusetCpus: cpu.ok ? has.cores : undefined });
      const states: readonly ContainerObservation['state'][] = [
        { kind: 'stopped' },
        { kind: 'unknown', reason: broken() },
      ];
      const state = states[kind] ?? { kind: 'running', usage: running };
      return { vmid: vmid(101), config: config.ok ? present(own) : config, state };
    });
  const ofHost = fc.tuple(maybe(fc.constant(16)), maybe(fc.constant(65_536)));
  const maximum = fc.option(fc.constantFrom(1024, 4096, 65_536), { nil: undefined });

  it('nothing is scaled on it, and above all nothing is taken back', () => {
    fc.assert(
      fc.property(observed, ofHost, maximum, (seen, [cpus, total], maxMib) => {
        const memory = total.ok ? present(hostMemory(total.value, total.value)) : total;
        const around = { ...host({ cpus }), memory };
        const verdicts = decide(decideInput([seen], { host: around, manage: managed({ maxMib }) }));
        const changed = verdicts.decisions.filter(
          (each): each is Change => each.verdict !== 'hold',
        );
        const blind = !seen.config.ok || seen.state.kind !== 'running';
        if (blind) expect(verdicts.decisions).toEqual([]);
        else expect(verdicts.decisions.length).toBe(2);
        const running = seen.state.kind === 'running' ? seen.state.usage : undefined;
        for (const { resource } of changed) {
          if (resource === 'cores') expect(running?.cpu.ok && cpus.ok).toBe(true);
          else expect(running?.memory.ok && (memory.ok || maxMib !== undefined)).toBe(true);
        }
        const granted = plan(verdicts.decisions, budgetWith(around, hostPolicy, [seen], new Map()));
        for (const change of granted.changes) {
          if (change.memory?.verdict === 'grow') expect(memory.ok).toBe(true);
          if (change.cores?.verdict === 'grow') expect(cpus.ok).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('one resource does not hold up the other', () => {
    const noCpu = container(guest(101), { cpu: gone(), memory: present(memoryUse(1000)) });
    expect(decisionOn('memory', noCpu).verdict).toBe('grow');
    const noMemory = container(guest(101), { cpu: present(cpuUse(1.9, 2)), memory: gone() });
    expect(decisionOn('cores', noMemory).verdict).toBe('grow');
  });

  it('one container does not hold up the others', () => {
    const blind = { ...container(guest(101)), config: broken() };
    const busy = container(guest(102), { cpu: present(cpuUse(1.9, 2)) });
    const { decisions, skipped } = decide(decideInput([blind, busy]));
    expect(skipped.map((skip) => skip.vmid)).toEqual([101]);
    expect(decisions.map(({ vmid, verdict }) => [vmid, verdict])).toEqual([
      [102, 'grow'],
      [102, 'hold'],
    ]);
  });
});

describe('a cpulimit', () => {
  it('that binds makes more cores useless', () => {
    const limited = container(guest(101, { cores: 4, cpuLimit: cores(1.5) }), {
      cpu: present(cpuUse(1.49, 1.5)),
    });
    expect(becauseOf(decisionOn('cores', limited))).toEqual({ kind: 'cpulimit', cpuLimit: 1.5 });
  });
});

describe('what a person asks for', () => {
  it('a container that is only observed is decided on, and held with what it would get', () => {
    const manage = () =>
      ({ kind: 'managed', policy: policy(), mode: 'observe', because: 'its tag' }) as const;
    const full = container(guest(101), { memory: present(memoryUse(1000)) });
    const { decisions } = decide(decideInput([full], { manage }));
    const memory = decisions.find(({ resource }) => resource === 'memory');
    expect(memory).toMatchObject({ verdict: 'hold', because: { kind: 'observe-only' } });
    expect(decisions.every(({ verdict }) => verdict === 'hold')).toBe(true);
  });

  it.each([
    ['cores', 'memory', 'its memory is left as it is, since `scale` names only cpu'],
    ['memory', 'cores', 'its CPU is left as it is, since `scale` names only memory'],
  ] as const)('only %s is scaled: the %s of it is left as it is', (only, other, words) => {
    const its = { ...policy(), only };
    const manage = () => ({ kind: 'managed', policy: its, mode: 'act', because: '' }) as const;
    const full = container(guest(101), {
      memory: present(memoryUse(1000)),
      cpu: present(cpuUse(2, 2)),
      cpusetCpus: 2,
    });
    expect(decisionOn(only, full, { manage }).verdict).toBe('grow');
    const left = decisionOn(other, full, { manage });
    if (left.verdict !== 'hold') throw new Error('it is changed');
    expect(left.because).toEqual({ kind: 'not-scaled' });
    expect(explainHold(left)).toContain(words);
    const unread = container(guest(101), { cpu: broken(), memory: broken() });
    expect(becauseOf(decisionOn(other, unread, { manage }))).toEqual({ kind: 'not-scaled' });
  });

  it('a container that is held by hand is left alone as a whole', () => {
    const holds = new Map([[vmid(101), { reason: 'rolled back', leftMs: 1000 }]]);
    const full = container(guest(101), { memory: present(memoryUse(1000)) });
    expect(decide(decideInput([full], { holds }))).toMatchObject({
      decisions: [],
      skipped: [{ because: { kind: 'held-by-hand', leftMs: 1000 } }],
    });
  });
});

describe('what shows that a container is short of memory', () => {
  const idle = (own: Partial<MemoryUsage>): Decision => {
    const memory = present(memoryUse(420, { limitMib: mib(8192), ...own }));
    return decisionOn('memory', container(guest(101, { memoryMib: mib(8192) }), { memory }));
  };

  it.each([
    ['memory-pressure', { pressure: ratio(0.02) }],
    ['refaults', { refaultMibPerS: 0.5 }],
    ['swap-growth', { swapGrowthMib: mib(5) }],
  ])('(%s) keeps its memory from being taken', (kind, own) => {
    expect(idle({})).toMatchObject({ verdict: 'shrink' });
    expect(idle(own)).toMatchObject({ verdict: 'hold', because: { kind } });
  });

  it('is not that there is no PSI', () => {
    expect(idle({ pressure: undefined })).toMatchObject({ verdict: 'shrink' });
  });

  it('is meeting the limit with nothing to spare; a stream of file cache is not', () => {
    const cache = (cacheMib: number) =>
      idle({ newLimitHits: 9, cacheMib: mib(cacheMib), pressure: ratio(0) });
    expect(cache(100)).toMatchObject({ verdict: 'grow', rule: 'limit-hit' });
    expect(cache(7000).verdict).not.toBe('grow');
    const starved = idle({ newLimitHits: 9, cacheMib: mib(7000), pressure: ratio(0.3) });
    expect(starved).toMatchObject({ verdict: 'grow', rule: 'limit-hit' });
  });

  it('holds back the night and a host in need, too', () => {
    const memory = present(
      memoryUse(3000, { limitMib: mib(8192), swapGrowthMib: mib(5), cacheMib: mib(0) }),
    );
    const seen = container(guest(101, { memoryMib: mib(8192) }), { memory });
    const full = host({ totalMib: 65_536, availableMib: 100 });
    expect(decisionOn('memory', seen, { host: full })).toMatchObject({
      because: { kind: 'swap-growth' },
    });
    expect(decisionOn('memory', seen, { offPeak: true })).toMatchObject({
      because: { kind: 'swap-growth' },
    });
  });
});

describe('a host in need', () => {
  const quiet = container(guest(101, { cores: 4, memoryMib: mib(8192) }), {
    cpu: present(cpuUse(1.5, 4)),
    memory: present(memoryUse(2000, { limitMib: mib(8192) })),
    cpusetCpus: 4,
  });
  const busy = (share: number): LoopState => ({
    ...newLoopState(),
    hostCpu: {
      atMs: milliseconds(0),
      times: { busyTicks: 0, totalTicks: 0 },
      busy: ratio(share),
    },
  });

  it('takes memory that is idle where it has none left, and nothing of the CPU', () => {
    const full = { host: host({ availableMib: 100 }) };
    expect(decisionOn('memory', quiet, full)).toMatchObject({
      verdict: 'shrink',
      after: 6608,
      rule: 'host-emergency',
      limits: ['kept'],
    });
    expect(decisionOn('cores', quiet, full).verdict).toBe('hold');
  });

  it.each([0.97, 0.99, 1])('takes nothing where only its CPUs are busy: %f', (share) => {
    const state = busy(share);
    expect(decisionOn('cores', quiet, { state }).verdict).toBe('hold');
    expect(decisionOn('memory', quiet, { state }).verdict).toBe('hold');
  });
});

describe('mode boost', () => {
  const boostPolicy: DecideInput['manage'] = () => ({
    kind: 'managed',
    policy: { ...policy(), scaling: 'boost' },
    mode: 'act',
    because: 'DEFAULT',
  });
  const saturated = (samples: number): LoopState => {
    const state = newLoopState();
    const counted = { cores: samples, memory: samples };
    recordOf(state, vmid(101)).life.interval = begin(sample(), { share: 1, saturated: counted });
    return state;
  };
  const full = { cpu: present(cpuUse(2, 2)), memory: present(memoryUse(1020)) };

  it('boosts both resources of who is saturated in enough samples', () => {
    const on = (resource: Resource, samples: number) =>
      decisionOn(resource, container(guest(101), full), {
        manage: boostPolicy,
        state: saturated(samples),
      });
    expect(on('cores', 2)).toMatchObject({ because: { kind: 'not-saturated', samples: 2 } });
    expect(on('cores', 3)).toMatchObject({ rule: 'saturated', after: 3, boostMs: 120_000 });
    expect(on('memory', 3)).toMatchObject({ rule: 'saturated', after: 1536, fallback: 1280 });
  });

  it('gives no cores where the cpulimit binds', () => {
    const limited = guest(101, { cores: 4, cpuLimit: cores(1.5) });
    const cpu = (used: number) => ({ cpu: present(cpuUse(used, 1.5)), cpusetCpus: 4 });
    const own = { manage: boostPolicy, state: saturated(9) };
    for (const used of [1.49, 0.9]) {
      expect(decisionOn('cores', container(limited, cpu(used)), own).verdict).toBe('hold');
    }
  });

  describe('at its end', () => {
    const over = (): LoopState => {
      const state = newLoopState();
      const endMs = milliseconds(0);
      recordOf(state, vmid(101)).memory.boost = { before: 1024, boosted: 1536, endMs };
      recordOf(state, vmid(101)).cores.boost = { before: 2, boosted: 3, endMs };
      return state;
    };
    const boosted = (usedMib: number) =>
      container(guest(101, { cores: 3, memoryMib: mib(1536) }), {
        cpu: present(cpuUse(3, 3)),
        memory: present(memoryUse(usedMib, { limitMib: mib(1536) })),
        cpusetCpus: 3,
      });
    const own = () => ({ manage: boostPolicy, state: over() });

    it('the CPU goes back though it is in use, the memory only when it is not', () => {
      expect(decisionOn('cores', boosted(700), own())).toMatchObject({
        verdict: 'shrink',
        after: 2,
        rule: 'boost-end',
      });
      expect(decisionOn('memory', boosted(700), own())).toMatchObject({
        verdict: 'shrink',
        after: 1024,
        rule: 'boost-end',
      });
      expect(decisionOn('memory', boosted(1000), own())).toMatchObject({
        verdict: 'hold',
        because: { kind: 'boosted', until: 1024, leftMs: 0 },
      });
    });

    it('an OOM kill makes it more, for good', () => {
      const memory = present(memoryUse(700, { limitMib: mib(1536), newOomKills: 1 }));
      const struck = container(guest(101, { cores: 3, memoryMib: mib(1536) }), {
        memory,
        cpusetCpus: 3,
        cpu: present(cpuUse(1, 3)),
      });
      expect(decisionOn('memory', struck, own())).toMatchObject({
        verdict: 'grow',
        rule: 'oom-kill',
        after: 3072,
      });
    });

    it('it ends in another mode, too, and only for who may be changed', () => {
      expect(decisionOn('cores', boosted(700), { state: over() })).toMatchObject({
        rule: 'boost-end',
      });
      const others = { ...policy(), only: 'memory' } as const;
      const manage = () => ({ kind: 'managed', policy: others, mode: 'act', because: '' }) as const;
      expect(decisionOn('cores', boosted(700), { manage, state: over() })).toMatchObject({
        rule: 'boost-end',
      });
      const locked = { ...boosted(700), config: present(guest(101, { cores: 3, lock: 'backup' })) };
      expect(skipOf(locked, own())).toMatchObject({ kind: 'locked' });
    });
  });
});

describe('CPU in fractions of a core', () => {
  const inTenths = (): DecideInput['manage'] => {
    const own = policy({ maxCores: 4 });
    const cpu = { ...own.cpu, unit: 'cpulimit' as const, minIncrement: cores(0.1) };
    return () => ({ kind: 'managed', policy: { ...own, cpu }, mode: 'act', because: 'DEFAULT' });
  };
  const at = (cpuLimit: number | null, used: number, own = {}) => {
    const config = guest(101, { cores: 4, cpuLimit, ...own });
    const cpu = present(cpuUse(used, cpuLimit ?? 4));
    const seen = container(config, { cpu, cpusetCpus: 4 });
    return decisionOn('cores', seen, { manage: inTenths() });
  };

  it('grows by tenths, and says so', () => {
    expect(at(1.5, 1.3)).toMatchObject({ verdict: 'grow', after: 2.6, unit: 'cpulimit' });
  });

  it('is all cores where there is no cpulimit, and none is of use beyond them', () => {
    expect(at(null, 0.4)).toMatchObject({ verdict: 'shrink', measured: { before: 4 } });
    expect(at(null, 3.9)).toMatchObject({ because: { kind: 'at-maximum' } });
    expect(at(1.9, 1.9, { cores: 2 }).verdict).toBe('hold');
  });
});

describe('what overrules this program', () => {
  const pinnedBy = (what: 'cpuset' | 'quota' | 'memory', line: string) =>
    guest(101, { cores: 4, pins: [{ what, line }] });
  const cpuset = pinnedBy('cpuset', 'lxc.cgroup2.cpuset.cpus: 12-15');
  const busy = { cpu: present(cpuUse(3.9, 4)), cpusetCpus: 4, effectiveCpus: 4 };
  const byLimit = managed({});
  const cpulimit: DecideInput['manage'] = (config) => {
    const management = byLimit(config);
    if (management.kind === 'ignored') return management;
    const { policy: own } = management;
    return { ...management, policy: { ...own, cpu: { ...own.cpu, unit: 'cpulimit' } } };
  };

  it('a cpuset line keeps its cores as they are, however busy or idle it is', () => {
    const idle = { ...busy, cpu: present(cpuUse(0.01, 4)) };
    for (const seen of [busy, idle]) {
      const held = decisionOn('cores', container(cpuset, seen));
      expect(becauseOf(held)).toEqual({ kind: 'pinned', pin: cpuset.pins[0], unit: 'cores' });
      if (held.verdict !== 'hold') continue;
      expect(explainHold(held)).toBe(
        'its configuration has the line "lxc.cgroup2.cpuset.cpus: 12-15", so its CPU is not ' +
          'scaled; `cpu_unit: cpulimit` works beside such a line',
      );
    }
  });

  it('a cpulimit works beside a cpuset line, within the CPUs of that', () => {
    const limited = { ...cpuset, cores: 1, cpuLimit: cores(2) };
    const seen = { ...busy, cpu: present(cpuUse(1.9, 2)) };
    const grown = decisionOn('cores', container(limited, seen), { manage: cpulimit });
    expect(grown).toMatchObject({ verdict: 'grow', unit: 'cpulimit', after: 3.8 });
    const most = decisionOn('cores', container({ ...limited, cpuLimit: cores(3.9) }, busy), {
      manage: cpulimit,
    });
    expect(most).toMatchObject({ verdict: 'grow', after: 4 });
  });

  it('a quota line keeps CPU as it is in either unit', () => {
    const quota = pinnedBy('quota', 'lxc.cgroup2.cpu.max: 200000 100000');
    for (const manage of [byLimit, cpulimit]) {
      expect(becauseOf(decisionOn('cores', container(quota, busy), { manage }))).toMatchObject({
        kind: 'pinned',
      });
    }
  });

  it('a memory line keeps memory as it is, and CPU goes on', () => {
    const pinned = pinnedBy('memory', 'lxc.cgroup2.memory.max: 1G');
    const starving = { ...busy, memory: present(memoryUse(1000, { newOomKills: 1 })) };
    const one = container(pinned, starving);
    expect(becauseOf(decisionOn('memory', one))).toEqual({ kind: 'pinned', pin: pinned.pins[0] });
    expect(decisionOn('cores', one).verdict).toBe('grow');
  });
});

describe('a container that can use only some of its CPUs', () => {
  const has = guest(101, { cores: 4 });
  const seen = (used: number) => ({
    cpu: present(cpuUse(used, 2)),
    cpusetCpus: 4,
    effectiveCpus: 2,
  });

  it.each([
    ['that are all busy', 16],
    ['that are all that the host has online', 2],
  ])('%s is starving, and more cores are no help', (_what, cpus) => {
    const around = { host: host({ cpus: present(cpus) }) };
    const held = decisionOn('cores', container(has, seen(2)), around);
    expect(becauseOf(held)).toEqual({ kind: 'narrowed', has: 4, usable: 2 });
    if (held.verdict !== 'hold') throw new Error('it is a change');
    expect(explainHold(held)).toMatch(/can use only 2 of its 4 CPUs .*offline/);
    expect(decisionOn('cores', container(has, seen(1)), around)).toMatchObject({
      because: { kind: 'in-band' },
    });
    expect(decisionOn('cores', container(has, seen(0.1)), around).verdict).toBe('shrink');
  });
});

describe('what may have stood still', () => {
  const idle = { cpu: present(cpuUse(0.1, 4)), cpusetCpus: 4 };
  const four = guest(101, { cores: 4, memoryMib: mib(4096) });
  const small = { memory: present(memoryUse(100, { limitMib: mib(4096) })) };

  it('is given more, and nothing is taken from it', () => {
    const life = gone('cgroup.events: not there');
    const one = container(four, { ...idle, ...small, life });
    for (const resource of ['cores', 'memory'] as const) {
      expect(becauseOf(decisionOn(resource, one))).toEqual({ kind: 'missing', reading: life });
    }
    const busy = { cpu: present(cpuUse(4, 4)), cpusetCpus: 4, life };
    expect(decisionOn('cores', container(four, busy)).verdict).toBe('grow');
  });

  it('was frozen since the last sample: nothing is taken of its memory either', () => {
    const reading = missing('frozen', 'it was frozen');
    const one = container(four, { ...small, cpu: reading, cpusetCpus: 4 });
    expect(becauseOf(decisionOn('memory', one))).toEqual({ kind: 'missing', reading });
  });

  it.each([
    [{ kind: 'frozen' }, /^it is frozen/],
    [{ kind: 'stopped', leftBehind: true }, /its cgroup was left behind/],
    [{ kind: 'stopped' }, /^it is not running$/],
  ] as const)('is left alone: %j', (state, words) => {
    const because = skipOf({ ...container(four), state });
    expect(because).toEqual(state);
    if (because === undefined) throw new Error('it is not left alone');
    expect(explainSkip({ vmid: vmid(101), name: 'x', because })).toMatch(words);
  });
});

describe('a node that does not tell what its guests need of their memory', () => {
  const idle = container(guest(101, { cores: 4, memoryMib: mib(8192) }), {
    cpu: present(cpuUse(0.1, 4)),
    memory: present(memoryUse(300, { limitMib: mib(8192) })),
  });
  const unseen = { ...newLoopState(), capabilities: able({ workingSet: false, proof: false }) };

  it('has none of it taken back', () => {
    expect(decisionOn('memory', idle)).toMatchObject({ verdict: 'shrink' });
    const state = unseen;
    expect(becauseOf(decisionOn('memory', idle, { state }))).toEqual({ kind: 'need-unseen' });
    expect(decisionOn('cores', idle, { state })).toMatchObject({ verdict: 'shrink' });
  });

  it('has some taken back where that is asked for, after a day', () => {
    const plain = policy();
    const own = { ...plain, memory: { ...plain.memory, unproven: true } };
    const management = { kind: 'managed', policy: own, mode: 'act', because: 'DEFAULT' } as const;
    const how = { manage: () => management };
    const unproven = (peakMib: number | undefined) => {
      const state = { ...newLoopState(), capabilities: unseen.capabilities };
      if (peakMib === undefined) return { state, ...how };
      const atMs = milliseconds(0);
      const hours = Array<number>(24).fill(peakMib);
      recordOf(state, vmid(101)).day = {
        sinceMs: atMs,
        atMs,
        openMs: atMs,
        openMib: peakMib,
        hours,
      };
      return { state, ...how };
    };
    expect(becauseOf(decisionOn('memory', idle, unproven(undefined)))).toEqual({
      kind: 'day-unseen',
      leftMs: 86_400_000,
    });
    expect(decisionOn('memory', idle, unproven(400))).toMatchObject({
      verdict: 'shrink',
      after: 6144,
      measured: { dayPeakMib: 400 },
    });
    expect(decisionOn('memory', idle, unproven(5600))).toMatchObject({ after: 7008 });
    expect(becauseOf(decisionOn('memory', idle, unproven(7000)))).toEqual({
      kind: 'kept-unseen',
      peakMib: 7000,
      mib: 8752,
    });
  });
});

describe('a kernel without a controller', () => {
  const without = (lacking: readonly Controller[]) =>
    new Set(CONTROLLERS.filter((one) => !lacking.includes(one)));
  const state = (...lacking: Controller[]) => ({
    state: { ...newLoopState(), capabilities: able({ liveLimits: without(lacking) }) },
  });
  const busy = container(guest(101, { cores: 4 }), {
    cpu: present(cpuUse(4, 4)),
    cpusetCpus: undefined,
    memory: gone('memory.current'),
  });

  it('of memory scales CPU alone', () => {
    expect(becauseOf(decisionOn('memory', busy, state('memory')))).toEqual({
      kind: 'no-controller',
      controller: 'memory',
    });
    expect(decisionOn('cores', busy, state('memory')).verdict).toBe('grow');
  });

  it('of cpusets leaves cores alone', () => {
    expect(becauseOf(decisionOn('cores', busy, state('cpuset')))).toEqual({
      kind: 'no-controller',
      controller: 'cpuset',
    });
  });
});

it('adaptive counts on free swap only if memory may be taken into it', () => {
  const state = newLoopState();
  const { memory } = recordOf(state, vmid(101));
  for (let slot = 1; slot <= 600; slot++) {
    learnMemory(memory, memoryUse(8000), 8000, slot * 300_000);
  }
  const observed = container(guest(101, { memoryMib: mib(16_384), swapMib: mib(4096) }), {
    memory: present(memoryUse(8000, { limitMib: mib(16_384) })),
  });
  const after = (mayUseSwap: boolean): number => {
    const own = policy({});
    const adaptive = {
      ...own,
      scaling: 'adaptive',
      memory: { ...own.memory, mayUseSwap },
    } as const;
    const manage = () =>
      ({ kind: 'managed', policy: adaptive, mode: 'act', because: 'DEFAULT' }) as const;
    const decision = decisionOn('memory', observed, { manage, state });
    return decision.measured?.forecast?.target ?? 0;
  };
  expect(after(true)).toBeLessThan(after(false));
});
