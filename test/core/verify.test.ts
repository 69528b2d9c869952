import { describe, expect, it } from 'vitest';
import type { Allocation } from '../../src/core/allocation.ts';
import type { GuestState } from '../../src/core/observation.ts';
import { missing, present } from '../../src/core/reading.ts';
import { type Mib, mib, cores as toCores } from '../../src/core/units.ts';
import { type ReadBack, verify } from '../../src/core/verify.ts';
import { fc } from '../fast-check.ts';
import { broken, gone } from './builders.ts';

const HOST_CPUS = 8;
const COUNTS = { old: 2, new: 4, other: 3 } as const;
const MIBS = { old: 1024, new: 2048, other: 1500 } as const;
type Which = 'old' | 'new' | 'other';

const before: Partial<Allocation> = { cores: COUNTS.old, memoryMib: mib(MIBS.old) };
const expected: Partial<Allocation> = { cores: COUNTS.new, memoryMib: mib(MIBS.new) };

interface Found {
  readonly state?: GuestState;
  readonly cores?: number | null;
  readonly cpuLimit?: number | undefined;
  readonly quota?: ReadBack['liveCpuLimit'];
  readonly memory?: number;
  readonly live?: ReadBack['liveMemoryMib'];
  readonly cpuset?: ReadBack['liveCpus'];
}

const RUNNING: GuestState = { kind: 'running' };
const STOPPED: GuestState = { kind: 'stopped' };
/** Its cgroup is there without a process, whatever its files still say. */
const LEFT: GuestState = { kind: 'stopped', leftBehind: true };

const limit = (value: number | undefined) => (value === undefined ? undefined : toCores(value));

/** All as expected, but for what is said. */
function readBack(found: Found): ReadBack {
  const cores = 'cores' in found ? found.cores : COUNTS.new;
  return {
    state: found.state ?? RUNNING,
    config: present({
      cores,
      cpuLimit: found.cpuLimit ?? null,
      memoryMib: mib(found.memory ?? MIBS.new),
    }),
    liveCpuLimit: found.quota ?? present(limit(found.cpuLimit)),
    liveMemoryMib: found.live ?? present(mib(MIBS.new)),
    liveCpus: found.cpuset ?? present(COUNTS.new),
  };
}

describe('a change of cores and memory, by what is read back', () => {
  /** cores and memory of the configuration, live limit; cpuset as the new cores. */
  const table: readonly (readonly [Which, Which, Which, string])[] = [
    ['new', 'new', 'new', 'confirmed'],
    ['old', 'old', 'old', 'unchanged'],
    ['new', 'new', 'old', 'half-done'],
    ['new', 'old', 'new', 'half-done'],
    ['new', 'old', 'old', 'half-done'],
    ['old', 'new', 'new', 'half-done'],
    ['old', 'new', 'old', 'half-done'],
    ['old', 'old', 'new', 'half-done'],
    ['new', 'new', 'other', 'changed-by-others'],
    ['new', 'old', 'other', 'changed-by-others'],
    ['new', 'other', 'new', 'changed-by-others'],
    ['new', 'other', 'old', 'changed-by-others'],
    ['new', 'other', 'other', 'changed-by-others'],
    ['old', 'new', 'other', 'changed-by-others'],
    ['old', 'old', 'other', 'changed-by-others'],
    ['old', 'other', 'new', 'changed-by-others'],
    ['old', 'other', 'old', 'changed-by-others'],
    ['old', 'other', 'other', 'changed-by-others'],
    ['other', 'new', 'new', 'changed-by-others'],
    ['other', 'new', 'old', 'changed-by-others'],
    ['other', 'new', 'other', 'changed-by-others'],
    ['other', 'old', 'new', 'changed-by-others'],
    ['other', 'old', 'old', 'changed-by-others'],
    ['other', 'old', 'other', 'changed-by-others'],
    ['other', 'other', 'new', 'changed-by-others'],
    ['other', 'other', 'old', 'changed-by-others'],
    ['other', 'other', 'other', 'changed-by-others'],
  ];

  it('the table has every combination', () => {
    expect(new Set(table.map((row) => row.slice(0, 3).join(' '))).size).toBe(27);
  });

  it.each(table)('cores %s, memory %s, live limit %s: %s', (cores, memory, live, kind) => {
    const read = readBack({
      cores: COUNTS[cores],
      memory: MIBS[memory],
      live: present(mib(MIBS[live])),
    });
    expect(verify(before, expected, read, HOST_CPUS).kind).toBe(kind);
  });

  it('says what it found instead', () => {
    const read = readBack({ cores: null, memory: 1500, live: present(undefined) });
    expect(verify(before, expected, read, HOST_CPUS)).toEqual({
      kind: 'changed-by-others',
      found: 'cores all, memory 1500 MB, live limit none',
    });
  });
});

