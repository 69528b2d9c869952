import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { Decision } from '../../src/core/decision.ts';
import { explainHold, explainUnproven } from '../../src/core/explain.ts';
import { afterUnproven, type Failure } from '../../src/core/guest-record.ts';
import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
import {
  askFor,
  leastUnasked,
  provenBelow,
  takesMemory,
  type Unproven,
  unaskedNeed,
  whyPushed,
  whyUnproven,
} from '../../src/core/proof.ts';
import { missing, present } from '../../src/core/reading.ts';
import { bytes, mib, milliseconds } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import {
  able,
  container,
  cpuUse,
  decideInput,
  guest,
  type MemoryNumbers,
  memoryCounters,
  memoryUse,
  sample,
  vmid,
} from './builders.ts';

const MIB = 1024 * 1024;
const MINUTE_MS = 60_000;

describe('a limit takes memory', () => {
  const of = (current: MemoryNumbers) =>
    present(sample({ memory: present(memoryCounters(current)) }));
  it('that is lower than the live one, and if nothing is known of that', () => {
    const live = of({ current: 100, limit: 1024 });
    expect([512, 1024].map((limit) => takesMemory(live, mib(limit)))).toEqual([true, false]);
    expect(takesMemory(missing('unreadable', 'EIO'), mib(2048))).toBe(true);
    expect(takesMemory(missing('absent', 'it does not run'), mib(512))).toBe(false);
  });
});

describe('what the kernel is asked for', () => {
  // The table in the source: current, file cache, new limit, and what is asked for, in MiB.
  it.each([
    [400, 100, 512, 'nothing'],
    [3000, 2700, 1024, 2056],
    [950, 300, 1024, 'nothing'],
    [1000, 300, 512, 'beyond-cache'],
    [466, 5, 512, 5],
  ])('with %d in use, %d of it cache, for a limit of %d', (current, cache, limit, wanted) => {
    const ask = askFor(memoryCounters({ current, inactive: cache }), limit);
    if (ask.kind === 'reclaim') expect(ask.bytes / MIB).toBeCloseTo(Number(wanted), 1);
    else expect(ask.kind).toBe(wanted);
  });

  it('holds the directory entries and inodes that can be reclaimed', () => {
    const ask = askFor(memoryCounters({ current: 1987, inactive: 30, entries: 1640 }), 1024);
    expect(ask).toMatchObject({ kind: 'reclaim' });
    const tooFar = askFor(memoryCounters({ current: 1987, inactive: 30, entries: 1640 }), 320);
    expect(tooFar).toMatchObject({ because: { cacheMib: 1670 } });
  });

  it('leaves a margin below the new limit: a sixteenth, and more of a small one', () => {
    expect(provenBelow(80)).toBe(64 * MIB);
    expect(provenBelow(256)).toBe(224 * MIB);
    expect(provenBelow(512)).toBe(464 * MIB);
    expect(provenBelow(8192)).toBe(7680 * MIB);
  });

  it('is a whole number of pages, which is what memory.high is set to', () => {
    for (let limit = 16; limit < 5000; limit += 7) expect(provenBelow(limit) % 4096).toBe(0);
  });

  it('never lies below what a container needs by its own account', () => {
    for (let limit = 128; limit < 20_000; limit += 16) {
      const inUse = Math.min(limit - 64, limit / 1.1);
      expect(provenBelow(limit)).toBeGreaterThanOrEqual(Math.floor(inUse) * MIB);
    }
  });

  const counters = fc
    .record({
      working: fc.integer({ min: 0, max: 4000 }),
      active: fc.integer({ min: 0, max: 4000 }),
      inactive: fc.integer({ min: 0, max: 4000 }),
    })
    .map(({ working, active, inactive }) =>
      memoryCounters({ current: working + active + inactive, active, inactive }),
    );

  it('is never more than the file cache in sight, and enough where anything is asked', () => {
    fc.assert(
      fc.property(counters, fc.integer({ min: 16, max: 8000 }), (now, limit) => {
        const ask = askFor(now, limit);
        const below = now.currentBytes <= provenBelow(limit);
        expect(ask.kind === 'nothing').toBe(below);
        if (ask.kind !== 'reclaim') return;
        expect(ask.bytes).toBeLessThanOrEqual(now.activeFileBytes + now.inactiveFileBytes);
        expect(now.currentBytes - ask.bytes).toBeLessThanOrEqual(provenBelow(limit));
      }),
    );
  });
});

