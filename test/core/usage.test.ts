import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CgroupSample, CpuUsage, MemoryUsage } from '../../src/core/observation.ts';
import { present, type Reading } from '../../src/core/reading.ts';
import { cores, microseconds, milliseconds } from '../../src/core/units.ts';
import { allowedCores, cpuUsage, memoryUsage } from '../../src/core/usage.ts';
import {
  broken,
  cpuCounters,
  gone,
  guest,
  type MemoryNumbers,
  memoryCounters,
  sample,
} from './builders.ts';

interface Counted {
  readonly at: number;
  readonly used: number;
  readonly throttled?: number;
  readonly cpuset?: number | undefined;
  readonly identity?: number;
}

/** A sample at a time in ms with CPU time in ms. */
function counted({ at, used, throttled = 0, cpuset = 2, identity = 1 }: Counted): CgroupSample {
  const usageUs = microseconds(used * 1000);
  const throttledUs = microseconds(throttled * 1000);
  const cpu = present(cpuCounters({ usageUs, throttledUs, cpusetCpus: cpuset }));
  return sample({ atMs: milliseconds(at), identity, cpu });
}

const hostCpus = present(4);
const start = counted({ at: 1000, used: 5000 });

function why(reading: Reading<unknown>): string {
  return reading.ok ? 'present' : reading.why;
}

function value<T>(reading: Reading<T>): T {
  if (!reading.ok) throw new Error(reading.detail);
  return reading.value;
}

describe('the rate of CPU', () => {
  it('is CPU time over the time that has really passed', () => {
    const now = counted({ at: 4000, used: 9500, throttled: 300 });
    expect(value(cpuUsage(start, now, guest(101), hostCpus))).toEqual({
      used: 1.5,
      // What was throttled is wanted too.
      demand: 1.6,
      pressure: 0,
      allowed: 2,
      overMs: 3000,
      throttled: 0.1,
    });
  });

  it('of an idle container is zero, which is a value', () => {
    const now = counted({ at: 4000, used: 5000 });
    expect(value(cpuUsage(start, now, guest(101), hostCpus)).used).toBe(0);
  });

  it('is missing in the first sample of a life', () => {
    expect(why(cpuUsage(undefined, start, guest(101), hostCpus))).toBe('first-sample');
  });

  it('is missing after a restart, though the counter may be higher by then', () => {
    const restarted = counted({ at: 400_000, used: 9000, identity: 2 });
    expect(why(cpuUsage(start, restarted, guest(101), hostCpus))).toBe('first-sample');
  });

  it('is missing when a counter goes back within a life, and says by how much', () => {
    const usageBack = cpuUsage(start, counted({ at: 4000, used: 4999 }), guest(101), hostCpus);
    expect(usageBack).toMatchObject({
      why: 'counter-reset',
      detail: expect.stringMatching(/1000/),
    });
    const before = counted({ at: 1000, used: 5000, throttled: 80 });
    const throttledBack = counted({ at: 4000, used: 6000, throttled: 30 });
    expect(cpuUsage(before, throttledBack, guest(101), hostCpus)).toMatchObject({
      why: 'counter-reset',
      detail: expect.stringMatching(/ 50000 us/),
    });
  });

  it('is missing when two samples lie too close together, or in the wrong order', () => {
    for (const at of [1000, 1199, 500]) {
      const now = counted({ at, used: 5010 });
      expect(why(cpuUsage(start, now, guest(101), hostCpus))).toBe('implausible');
    }
    const enough = counted({ at: 1200, used: 5010 });
    expect(why(cpuUsage(start, enough, guest(101), hostCpus))).toBe('present');
  });

  it('is missing when it is more than the host could do, with a tick of tolerance', () => {
    const atMost = counted({ at: 2000, used: 9300 });
    expect(why(cpuUsage(start, atMost, guest(101), hostCpus))).toBe('present');
    const tooMuch = counted({ at: 2000, used: 9500 });
    expect(why(cpuUsage(start, tooMuch, guest(101), hostCpus))).toBe('implausible');
  });

  it('of a saturated container is all that it may use, though the clock jitters', () => {
    const usedIn1s = (used: number): number =>
      value(cpuUsage(start, counted({ at: 2000, used: 5000 + used }), guest(101), hostCpus)).used;
    expect(usedIn1s(1990)).toBe(1.99);
    expect(usedIn1s(2010)).toBe(2);
    expect(usedIn1s(2200)).toBe(2);
    // A container whose cores were taken back meanwhile has really used more than it may now.
    expect(usedIn1s(2500)).toBe(2.5);
  });

  it('is missing with the reason of what could not be read', () => {
    const now = counted({ at: 4000, used: 6000 });
    const unread = sample({ atMs: milliseconds(1000), cpu: broken() });
    expect(why(cpuUsage(unread, now, guest(101), hostCpus))).toBe('first-sample');
    expect(why(cpuUsage(start, { ...now, cpu: broken() }, guest(101), hostCpus))).toBe('malformed');
    expect(why(cpuUsage(start, now, guest(101), gone()))).toBe('absent');
  });
});