describe('the live limit', () => {
  it('of a stopped container is not there, so that the configuration decides', () => {
    const stopped = { state: STOPPED, live: gone(), cpuset: gone() };
    expect(verify(before, expected, readBack(stopped), HOST_CPUS).kind).toBe('confirmed');
    const half = readBack({ ...stopped, cores: COUNTS.old });
    expect(verify(before, expected, half, HOST_CPUS).kind).toBe('half-done');
    const none = readBack({ ...stopped, cores: COUNTS.old, memory: MIBS.old });
    expect(verify(before, expected, none, HOST_CPUS).kind).toBe('unchanged');
  });

  it('of a cgroup that was left behind counts no more than one that is not there', () => {
    const left = { state: LEFT, live: present(mib(MIBS.old)), cpuset: present(COUNTS.old) };
    expect(verify(before, expected, readBack(left), HOST_CPUS).kind).toBe('confirmed');
  });

  it.each([broken(), gone()])('that cannot be read leaves the change of memory unknown', (live) => {
    const read = readBack({ live });
    expect(verify(before, expected, read, HOST_CPUS).kind).toBe('unknown');
  });

  it('that cannot be read is no matter to a change of cores', () => {
    const read = readBack({ live: broken(), memory: MIBS.old });
    const onlyCores = { cores: COUNTS.new };
    expect(verify({ cores: COUNTS.old }, onlyCores, read, HOST_CPUS).kind).toBe('confirmed');
  });

  it('that was lifted is not the new one', () => {
    const read = readBack({ live: present(undefined) });
    expect(verify(before, expected, read, HOST_CPUS).kind).toBe('changed-by-others');
  });
});

describe('the configuration', () => {
  it('that cannot be read leaves everything unknown', () => {
    const read = { ...readBack({}), config: gone('101.conf is gone') };
    const verdict = verify(before, expected, read, HOST_CPUS);
    expect(verdict).toEqual({ kind: 'unknown', detail: '101.conf is gone' });
  });
});

describe('the cpuset', () => {
  const onlyCores = (to: number | null, found: Found, from: number | null = 2): string =>
    verify({ cores: from }, { cores: to }, readBack(found), HOST_CPUS).kind;

  it.each([
    ['still the old one', present(2), 'pending'],
    ['still empty', present(undefined), 'pending'],
    ['not readable', broken(), 'pending'],
    ['the new one', present(4), 'confirmed'],
    ['not there, though it runs', gone(), 'pending'],
  ])('%s: %s', (_what, cpuset, kind) => {
    expect(onlyCores(4, { cpuset })).toBe(kind);
  });

  it('that is gone with the container is waited for by nobody', () => {
    expect(onlyCores(4, { state: STOPPED, cpuset: gone() })).toBe('confirmed');
  });

  it('says what is there while it is pending', () => {
    const read = readBack({ cpuset: present(2) });
    const verdict = verify({ cores: 2 }, { cores: 4 }, read, HOST_CPUS);
    expect(verdict).toEqual({ kind: 'pending', liveCpus: 2 });
  });

  it('is capped at the CPUs of the host', () => {
    expect(onlyCores(99, { cores: 99, cpuset: present(8) })).toBe('confirmed');
    expect(onlyCores(99, { cores: 99, cpuset: present(4) })).toBe('pending');
  });

  it('has all CPUs where the cores line was taken out', () => {
    expect(onlyCores(null, { cores: null, cpuset: present(8) })).toBe('confirmed');
    expect(onlyCores(null, { cores: null, cpuset: present(2) })).toBe('pending');
    expect(onlyCores(null, { cores: 2, cpuset: present(2) })).toBe('unchanged');
  });

  it('is no matter to a change of memory', () => {
    const read = readBack({ cores: 2, cpuset: present(1) });
    const onlyMemory = { memoryMib: mib(MIBS.new) };
    expect(verify({ memoryMib: mib(MIBS.old) }, onlyMemory, read, HOST_CPUS).kind).toBe(
      'confirmed',
    );
  });
});