describe('what counts as proof', () => {
  const before = memoryCounters({ current: 1000, inactive: 700 });
  const judged = (after: MemoryNumbers): string =>
    whyUnproven(before, memoryCounters(after), 512, bytes(520 * MIB))?.kind ?? 'proven';

  it('is memory that has come down to the margin below the new limit', () => {
    expect(judged({ current: 464 })).toBe('proven');
    expect(judged({ current: 465 })).toBe('still-in-use');
    expect(judged({ current: 511 })).toBe('still-in-use');
    expect(judged({ current: 1000 })).toBe('still-in-use');
  });

  it('is none where anything was swapped out or killed for it', () => {
    expect(judged({ current: 400, swap: 1 })).toBe('swapped');
    expect(judged({ current: 400, oomKills: 1 })).toBe('oom-kill');
  });

  it('has the numbers', () => {
    expect(whyUnproven(before, memoryCounters({ current: 600 }), 512, bytes(520 * MIB))).toEqual({
      kind: 'still-in-use',
      numbers: { wantedMib: 464, askedMib: 520, gotMib: 400, currentMib: 600 },
    });
  });
});

describe('what is held back pushes', () => {
  const before = memoryCounters({ current: 50 });
  // A limit of 128 MB, held at 112: what was throttled there under Linux 6.1 had 111.95.
  it.each([
    [60, {}, undefined],
    [107, {}, undefined],
    [108, {}, 'pushed'],
    [111, {}, 'pushed'],
    [112, { inactive: 60 }, undefined],
    [121, { inactive: 60 }, 'pushed'],
    [60, { swap: 1 }, 'swapped'],
    [60, { oomKills: 1 }, 'oom-kill'],
  ])('with %d MB of 128 in use and %o', (current, more, why) => {
    expect(whyPushed(before, memoryCounters({ current, ...more }), 128)?.kind).toBe(why);
  });
});

/** Big and idle: 8 GB, 300 MB of them in use, beside file cache. */
const idle = guest(101, { cores: 2, memoryMib: mib(8192) });
const idleUse = { limitMib: mib(8192), currentMib: mib(2300), activeFileMib: mib(500) };

function onMemory(
  state = newLoopState(),
  used = 300,
  own: Parameters<typeof memoryUse>[1] = {},
): Decision {
  const memory = present(memoryUse(used, { ...idleUse, ...own }));
  const { decisions } = decide(decideInput([container(idle, { memory })], { state }));
  const decision = decisions.find(({ resource }) => resource === 'memory');
  if (decision === undefined) throw new Error('nothing was decided on memory');
  return decision;
}

describe('after an attempt that proved nothing', () => {
  const nowMs = decideInput([]).nowMs;
  const putOff = (untilMs: number) => {
    const state = newLoopState();
    recordOf(state, vmid(101)).life.shrinkRetry = { count: 2, retryAtMs: milliseconds(untilMs) };
    return state;
  };

  it('its memory is not asked for again so soon, and that is said', () => {
    const held = onMemory(putOff(nowMs + 600_000));
    expect(held).toMatchObject({ verdict: 'hold', because: { kind: 'unproven-lately' } });
    if (held.verdict !== 'hold') return;
    expect(explainHold(held)).toBe(
      'it uses 300 of its 8192 MB (3.7 %): the last 2 tries to take memory back did not show ' +
        'that it can do without; next try in 600 s',
    );
  });

  it('it is asked for again later', () => {
    expect(onMemory(putOff(nowMs)).verdict).toBe('shrink');
  });

  it('it may grow meanwhile, and its cores go down and up', () => {
    const state = putOff(nowMs + 600_000);
    expect(onMemory(state, 7800).verdict).toBe('grow');
    for (const [used, verdict] of [
      [0.1, 'shrink'],
      [1.9, 'grow'],
    ] as const) {
      const observed = container(idle, { cpu: present(cpuUse(used, 2)) });
      const { decisions } = decide(decideInput([observed], { state }));
      expect(decisions.find(({ resource }) => resource === 'cores')?.verdict).toBe(verdict);
    }
  });

  it('it waits five minutes, then twice as long each time, six hours at most', () => {
    const waits: number[] = [];
    let failure: Failure | undefined;
    for (let count = 1; count <= 9; count++) {
      failure = afterUnproven(failure, milliseconds(0));
      waits.push(failure.retryAtMs / MINUTE_MS);
    }
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 360, 360]);
  });
});

