import { describe, expect, it } from 'vitest';
import type {
  CgroupSample,
  CpuUsage,
  MemoryUsage,
  Pin,
  Pressure,
} from '../../src/core/observation.ts';
import { present, type Reading } from '../../src/core/reading.ts';
import { cores, microseconds, milliseconds, ratio } from '../../src/core/units.ts';
import { allowedCores, cpuDemand, cpuUsage, memoryUsage } from '../../src/core/usage.ts';
import { fc } from '../fast-check.ts';
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

  it.each([
    [true, false],
    [false, true],
  ])('is missing of what was frozen: %s, %s', (was, is) => {
    const frozen = (yes: boolean) => ({ life: present({ populated: true, frozen: yes }) });
    const before = { ...start, ...frozen(was) };
    const now = { ...counted({ at: 4000, used: 5001 }), ...frozen(is) };
    expect(why(cpuUsage(before, now, guest(101), hostCpus))).toBe('frozen');
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

const PIN: Pin = { what: 'cpuset', line: 'lxc.cgroup2.cpuset.cpus: 1-3' };

describe('what a container may use', () => {
  it.each([
    { what: 'its cores', has: {}, cpuset: 2, most: 2 },
    { what: 'all of the host without a cores line', has: { cores: null }, cpuset: 4, most: 4 },
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
    { what: 'what of its cpuset is online', has: { cores: 4 }, cpuset: 4, usable: 2, most: 2 },
    { what: 'its own cpuset, whatever its cores', has: { pins: [PIN] }, cpuset: 3, most: 3 },
  ])('is $what', ({ has, cpuset, usable, most }) => {
    const seen = { cpusetCpus: cpuset, effectiveCpus: usable };
    expect(allowedCores(guest(101, has), seen, 4)).toBe(most);
  });
});

function used(numbers: MemoryNumbers): Reading<MemoryUsage> {
  return memoryUsage(undefined, sample({ memory: present(memoryCounters(numbers)) }));
}

describe('memory in use', () => {
  it('is memory.current less the file cache', () => {
    const reading = used({ current: 900, anon: 400, active: 200, inactive: 300, swap: 7 });
    expect(value(reading)).toMatchObject({
      workingSetMib: 400,
      currentMib: 900,
      swapMib: 7,
      limitMib: 1024,
      newOomKills: 0,
      newLimitHits: 0,
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

  it('is without the directory entries and inodes that the kernel keeps', () => {
    const reading = used({ current: 1987, anon: 300, inactive: 30, entries: 1640, slab: 5 });
    expect(value(reading)).toMatchObject({ workingSetMib: 317, cacheMib: 1670, slabMib: 1640 });
    expect(value(used({ current: 1987, anon: 1900, entries: 80 })).workingSetMib).toBe(1907);
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

  it('count from the sample that a decision was made on, and not from the last one', () => {
    const [decided, last, now] = [withEvents(0, 0), withEvents(1, 4), withEvents(1, 5)];
    const { newOomKills, newLimitHits } = value(memoryUsage(last, now, decided));
    expect([newOomKills, newLimitHits]).toEqual([1, 5]);
  });

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

describe('whose limit it was', () => {
  const at = (own: MemoryNumbers = {}): CgroupSample =>
    sample({ memory: present(memoryCounters({ current: 100, limit: 1024, ...own })) });
  const seen = (now: MemoryNumbers, before: MemoryNumbers = now.withoutOwn ? now : {}) => {
    const earlier = { ...before, oomKills: 0, limitHits: 0, nestedKills: 0, nestedHits: 0 };
    const usage = value(memoryUsage(at({ ...earlier, hostKills: 0, highHits: 0 }), at(now)));
    const { newOomKills, newLimitHits, newOtherKills, nearLimit } = usage;
    return [newOomKills, newLimitHits, newOtherKills.nested, newOtherKills.byHost, nearLimit];
  };

  it.each<[string, MemoryNumbers, (number | boolean)[]]>([
    [
      'its own, though it uses little again by now',
      { oomKills: 1, limitHits: 31 },
      [1, 31, 0, 0, true],
    ],
    ['one inside of it', { nestedKills: 1, nestedHits: 95 }, [0, 0, 1, 0, false]],
    ['one inside that is only met', { nestedHits: 2846 }, [0, 0, 0, 0, false]],
    [
      'one inside, with the outer one close by',
      { nestedKills: 1, current: 1000 },
      [0, 0, 1, 0, true],
    ],
    ['none: the host was out of memory', { hostKills: 2 }, [0, 0, 0, 2, false]],
    ['none: it was only slowed down', { highHits: 3 }, [0, 0, 0, 0, true]],
  ])('is %s', (_what, now, expected) => expect(seen(now)).toEqual(expected));

  const silent = { withoutOwn: true };
  it.each<[string, MemoryNumbers, (number | boolean)[]]>([
    ['far below it', { ...silent, oomKills: 1, limitHits: 9 }, [0, 0, 1, 0, false]],
    ['close to it', { ...silent, oomKills: 1, limitHits: 9, current: 930 }, [1, 9, 0, 0, true]],
    ['killed by the host', { ...silent, hostKills: 1, current: 930 }, [0, 0, 0, 1, true]],
  ])('is told by its usage where the kernel does not say: %s', (_what, now, expected) =>
    expect(seen(now)).toEqual(expected),
  );

  it('counts a usage that was close to it at the sample before', () => {
    const before = at({ ...silent, current: 1000 });
    const now = at({ ...silent, current: 90, oomKills: 1 });
    expect(value(memoryUsage(before, now)).newOomKills).toBe(1);
  });

  it('takes a kernel that begins to tell for no event', () => {
    const now = at({ oomKills: 5, limitHits: 70 });
    expect(value(memoryUsage(at(silent), now))).toMatchObject({ newOomKills: 0, newLimitHits: 0 });
  });
});

/** A minute in which a task waited so many ms for a CPU, and so many ms were throttled. */
function minute(busyMs: number, waitedMs: number | undefined, throttledMs = 0): CgroupSample[] {
  const at = (ms: number, used: number, waited: number, throttled: number): CgroupSample => ({
    ...counted({ at: ms, used, throttled }),
    cpuPressure: waitedMs === undefined ? gone('no PSI') : stalled(waited),
  });
  return [at(0, 0, 0, 0), at(60_000, busyMs, waitedMs ?? 0, throttledMs)];
}

const stalled = (ms: number): Reading<Pressure> =>
  present({
    someAvg10: ratio(0),
    someTotalUs: microseconds(ms * 1000),
    fullAvg10: ratio(0),
    fullTotalUs: microseconds(0),
  });

describe('what a container would use if nothing held it back', () => {
  const seen = (busyMs: number, waitedMs?: number, throttledMs = 0, own = {}): CpuUsage => {
    const [before, now] = minute(busyMs, waitedMs, throttledMs);
    if (before === undefined || now === undefined) throw new Error('a minute has two ends');
    return value(cpuUsage(before, now, guest(101, own), hostCpus));
  };

  it('is what it uses, where it does not wait', () => {
    expect(seen(30_000, 0)).toMatchObject({ used: 0.5, demand: 0.5, pressure: 0 });
  });

  it('is more by what was throttled', () => {
    const limited = { cpuLimit: cores(0.5) };
    expect(seen(30_000, 0, 24_000, limited)).toMatchObject({ used: 0.5, demand: 0.9 });
  });

  it('is more by the waiting where it uses all that it may', () => {
    expect(seen(120_000, 60_000)).toMatchObject({ used: 2, demand: 3, pressure: 1 });
    expect(seen(108_000, 30_000)).toMatchObject({ used: 1.8, demand: 2.3 });
  });

  it('is not more where it waits for a busy host below its own limit', () => {
    expect(seen(60_000, 60_000)).toMatchObject({ used: 1, demand: 1, pressure: 1 });
  });

  it('is not counted twice where it is throttled and waits for that', () => {
    const limited = { cpuLimit: cores(0.5) };
    expect(seen(30_000, 24_000, 24_000, limited).demand).toBeCloseTo(0.9);
  });

  it('is never guessed to be more than twice what it may use', () => {
    const limited = { cpuLimit: cores(0.1) };
    expect(seen(6000, 60_000, 60_000, limited).demand).toBeCloseTo(0.2);
  });

  it('is told by throttling alone where there is no PSI', () => {
    expect(seen(120_000)).toMatchObject({ used: 2, demand: 2, pressure: undefined });
    expect(seen(30_000, undefined, 24_000, { cpuLimit: cores(0.5) }).demand).toBeCloseTo(0.9);
  });

  it('is never less than it uses', () => {
    const number = fc.double({ min: 0, max: 8, noNaN: true });
    fc.assert(
      fc.property(number, number, number, fc.double({ min: 0, max: 1, noNaN: true }), (...all) => {
        const [used, allowed, throttledCores, pressure] = all;
        const demand = cpuDemand({ used, allowed, throttledCores, pressure });
        expect(demand).toBeGreaterThanOrEqual(used);
        expect(demand).toBeLessThanOrEqual(Math.max(used, allowed * 2));
      }),
    );
  });
});

describe('signs of a want of memory', () => {
  const at = (ms: number, own: { refaults?: number; swap?: number; waitedMs?: number } = {}) => {
    const { refaults = 0, swap = 0, waitedMs = 0 } = own;
    const memory = present({ ...memoryCounters({ swap }), refaults });
    return sample({ atMs: milliseconds(ms), memory, memoryPressure: stalled(waitedMs) });
  };
  const seen = (before: CgroupSample | undefined, now: CgroupSample): MemoryUsage =>
    value(memoryUsage(before, now));

  it('are rates since the sample before', () => {
    const before = at(0, { refaults: 1000, swap: 10 });
    const now = at(10_000, { refaults: 1000 + 2560, swap: 14, waitedMs: 500 });
    expect(seen(before, now)).toMatchObject({
      refaultMibPerS: 1,
      swapGrowthMib: 4,
      pressure: 0.05,
    });
  });

  it('are none in a first sample, nor over another life, and pressure is not known then', () => {
    const now = at(10_000, { refaults: 99_999, swap: 500, waitedMs: 9000 });
    const other = { ...at(0), identity: 7 };
    for (const before of [undefined, other]) {
      expect(seen(before, now)).toMatchObject({
        refaultMibPerS: 0,
        swapGrowthMib: 0,
        pressure: undefined,
      });
    }
  });

  it('are no growth where swap is given back, and no rate over less than a second', () => {
    expect(seen(at(0, { swap: 500 }), at(10_000, { swap: 100 })).swapGrowthMib).toBe(0);
    expect(seen(at(0), at(999, { refaults: 2560 })).refaultMibPerS).toBe(0);
  });

  it('leave pressure unknown where there is none, or it went back', () => {
    const none = { ...at(10_000), memoryPressure: gone('no PSI') };
    expect(seen(at(0), none).pressure).toBeUndefined();
    expect(seen(at(0, { waitedMs: 800 }), at(10_000)).pressure).toBeUndefined();
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
        const cpuLimit = limit ?? null;
        const config = guest(101, { cores: cpus ?? null, cpuLimit });
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
      current: mebibytes,
      anon: mebibytes,
      shmem: mebibytes,
      swap: mebibytes,
      active: mebibytes,
      inactive: mebibytes,
      unevictable: mebibytes,
      slab: mebibytes,
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