describe('a cpulimit', () => {
  type Limit = number | null;
  const verdict = (old: Limit, wanted: Limit, found: Found) =>
    verify({ cpuLimit: old }, { cpuLimit: wanted }, readBack(found), HOST_CPUS);
  const quota = (value: number | undefined): ReadBack['liveCpuLimit'] => present(limit(value));

  /** Configured, live. */
  it.each<[number | undefined, number | undefined, string]>([
    [1.5, 1.5, 'confirmed'],
    [0.5, 0.5, 'unchanged'],
    [1.5, 0.5, 'half-done'],
    [0.5, 1.5, 'half-done'],
    [1.5, 3, 'changed-by-others'],
    [3, 3, 'changed-by-others'],
    [3, 1.5, 'changed-by-others'],
    [0.5, 3, 'changed-by-others'],
    [1.5, undefined, 'changed-by-others'],
    [undefined, undefined, 'changed-by-others'],
  ])('of 0.5 to 1.5, found as %s and live %s: %s', (cpuLimit, live, kind) => {
    expect(verdict(0.5, 1.5, { cpuLimit, quota: quota(live) }).kind).toBe(kind);
  });

  it.each<[number | undefined, number | undefined, string]>([
    [undefined, undefined, 'confirmed'],
    [0.5, 0.5, 'unchanged'],
    [undefined, 0.5, 'half-done'],
    [1, 1, 'changed-by-others'],
  ])('of 0.5 taken away, found as %s and live %s: %s', (cpuLimit, live, kind) => {
    expect(verdict(0.5, null, { cpuLimit, quota: quota(live) }).kind).toBe(kind);
  });

  it('is live at once, whatever the cpuset says', () => {
    const found = { cpuLimit: 1.5, cpuset: present(1) };
    expect(verdict(null, 1.5, found).kind).toBe('confirmed');
    const both: Partial<Allocation> = { cores: COUNTS.new, cpuLimit: 1.5 };
    const old: Partial<Allocation> = { cores: COUNTS.old, cpuLimit: null };
    expect(verify(old, both, readBack(found), HOST_CPUS).kind).toBe('pending');
    const half = readBack({ ...found, cores: COUNTS.old });
    expect(verify(old, both, half, HOST_CPUS).kind).toBe('half-done');
  });

  it('comes back rounded', () => {
    expect(verdict(0.5, 0.333, { cpuLimit: 0.33, quota: quota(0.33) }).kind).toBe('confirmed');
    expect(verdict(0.5, 0.125, { cpuLimit: 0.13, quota: quota(0.13) }).kind).toBe('confirmed');
    expect(verdict(0.5, 0.333, { cpuLimit: 0.32, quota: quota(0.32) }).kind).not.toBe('confirmed');
  });

  it('of a stopped container is not live, so that the configuration decides', () => {
    const stopped = { state: STOPPED, quota: gone() };
    expect(verdict(0.5, 1.5, { ...stopped, cpuLimit: 1.5 }).kind).toBe('confirmed');
    expect(verdict(0.5, 1.5, { ...stopped, cpuLimit: 0.5 }).kind).toBe('unchanged');
  });

  it('that cannot be read leaves its change unknown, and is no matter to others', () => {
    const detail = 'the live cpulimit could not be read';
    const found = { cpuLimit: 1.5, quota: broken() };
    expect(verdict(0.5, 1.5, found)).toEqual({ kind: 'unknown', detail });
    expect(verify(before, expected, readBack(found), HOST_CPUS).kind).toBe('confirmed');
  });

  it('is named among what was found only where it is part of the change', () => {
    const found = verdict(0.5, null, { cpuLimit: 1, quota: quota(2) });
    expect(found).toMatchObject({
      found: 'cores 4, cpulimit 1, live cpulimit 2, memory 2048 MB, live limit 2048 MB',
    });
  });
});