describe('where the kernel cannot be asked', () => {
  const silent = () => ({ ...newLoopState(), capabilities: able({ proof: false }) });

  it('a step is at most a tenth', () => {
    expect(onMemory(newLoopState())).toMatchObject({ verdict: 'shrink', after: 6144 });
    expect(onMemory(silent())).toMatchObject({
      after: 7376,
      limits: ['kept', 'quarter', 'unproven'],
    });
    expect([8192, 1024, 200, 160, 100, 16].map(leastUnasked)).toEqual([7376, 928, 184, 144, 84, 0]);
  });

  it('cache that was used more than once counts as needed', () => {
    const usage = memoryUse(300, { ...idleUse, activeFileMib: mib(7000) });
    expect(unaskedNeed(usage)).toBe(8030);
    const held = onMemory(silent(), 300, { activeFileMib: mib(7000) });
    expect(held).toMatchObject({ verdict: 'shrink', after: 8032, measured: { need: 8030 } });
    expect(onMemory(silent(), 300, { activeFileMib: mib(7200) })).toMatchObject({
      verdict: 'hold',
      because: { kind: 'cannot-prove' },
    });
  });

  it('it changes nothing for growth', () => {
    expect(onMemory(silent(), 7800)).toEqual(onMemory(newLoopState(), 7800));
  });

  it('no step is larger, or goes below what it may need', () => {
    const numbers = fc.record({
      used: fc.integer({ min: 1, max: 1600 }),
      active: fc.integer({ min: 0, max: 8192 }),
    });
    fc.assert(
      fc.property(numbers, ({ used, active }) => {
        const decision = onMemory(silent(), used, { activeFileMib: mib(active) });
        if (decision.verdict !== 'shrink') return;
        expect(decision.after).toBeGreaterThanOrEqual(7376);
        expect(decision.after).toBeGreaterThan((used + active) * 1.1 - 1e-6);
        expect(decision.after).toBeLessThan(8192);
      }),
    );
  });
});

describe('the sentences', () => {
  const numbers = {
    wantedMib: mib(831),
    askedMib: mib(1477.4),
    gotMib: mib(120.2),
    currentMib: mib(1310.8),
  };
  const asked = 'the kernel was asked to give up 1477 MB and gave up 120 MB';
  const inUse = '1311 MB are in use where at most 831 MB may be';
  it.each([
    [
      { kind: 'need-grew', needMib: 663.2, limitMib: 512 },
      'it needs 664 MB now, so 512 MB would be too little',
    ],
    [
      { kind: 'beyond-cache', cacheMib: 300.9, numbers },
      `only 300 MB of it can be reclaimed (file cache and slab); ${inUse}`,
    ],
    [{ kind: 'still-in-use', numbers }, `${asked}; ${inUse}`],
    [
      { kind: 'swapped', swappedMib: 12.1, numbers },
      `${asked}, and 13 MB were swapped out meanwhile`,
    ],
    [{ kind: 'oom-kill', numbers }, `${asked}, and it ended a process in it (out of memory)`],
    [
      { kind: 'refused', message: 'it is read-only', numbers },
      'the kernel could not be asked to give memory up: it is read-only',
    ],
    [{ kind: 'cannot-ask', limitMib: 848 }, 'this kernel cannot show that 848 MB are enough'],
  ] satisfies (readonly [Unproven, string])[])('of $kind', (because, sentence) => {
    expect(explainUnproven(because)).toBe(sentence);
  });
});