describe('what a container may use', () => {
  it.each([
    { what: 'its cores', has: {}, cpuset: 2, most: 2 },
    { what: 'all of the host without a cores line', has: { cores: undefined }, cpuset: 4, most: 4 },
    {
      what: 'its cpulimit where that is less',
      has: { cpuLimit: cores(1.5) },
      cpuset: 2,
      most: 1.5,
    },
    {
      what: 'its cores where its cpulimit is more',
      has: { cpuLimit: cores(3) },
      cpuset: 2,
      most: 2,
    },
    { what: 'its cpuset while a change is under way', has: { cores: 4 }, cpuset: 2, most: 2 },
    { what: 'its cores while the cpuset is empty', has: {}, cpuset: undefined, most: 2 },
    { what: 'the host where more cores are written', has: { cores: 99 }, cpuset: 4, most: 4 },
  ])('is $what', ({ has, cpuset, most }) => {
    expect(allowedCores(guest(101, has), cpuset, 4)).toBe(most);
  });
});

function used(numbers: MemoryNumbers): Reading<MemoryUsage> {
  return memoryUsage(undefined, sample({ memory: present(memoryCounters(numbers)) }));
}

describe('memory in use', () => {
  it('is memory.current less the file cache', () => {
    const reading = used({ current: 900, anon: 400, active: 200, inactive: 300, swap: 7 });
    expect(value(reading)).toMatchObject({
      ...{ workingSetMib: 400, currentMib: 900, swapMib: 7, limitMib: 1024 },
      ...{ newOomKills: 0, newLimitHits: 0 },
    });
  });

  it('is never less than tmpfs and shared memory with what the processes hold', () => {
    // Read a moment apart: the cache has shrunk from memory.current, but not yet from memory.stat.
    const reading = used({ current: 500, anon: 120, shmem: 130, active: 200, inactive: 200 });
    expect(value(reading).workingSetMib).toBe(250);
  });

  it('is never less than what is locked or belongs to the kernel', () => {
    const reading = used({ current: 500, anon: 50, unevictable: 220, slab: 30, inactive: 400 });
    expect(value(reading).workingSetMib).toBe(250);
  });

  it('bears a cache a little larger than memory.current: they are read one after the other', () => {
    const reading = used({ current: 100, anon: 5, active: 50, inactive: 55 });
    expect(value(reading).workingSetMib).toBe(5);
  });

  it('is missing when the cache cannot be part of memory.current', () => {
    expect(why(used({ current: 100, active: 100, inactive: 100 }))).toBe('implausible');
    expect(why(used({ current: 0, inactive: 1 }))).toBe('implausible');
  });

  it('has no limit where memory.max is max, and says so', () => {
    expect(value(used({ limit: undefined })).limitMib).toBeUndefined();
  });

  it('is missing with the reason of what could not be read', () => {
    expect(why(memoryUsage(undefined, sample({ memory: broken() })))).toBe('malformed');
  });
});

