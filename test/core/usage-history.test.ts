import { describe, expect, it } from 'vitest';
import { parseGuestIdentity } from '../../src/core/identity.ts';
import type { CgroupSample, ContainerUsage } from '../../src/core/observation.ts';
import { missing, present } from '../../src/core/reading.ts';
import { microseconds, milliseconds } from '../../src/core/units.ts';
import { cpuUsage, memoryUsage } from '../../src/core/usage.ts';
import {
  dayOf,
  encodeUsage,
  parseUsage,
  parseUsageFileName,
  surplusFiles,
  USAGE_HEADER,
  type UsageFile,
  type UsageRecord,
  type UsageSeen,
  usageFileName,
  usageRecord,
} from '../../src/core/usage-history.ts';
import { fc } from '../fast-check.ts';
import { cpuCounters, guest, identity, sample, vmid } from './builders.ts';

const LINE = '1795312800,101,0.523,412,0.6,0.71,2,430,1024,0.3,0';

const upTo = (most: number, parts: number) =>
  fc.option(
    fc.integer({ min: 0, max: most * parts }).map((value) => value / parts),
    { nil: undefined },
  );

const record: fc.Arbitrary<UsageRecord> = fc.record({
  timeS: fc.integer({ min: 1, max: 253_402_300_799 }),
  vmid: fc.integer({ min: 100, max: 999_999_999 }).map(vmid),
  cpuCores: upTo(8192, 1000),
  memoryMib: upTo(16_777_216, 1),
  cpuDemand: upTo(8192, 1000),
  cpuPeak: upTo(8192, 1000),
  cpuAllowed: upTo(8192, 1000),
  memoryPeakMib: upTo(16_777_216, 1),
  memoryLimitMib: upTo(16_777_216, 1),
  cpuWaitPercent: upTo(100, 10),
  memoryWaitPercent: upTo(100, 10),
});

describe('a line of the history', () => {
  it('has the columns that the header names, those of a trace first', () => {
    const one = parseUsage(LINE);
    expect(one).toEqual({
      timeS: 1_795_312_800,
      vmid: 101,
      cpuCores: 0.523,
      memoryMib: 412,
      cpuDemand: 0.6,
      cpuPeak: 0.71,
      cpuAllowed: 2,
      memoryPeakMib: 430,
      memoryLimitMib: 1024,
      cpuWaitPercent: 0.3,
      memoryWaitPercent: 0,
    });
    expect(USAGE_HEADER).toMatch(/^time_s,container,cpu_cores,memory_mb,/);
    // The last one is in the lines that name a guest.
    expect(USAGE_HEADER.split(',')).toHaveLength(LINE.split(',').length + 1);
  });

  it('may name the guest that it and the next ones are about', () => {
    const guest = identity(101);
    const one = { ...parseUsage(LINE), guest } as UsageRecord;
    expect(encodeUsage(one)).toBe(`${LINE},bc:24:11:00:00:01 local-lvm:vm-101-disk-0`);
    const text = 'bc:24:11:00:00:01,bc:24:11:00:00:02 local-lvm:vm-101-disk-0';
    const two = { ...one, guest: parseGuestIdentity(text) } as UsageRecord;
    expect(encodeUsage(two).split(',')).toHaveLength(12);
    for (const each of [one, two]) expect(parseUsage(encodeUsage(each))).toEqual(each);
    for (const wrong of ['', 'x', 'bc:24:11:00:00:01', ' ']) {
      expect(parseUsage(`${LINE},${wrong}`)).toBeUndefined();
    }
  });

  it('says the same after it was written and read', () => {
    fc.assert(
      fc.property(record, (one) => {
        const line = encodeUsage(one);
        expect(line.length).toBeLessThan(130);
        expect(parseUsage(line)).toEqual(one);
      }),
    );
  });

  it('is never read from a part of one, except where only digits at its end are gone', () => {
    fc.assert(
      fc.property(record, fc.nat(), (one, at) => {
        const line = encodeUsage(one);
        const cut = line.slice(0, at % line.length);
        if (cut.split(',').length < 11) expect(parseUsage(cut)).toBeUndefined();
      }),
    );
  });

  it.each([
    '',
    USAGE_HEADER,
    'a',
    `${LINE},1`,
    LINE.slice(0, 40),
    ` ${LINE}`,
    `${LINE}\r`,
    LINE.replace('0.523', '-1'),
    LINE.replace('0.523', '1e3'),
    LINE.replace('101', '99'),
    LINE.replace('0.523', 'NaN'),
    LINE.replace('1795312800', ''),
    '\0'.repeat(50),
  ])('%j is none', (text) => {
    expect(parseUsage(text)).toBeUndefined();
  });

  it('leaves empty what is not known, which is not zero', () => {
    const unknown = parseUsage('1795312800,101,,412,,,,430,,,');
    expect(unknown?.cpuCores).toBeUndefined();
    expect(unknown?.cpuWaitPercent).toBeUndefined();
    expect(unknown?.memoryMib).toBe(412);
  });
});