describe('putting back, where what was before does not matter', () => {
  it('is confirmed by the values alone, and otherwise is not', () => {
    expect(verify({}, expected, readBack({}), HOST_CPUS).kind).toBe('confirmed');
    const other = readBack({ live: present(mib(MIBS.old)) });
    expect(verify({}, expected, other, HOST_CPUS).kind).not.toBe('confirmed');
  });
});

describe('for anything that may be read back', () => {
  const count = fc.option(fc.integer({ min: 1, max: 9 }), { nil: null });
  const size = fc.constantFrom<Mib>(mib(512), mib(1024), mib(2048));
  const quota = fc.constantFrom(null, 0.5);
  const all = { cores: count, cpuLimit: quota, memoryMib: size };
  const some = fc.record(all, { requiredKeys: [] });
  const why = fc.constantFrom(gone(), broken(), missing('unreadable', 'EIO'));
  const read: fc.Arbitrary<ReadBack> = fc.record({
    state: fc.oneof({ weight: 9, arbitrary: fc.constant(RUNNING) }, fc.constant(STOPPED)),
    config: fc.oneof(
      { weight: 9, arbitrary: fc.record(all).map(inFile) },
      { weight: 1, arbitrary: why },
    ),
    liveCpuLimit: fc.oneof(
      { weight: 9, arbitrary: quota.map((each) => present(limit(each ?? undefined))) },
      { weight: 1, arbitrary: why },
    ),
    liveMemoryMib: fc.oneof(
      { weight: 9, arbitrary: fc.option(size, { nil: undefined }).map((each) => present(each)) },
      { weight: 1, arbitrary: why },
    ),
    liveCpus: fc.oneof(
      { weight: 9, arbitrary: count.map((each) => present(each ?? undefined)) },
      { weight: 1, arbitrary: why },
    ),
  });

  function inFile(found: Allocation) {
    return present(found);
  }

  it('confirmed means that what is read back is what was expected', () => {
    let confirmed = 0;
    fc.assert(
      fc.property(some, some, read, (old, wanted, found) => {
        const { kind } = verify(old, wanted, found, HOST_CPUS);
        if (kind !== 'confirmed' && kind !== 'pending') return;
        confirmed += 1;
        if (!found.config.ok) throw new Error('confirmed without a configuration');
        const { config, liveMemoryMib, liveCpus } = found;
        const running = found.state.kind === 'running';
        if (wanted.memoryMib !== undefined) {
          expect(config.value.memoryMib).toBe(wanted.memoryMib);
          if (running) expect(liveMemoryMib).toEqual(present(wanted.memoryMib));
        }
        if (wanted.cpuLimit !== undefined) {
          expect(config.value.cpuLimit).toBe(wanted.cpuLimit);
          const live = wanted.cpuLimit ?? undefined;
          if (running) expect(found.liveCpuLimit).toEqual(present(live));
        }
        if (wanted.cores === undefined) return;
        expect(config.value.cores ?? null).toBe(wanted.cores);
        if (kind === 'pending' || !running) return;
        const cpus = Math.min(wanted.cores ?? HOST_CPUS, HOST_CPUS);
        expect(liveCpus).toEqual(present(cpus));
      }),
      { numRuns: 10_000 },
    );
    expect(confirmed).toBeGreaterThan(100);
  });

  it('unchanged means that nothing of it is new', () => {
    fc.assert(
      fc.property(some, some, read, (old, wanted, found) => {
        if (verify(old, wanted, found, HOST_CPUS).kind !== 'unchanged') return;
        if (!found.config.ok) throw new Error('unchanged without a configuration');
        if (wanted.memoryMib !== undefined) {
          expect(found.config.value.memoryMib).toBe(old.memoryMib);
        }
        if (wanted.cores !== undefined) expect(found.config.value.cores).toBe(old.cores);
        if (wanted.cpuLimit !== undefined) {
          expect(found.config.value.cpuLimit).toBe(old.cpuLimit);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