describe('kills and limit hits', () => {
  const withEvents = (oomKills: number, limitHits: number, identity = 1): CgroupSample =>
    sample({ identity, memory: present(memoryCounters({ oomKills, limitHits })) });
  const newEvents = (before: CgroupSample | undefined, now: CgroupSample): number[] => {
    const { newOomKills, newLimitHits } = value(memoryUsage(before, now));
    return [newOomKills, newLimitHits];
  };

  it('count from one sample to the next', () => {
    expect(newEvents(withEvents(2, 10), withEvents(5, 11))).toEqual([3, 1]);
  });

  it('of the time before the first sample are none of ours', () => {
    expect(newEvents(undefined, withEvents(5, 11))).toEqual([0, 0]);
  });

  it('of another life do not count, nor do counters that go back', () => {
    expect(newEvents(withEvents(2, 10, 1), withEvents(5, 11, 2))).toEqual([0, 0]);
    expect(newEvents(withEvents(5, 11), withEvents(2, 10))).toEqual([0, 0]);
  });

  it('need an earlier sample whose memory could be read', () => {
    expect(newEvents(sample({ memory: broken() }), withEvents(5, 11))).toEqual([0, 0]);
  });
});

describe('whatever the counters say', () => {
  const MOST = Number.MAX_SAFE_INTEGER;
  const counter = fc.oneof(fc.integer({ min: 0, max: 10_000 }), fc.maxSafeNat());
  const counts = fc.record({ at: counter, used: counter, throttled: counter });
  const cpuset = fc.option(fc.integer({ min: 1, max: 512 }), { nil: undefined });

  const isRate = (number: number): void => {
    expect(Number.isFinite(number)).toBe(true);
    expect(number).toBeGreaterThanOrEqual(0);
  };

  it('a CPU rate is a finite number, not negative, and no more than the host can do', () => {
    const cpulimit = fc.option(fc.double({ min: 0.01, max: 128, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(counts, counts, cpuset, cpulimit, (one, other, cpus, limit) => {
        const cpuLimit = limit === undefined ? undefined : cores(limit);
        const config = guest(101, { cores: cpus, cpuLimit });
        const now = counted({ ...other, cpuset: cpus });
        const reading: Reading<CpuUsage> = cpuUsage(counted(one), now, config, hostCpus);
        if (!reading.ok) return;
        for (const number of Object.values(reading.value)) isRate(number);
        expect(reading.value.used).toBeLessThanOrEqual(4 * 1.1);
        expect(reading.value.allowed).toBeGreaterThan(0);
        expect(reading.value.throttled).toBeLessThanOrEqual(1);
      }),
      { numRuns: 3000 },
    );
  });

  it('memory in use is a finite number, not negative, and no less than tmpfs', () => {
    const mebibytes = fc.oneof(
      fc.integer({ min: 0, max: 4096 }),
      fc.integer({ min: 0, max: Math.floor(MOST / 2 ** 20) }),
    );
    const numbers = fc.record({
      ...{ current: mebibytes, anon: mebibytes, shmem: mebibytes, swap: mebibytes },
      ...{ active: mebibytes, inactive: mebibytes, unevictable: mebibytes, slab: mebibytes },
    });
    fc.assert(
      fc.property(numbers, (some) => {
        const reading = used(some);
        if (!reading.ok) return;
        const { workingSetMib, currentMib, swapMib } = reading.value;
        for (const number of [workingSetMib, currentMib, swapMib]) isRate(number);
        expect(workingSetMib).toBeGreaterThanOrEqual(some.shmem);
      }),
      { numRuns: 3000 },
    );
  });
});