/** Half a core used between the two, and from `middle` on all of two. */
const at = (seconds: number, usedS: number, identity = 1): CgroupSample => {
  const usage = microseconds(usedS * 1e6);
  return sample({
    atMs: milliseconds(seconds * 1000),
    identity,
    cpu: present(cpuCounters({ usageUs: usage })),
  });
};

const usageBetween = (before: CgroupSample | undefined, now: CgroupSample): ContainerUsage => ({
  cpu: cpuUsage(before, now, guest(101), present(8)),
  memory: memoryUsage(before, now),
  effectiveCpus: 2,
  life: now.life,
  cpusetCpus: 2,
  cpuPressure: now.cpuPressure,
  memoryPressure: now.memoryPressure,
});

const seen = (own: Partial<UsageSeen> & Pick<UsageSeen, 'now' | 'usage'>): UsageSeen => ({
  timeS: 1000,
  config: guest(101),
  before: undefined,
  hostCpus: present(8),
  peaks: { cores: undefined, mib: undefined },
  ...own,
});

describe('what is remembered of a container', () => {
  it('is what the cycle saw, where that is all of the time since the line before', () => {
    const [before, now] = [at(0, 0), at(300, 150)];
    const one = usageRecord(seen({ before, now, usage: usageBetween(before, now) }));
    expect(one).toMatchObject({ timeS: 1000, vmid: 101, cpuCores: 0.5, cpuDemand: 0.5 });
    expect(one).toMatchObject({ cpuAllowed: 2, cpuPeak: 0.5, memoryMib: 400, memoryPeakMib: 400 });
    expect(one).toMatchObject({ memoryLimitMib: 1024, cpuWaitPercent: 0 });
  });

  it('counts from the line before, also where the cycle measured only the end of it', () => {
    const [before, middle, now] = [at(0, 0), at(200, 400), at(300, 420)];
    const one = usageRecord(seen({ before, now, usage: usageBetween(middle, now) }));
    expect(one.cpuCores).toBeCloseTo(1.4);
  });

  it('is not little where it was frozen in between: it is not known', () => {
    const [before, middle, now] = [at(0, 0), at(200, 100), at(300, 110)];
    const life = present({ populated: true, frozen: true });
    const usage = usageBetween({ ...middle, life }, now);
    expect(usageRecord(seen({ before, now, usage })).cpuCores).toBeUndefined();
  });

  it('has the peaks of the samples in between', () => {
    const [before, now] = [at(0, 0), at(300, 150)];
    const usage = usageBetween(before, now);
    const one = usageRecord(seen({ before, now, usage, peaks: { cores: 1.9, mib: 700 } }));
    expect(one).toMatchObject({ cpuPeak: 1.9, memoryPeakMib: 700, cpuCores: 0.5, memoryMib: 400 });
  });

  it('is not known where it could not be read, nor over a restart', () => {
    const unread = { ...at(300, 0), cpu: missing('unreadable', 'EIO') };
    const one = usageRecord(seen({ now: unread, usage: usageBetween(at(0, 0), unread) }));
    expect(one).toMatchObject({ cpuCores: undefined, cpuPeak: undefined, memoryMib: 400 });
    const restarted = at(300, 10, 2);
    const other = usageRecord(
      seen({ before: at(0, 0), now: restarted, usage: usageBetween(at(0, 0), restarted) }),
    );
    expect(other).toMatchObject({ cpuCores: undefined, cpuDemand: undefined, memoryMib: 400 });
  });
});

