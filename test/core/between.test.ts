import { describe, expect, it } from 'vitest';
import { type Between, begin, isSuspicious, isUrgent, withSample } from '../../src/core/between.ts';
import { present } from '../../src/core/reading.ts';
import { microseconds, milliseconds } from '../../src/core/units.ts';
import { cpuCounters, guest, memoryCounters, sample } from './builders.ts';

const GUEST = guest(101);
const HOST_CPUS = 8;

/** One sample every 10 s of a container that uses so many cores (of two) and MiB (of 1024). */
function series(...seen: readonly { cores: number; mib?: number; kills?: number }[]): Between {
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
  let between = begin(at(0, 500, 0));
  for (const { cores, mib = 500, kills = 0 } of seen) {
    between = withSample(between, at(cores, mib, kills), GUEST, HOST_CPUS);
  }
  return between;
}

describe('between two cycles', () => {
  it('keeps the peaks and the average of what was seen', () => {
    const between = series({ cores: 0.5 }, { cores: 1.5, mib: 700 }, { cores: 0.1 });
    expect(between.cpuPeak).toBeCloseTo(1.5);
    expect(between.memoryPeak).toBe(700);
    expect(between.memorySum / between.memoryCount).toBeCloseTo(1700 / 3);
  });

  it('is urgent after two saturated samples in a row, not before', () => {
    expect(isUrgent(series({ cores: 2 }), 2)).toBe(false);
    expect(isUrgent(series({ cores: 2 }, { cores: 2 }), 2)).toBe(true);
    expect(isUrgent(series({ cores: 2 }, { cores: 1 }, { cores: 2 }), 2)).toBe(false);
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

  it('begins anew with a restarted container', () => {
    const between = series({ cores: 2 }, { cores: 2 });
    const after = withSample(between, sample({ identity: 7 }), GUEST, HOST_CPUS);
    expect(after).toMatchObject({
      ...{ saturated: { cores: 0, memory: 0 }, cpuPeak: 0, previous: undefined },
    });
  });
});
