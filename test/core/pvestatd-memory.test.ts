import { describe, expect, it } from 'vitest';
import { afterObservation } from '../../src/core/after-observation.ts';
import { newGuestRecord } from '../../src/core/guest-record.ts';
import type { MonitorAnswer } from '../../src/core/machine-memory.ts';
import type { Verdict } from '../../src/core/policies/threshold.ts';
import { knownMemory, onPvestatd, type PvestatdFigure } from '../../src/core/pvestatd-memory.ts';
import { missing, present } from '../../src/core/reading.ts';
import { bytes, mib, milliseconds, ratio } from '../../src/core/units.ts';
import { memoryUsage } from '../../src/core/usage.ts';
import { fc } from '../fast-check.ts';
import { machine, policy, sample } from './builders.ts';

const MIB = 1024 * 1024;
const NOW = milliseconds(Date.UTC(2026, 10, 29));
const SILENT: MonitorAnswer = {
  atMs: milliseconds(0),
  isRunning: true,
  vcpus: 2,
  actualBytes: present(bytes(4096 * MIB)),
  stats: missing('absent', 'no balloon driver'),
};
const VM = machine(200, { memoryMib: mib(4096), assignedMib: mib(4096) });

const figure = (used: number, own: Partial<PvestatdFigure> = {}) =>
  present({
    usedBytes: bytes(used * MIB),
    maxBytes: bytes(4096 * MIB),
    isRunning: true,
    wallMs: NOW,
    ...own,
  });

function usageOf(used: number) {
  const memory = knownMemory(SILENT, VM, figure(used), NOW);
  const usage = memoryUsage(undefined, { ...sample(), memory });
  if (!usage.ok) throw new Error(usage.detail);
  return usage.value;
}

describe('the figure of pvestatd', () => {
  it('counts where the guest does not tell, and is marked', () => {
    expect(usageOf(3500)).toMatchObject({ workingSetMib: 3500, limitMib: 4096, countsCache: true });
    // What its kernel never sees is no free memory of the guest.
    const stats = {
      totalBytes: bytes(3900 * MIB),
      freeBytes: bytes(400 * MIB),
      availableBytes: undefined,
      swappedInBytes: undefined,
      oomKills: undefined,
      allocationStalls: undefined,
    };
    const plain = knownMemory({ ...SILENT, stats: present(stats) }, VM, figure(3500), NOW);
    expect(plain).toMatchObject({ value: { currentBytes: 3696 * MIB } });
    // The process of QEMU is larger than the memory that it was given.
    expect(usageOf(4200).workingSetMib).toBe(4096);
  });

  it.each([
    ['is old', figure(3000, { wallMs: milliseconds(NOW - 91_000) }), 'pvestatd last told of it 91'],
    ['is of the future', figure(3000, { wallMs: milliseconds(NOW + 3_600_000) }), '3600 s ahead'],
    ['is of one that does not run', figure(3000, { isRunning: false }), 'does not run'],
    ['is not there', missing('absent', '.rrd: nothing of 200'), 'nothing of 200'],
  ])('that %s is missing, with the remedy of before', (_, told, why) => {
    const memory = knownMemory(SILENT, VM, told, NOW);
    expect(memory).toMatchObject({ ok: false, why: 'absent' });
    expect(memory).toMatchObject({ detail: expect.stringMatching(/^no balloon driver; /) });
    expect(memory).toMatchObject({ detail: expect.stringContaining(why) });
  });

  it('is not asked where the guest tells, hangs, or has a target that it does not follow', () => {
    const told = knownMemory(
      { ...SILENT, stats: missing('unreadable', 'mute') },
      VM,
      figure(1),
      NOW,
    );
    expect(told).toMatchObject({ ok: false, detail: 'mute' });
    const target = machine(200, { memoryMib: mib(2048), assignedMib: mib(4096) });
    expect(knownMemory(SILENT, target, figure(3000), NOW).ok).toBe(false);
  });
});

const HOUR = 3_600_000;

/** Has 4096 MB; the threshold policy wants to go to `after`. */
function step(after: number, used: number, own: Partial<Verdict> = {}): Verdict {
  const measured = {
    before: 4096,
    used,
    share: ratio(used / 4096),
    min: 512,
    max: 65_536,
    need: used,
    band: { lower: ratio(0.2), upper: ratio(0.8) },
  };
  const verdict = after > 4096 ? 'grow' : 'shrink';
  return { verdict, after, rule: 'above-upper', limits: [], measured, ...own } as Verdict;
}