const file = (day: string, part = 1, bytes = 10): UsageFile => ({ day, part, bytes, packed: true });

describe('the files of the history', () => {
  it('have names that sort as their times do, and are read back', () => {
    const names = [
      usageFileName({ day: '2026-11-21', part: 1, packed: true }),
      usageFileName({ day: '2026-11-22', part: 1, packed: false }),
      usageFileName({ day: '2026-11-22', part: 2, packed: true }),
      usageFileName({ day: '2026-11-22', part: 10, packed: false }),
    ];
    expect(names[1]).toBe('2026-11-22.001.csv');
    expect([...names].sort()).toEqual(names);
    const last = { day: '2026-11-22', part: 10, packed: false };
    expect(parseUsageFileName(names[3] ?? '')).toEqual(last);
  });

  it.each(['', 'a', '.2026-11-22.001.csv.gz.tmp', '2026-11-22.csv', '2026-11-22.001.csv.gz.1'])(
    '%j is none of them',
    (name) => {
      expect(parseUsageFileName(name)).toBeUndefined();
    },
  );

  it('belong to a day in UTC', () => {
    expect(dayOf(Date.UTC(2026, 10, 22, 23, 59, 59) / 1000)).toBe('2026-11-22');
    expect(dayOf(Date.UTC(2026, 10, 23) / 1000)).toBe('2026-11-23');
  });

  it('go when there are more days than are kept, whatever the clock says', () => {
    const files = [
      file('1970-01-01'),
      file('2026-11-20'),
      file('2026-11-21', 1),
      file('2026-11-21', 2),
    ];
    expect(surplusFiles(files, { days: 2, bytes: 1000 })).toEqual([file('1970-01-01')]);
    expect(surplusFiles(files, { days: 1, bytes: 1000 }).map(({ day }) => day)).toEqual([
      '2026-11-20',
      '1970-01-01',
    ]);
    expect(surplusFiles(files, { days: 4, bytes: 1000 })).toEqual([]);
  });

  it('go from the oldest on when they take too much, and leave no hole', () => {
    const files = [file('2026-11-19', 1, 5), file('2026-11-20', 1, 90), file('2026-11-21', 1, 20)];
    const gone = surplusFiles(files, { days: 14, bytes: 100 });
    expect(gone.map(({ day }) => day)).toEqual(['2026-11-20', '2026-11-19']);
  });

  it('that stay are within both bounds, and the newest ones', () => {
    const many = fc.array(fc.tuple(fc.integer({ min: 1, max: 28 }), fc.nat({ max: 50 })));
    const bound = fc.integer({ min: 1, max: 30 });
    fc.assert(
      fc.property(many, bound, fc.nat({ max: 500 }), (given, days, bytes) => {
        const files = given
          .map(([day, size], index) => file(`2026-11-${String(day + 10)}`, index + 1, size))
          .sort((one, other) => (usageFileName(one) < usageFileName(other) ? -1 : 1));
        const gone = new Set(surplusFiles(files, { days, bytes }));
        const kept = files.filter((one) => !gone.has(one));
        expect(new Set(kept.map(({ day }) => day)).size).toBeLessThanOrEqual(days);
        expect(kept.reduce((sum, one) => sum + one.bytes, 0)).toBeLessThanOrEqual(bytes);
        expect(kept).toEqual(files.slice(files.length - kept.length));
      }),
    );
  });
});
