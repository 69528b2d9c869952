import { describe, expect, it } from 'vitest';
import type { CgroupSample } from '../../src/core/observation.ts';
import { present } from '../../src/core/reading.ts';
import {
  begin,
  countedOn,
  isSuspicious,
  isUrgent,
  type SamplingInterval,
  saturationOf,
  withSample,
} from '../../src/core/sampling-interval.ts';
import { microseconds, milliseconds, ratio } from '../../src/core/units.ts';
import {
  broken,
  cpuCounters,
  cpuUse,
  guest,
  memoryCounters,
  memoryUse,
  policy,
  sample,
} from './builders.ts';

const GUEST = guest(101);
const HOST_CPUS = 8;

/** One sample every 10 s of a container that uses so many cores (of two) and MiB (of 1024). */
function series(
  ...seen: readonly { cores: number; mib?: number; kills?: number }[]
): SamplingInterval {
  let usageUs = 0;
  let atMs = 0;
  const at = (cores: number, mib: number, oomKills: number) => {
    usageUs += cores * 10_000_000;
    atMs += 10_000;
    return sample({
      atMs: milliseconds(atMs),
      cpu: present(cpuCounters({ usageUs: microseconds(usageUs) })),
      memory: present(memoryCounters({ current: mib, anon: mib, oomKills })),
    });
  };
  let interval = begin(at(0, 500, 0));
  for (const { cores, mib = 500, kills = 0 } of seen) {
    interval = withSample(interval, at(cores, mib, kills), GUEST, HOST_CPUS);
  }
  return interval;
}

const at10s = (times: number): CgroupSample => sample({ atMs: milliseconds(times * 10_000) });

/** Ten seconds later, with so many cores used meanwhile. */
function tenSecondsLater(before: CgroupSample, cores: number): CgroupSample {
  const usedUs = before.cpu.ok ? before.cpu.value.usageUs : 0;
  const usageUs = microseconds(usedUs + cores * 10_000_000);
  const cpu = present(cpuCounters({ usageUs }));
  return { ...before, atMs: milliseconds(before.atMs + 10_000), cpu };
}

describe('between two cycles', () => {
  it('keeps the peaks and the average of what was seen', () => {
    const interval = series({ cores: 0.5 }, { cores: 1.5, mib: 700 }, { cores: 0.1 });
    expect(interval.cpuPeak).toBeCloseTo(1.5);
    expect(interval.memoryPeak).toBe(700);
    expect(interval.memorySum / interval.memoryCount).toBeCloseTo(1700 / 3);
  });

  it('is urgent after two saturated samples in a row, not before', () => {
    expect(isUrgent(series({ cores: 2 }), 2)).toBe(false);
    expect(isUrgent(series({ cores: 2 }, { cores: 2 }), 2)).toBe(true);
    expect(isUrgent(series({ cores: 2 }, { cores: 1 }, { cores: 2 }), 2)).toBe(false);
  });

  it('is urgent if its memory would pass the limit within half a minute', () => {
    const rises = series({ cores: 0.1 }, { cores: 0.1, mib: 650 }, { cores: 0.1, mib: 820 });
    expect(rises.riseStage).toBe('urgent');
    expect(isUrgent(rises, 2)).toBe(true);
    const slower = series({ cores: 0.1 }, { cores: 0.1, mib: 610 }, { cores: 0.1, mib: 700 });
    expect(isUrgent(slower, 2)).toBe(false);
    expect(isSuspicious(series(), slower)).toBe(true);
    expect(isSuspicious(series(), series({ cores: 0.1, mib: 520 }))).toBe(false);
  });

  it('is urgent at the memory limit, and after one OOM kill', () => {
    const full = { cores: 0.1, mib: 1000 };
    expect(isUrgent(series(full, full), 2)).toBe(true);
    expect(isUrgent(series({ cores: 0.1, kills: 1 }), 2)).toBe(true);
  });

  it('that was decided on in vain is not urgent again before the next cycle', () => {
    const settled = { ...series({ cores: 2 }, { cores: 2 }), settled: true };
    expect(isUrgent(settled, 2)).toBe(false);
  });

  it('wants a closer look when saturation may have begun', () => {
    const calm = series({ cores: 0.2 });
    expect(isSuspicious(calm, series({ cores: 0.2 }, { cores: 1.1 }))).toBe(true);
    expect(isSuspicious(calm, series({ cores: 0.2 }, { cores: 0.6 }))).toBe(false);
    expect(isSuspicious(calm, series({ cores: 2 }))).toBe(true);
  });

  it('counts saturated samples on from one interval to the next', () => {
    const first = series({ cores: 2 }, { cores: 2 });
    const carried = begin(first.last, { share: 1, saturated: first.saturated });
    expect(carried).toMatchObject({ saturated: { cores: 2, memory: 0 }, cpuPeak: 0, share: 1 });
    expect(isUrgent(carried, 3)).toBe(false);
    const third = withSample(carried, tenSecondsLater(first.last, 2), GUEST, HOST_CPUS);
    expect(third.saturated.cores).toBe(3);
    expect(isUrgent(third, 3)).toBe(true);
    expect(
      withSample(carried, tenSecondsLater(first.last, 1), GUEST, HOST_CPUS).saturated.cores,
    ).toBe(0);
  });

  it('does not take a sample that is missing for an idle one, nor for a saturated one', () => {
    const seen = { cores: 2, memory: 1 };
    expect(countedOn(seen, broken(), broken(), GUEST, 0.95)).toEqual(seen);
    const idle = present(cpuUse(0.1, 2));
    expect(countedOn(seen, idle, broken(), GUEST, 0.95)).toEqual({ cores: 0, memory: 1 });
    const full = present(memoryUse(1000));
    expect(countedOn(seen, broken(), full, GUEST, 0.95)).toEqual({ cores: 2, memory: 2 });
  });

  it('counts from the share on that the policy says, in mode boost', () => {
    const at80 = { ...policy(), scaling: 'boost' as const };
    const boost = { ...at80.boost, saturation: ratio(0.8), consecutiveSamples: 4 };
    expect(saturationOf({ ...at80, boost }, 2)).toEqual({ at: 0.8, samples: 4 });
    expect(saturationOf(policy(), 2)).toEqual({ at: 0.95, samples: 2 });
    const high = present(cpuUse(1.7, 2));
    const none = { cores: 0, memory: 0 };
    expect(countedOn(none, high, broken(), GUEST, 0.8).cores).toBe(1);
    expect(countedOn(none, high, broken(), GUEST, 0.95).cores).toBe(0);
  });

  it('is urgent for meeting the limit only where that held it back', () => {
    const met = (cacheMib: number): SamplingInterval => {
      const first = at10s(0);
      const counters = memoryCounters({ current: 1020, inactive: cacheMib, limitHits: 9 });
      const now = { ...at10s(1), memory: present(counters) };
      return withSample(begin(first), now, GUEST, HOST_CPUS);
    };
    expect(isUrgent(met(50), 2)).toBe(true);
    expect(isUrgent(met(600), 2)).toBe(false);
  });

  it('begins anew with a restarted container', () => {
    const interval = series({ cores: 2 }, { cores: 2 });
    const after = withSample(interval, sample({ identity: 7 }), GUEST, HOST_CPUS);
    expect(after).toMatchObject({
      saturated: { cores: 0, memory: 0 },
      cpuPeak: 0,
      previous: undefined,
    });
  });
});