const since = (hours: number, givenMib = 4096) => ({
  crowdedMs: milliseconds(0),
  changedMs: undefined,
  givenMib,
  nowMs: milliseconds(hours * HOUR),
});

describe('a step on it', () => {
  it.each([
    [3500, 2, 4096, 'not-for-long'],
    [3500, 6, 4096, 5120],
    [3500, 6, 3072, 'enough'],
    [3900, 99, 4096, 'full'],
  ])('%d of 4096 in use for %d h, of %d given: %s', (used, hours, givenMib, expected) => {
    const verdict = onPvestatd(step(8192, used), usageOf(used), since(hours, givenMib));
    if (typeof expected === 'number') {
      expect(verdict).toMatchObject({ verdict: 'grow', after: expected, limits: ['counts-cache'] });
    } else expect(verdict).toMatchObject({ because: { kind: 'counts-cache', why: expected } });
    expect(verdict.measured.countsCache).toBe(true);
  });

  it('comes in whole modules within that, or not at all', () => {
    const plugged = { ...step(8192, 3500), pluggedFrom: 4096 };
    expect(onPvestatd(plugged, usageOf(3500), since(6, 4096))).toMatchObject({ after: 5120 });
    expect(onPvestatd(plugged, usageOf(3500), since(6, 4000))).toMatchObject({ after: 4608 });
    expect(onPvestatd(plugged, usageOf(3500), since(6, 3500))).toMatchObject({
      because: { why: 'enough' },
    });
  });

  it('is not made for its use where nobody tells how much its kernel has', () => {
    const unseen = { ...since(99), isUnseen: true };
    expect(onPvestatd(step(8192, 3500), usageOf(3500), unseen)).toMatchObject({
      because: { why: 'full' },
    });
  });

  it('begins the six hours anew', () => {
    const changed = { ...since(10), changedMs: milliseconds(5 * HOUR) };
    expect(onPvestatd(step(4608, 3500), usageOf(3500), changed)).toMatchObject({
      because: { why: 'not-for-long', leftMs: HOUR },
    });
  });

  it('that an administrator asks for by a minimum does not wait, and goes no further', () => {
    const asked = step(9000, 3900, { rule: 'below-minimum' });
    const higher = { ...asked, measured: { ...asked.measured, min: 6144 } };
    expect(onPvestatd(higher, usageOf(3900), since(0))).toMatchObject({ after: 6144 });
  });

  it('never takes anything, and never leads beyond a quarter more than was given', () => {
    const rules = ['above-upper', 'rising', 'learnt', 'saturated', 'above-maximum'] as const;
    fc.assert(
      fc.property(
        fc.integer({ min: 512, max: 16_384 }),
        fc.integer({ min: 1, max: 4096 }),
        fc.integer({ min: 0, max: 48 }),
        fc.integer({ min: 512, max: 8192 }),
        fc.constantFrom(...rules),
        (after, used, hours, givenMib, rule) => {
          const verdict = onPvestatd(
            step(after, used, { rule }),
            usageOf(used),
            since(hours, givenMib),
          );
          expect(verdict.verdict).not.toBe('shrink');
          if (verdict.verdict !== 'grow') return;
          expect(verdict.after).toBeLessThanOrEqual(givenMib * 1.25);
          expect(used / 4096).toBeLessThan(0.9);
          expect(hours).toBeGreaterThanOrEqual(6);
        },
      ),
    );
  });
});

it('how long it is crowded ends with a gap, with less in use, and with none free', () => {
  const record = newGuestRecord();
  const see = (used: number | undefined, hours: number): void => {
    const memory = used === undefined ? missing('unreadable', 'mute') : present(usageOf(used));
    const nowMs = milliseconds(hours * HOUR);
    const cpu = missing('first-sample', 'none');
    const about = { interval: undefined, policy: policy(), nowMs, wallMs: nowMs };
    afterObservation(record, { cpu, memory, ...about });
  };
  const sinceHours = (): number => Number(record.life.crowdedMs) / HOUR;
  see(3500, 1);
  see(3600, 2);
  expect(sinceHours()).toBe(1);
  for (const end of [undefined, 3000, 3900]) {
    see(end, 3);
    expect(record.life.crowdedMs).toBeUndefined();
    see(3500, 4);
    expect(sinceHours()).toBe(4);
  }
  // Nothing of it is learnt: it would keep the guest from ever giving anything back.
  expect(record.memory.model).toBeUndefined();
});
