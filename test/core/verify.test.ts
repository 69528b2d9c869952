import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { missing, present } from '../../src/core/reading.ts';
import { type Mib, mib } from '../../src/core/units.ts';
import { type ReadBack, type Target, verify } from '../../src/core/verify.ts';
import { broken, gone } from './builders.ts';

const HOST_CPUS = 8;
const COUNTS = { old: 2, new: 4, other: 3 } as const;
const MIBS = { old: 1024, new: 2048, other: 1500 } as const;
type Which = 'old' | 'new' | 'other';

const before: Target = { cores: COUNTS.old, memoryMib: mib(MIBS.old) };
const expected: Target = { cores: COUNTS.new, memoryMib: mib(MIBS.new) };

interface Found {
  readonly cores?: number | undefined;
  readonly memory?: number;
  readonly live?: ReadBack['liveMemoryMib'];
  readonly cpuset?: ReadBack['liveCpus'];
}

/** All as expected, but for what is said. */
function readBack(found: Found): ReadBack {
  const cores = 'cores' in found ? found.cores : COUNTS.new;
  return {
    config: present({ cores, memoryMib: mib(found.memory ?? MIBS.new) }),
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
      ...{ cores: COUNTS[cores], memory: MIBS[memory] },
      live: present(mib(MIBS[live])),
    });
    expect(verify(before, expected, read, HOST_CPUS).kind).toBe(kind);
  });

  it('says what it found instead', () => {
    const read = readBack({ cores: undefined, memory: 1500, live: present(undefined) });
    expect(verify(before, expected, read, HOST_CPUS)).toEqual({
      ...{ kind: 'changed-by-others', found: 'cores all, memory 1500 MB, live limit none' },
    });
  });
});

describe('the live limit', () => {
  it('of a stopped container is not there, so that the configuration decides', () => {
    const stopped = { live: gone(), cpuset: gone() };
    expect(verify(before, expected, readBack(stopped), HOST_CPUS).kind).toBe('confirmed');
    const half = readBack({ ...stopped, cores: COUNTS.old });
    expect(verify(before, expected, half, HOST_CPUS).kind).toBe('half-done');
    const none = readBack({ ...stopped, cores: COUNTS.old, memory: MIBS.old });
    expect(verify(before, expected, none, HOST_CPUS).kind).toBe('unchanged');
  });

  it('that cannot be read leaves the change of memory unknown', () => {
    const read = readBack({ live: broken() });
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
    ['gone with the container', gone(), 'confirmed'],
  ])('%s: %s', (_what, cpuset, kind) => {
    expect(onlyCores(4, { cpuset })).toBe(kind);
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
    expect(onlyCores(null, { cores: undefined, cpuset: present(8) })).toBe('confirmed');
    expect(onlyCores(null, { cores: undefined, cpuset: present(2) })).toBe('pending');
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
  const some = fc.record({ cores: count, memoryMib: size }, { requiredKeys: [] });
  const why = fc.constantFrom(gone(), broken(), missing('unreadable', 'EIO'));
  const read: fc.Arbitrary<ReadBack> = fc.record({
    config: fc.oneof(
      { weight: 9, arbitrary: fc.record({ cores: count, memoryMib: size }).map(inFile) },
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

  function inFile(found: { readonly cores: number | null; readonly memoryMib: Mib }) {
    return present({ cores: found.cores ?? undefined, memoryMib: found.memoryMib });
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
        const running = liveMemoryMib.ok || liveMemoryMib.why !== 'absent';
        if (wanted.memoryMib !== undefined) {
          expect(config.value.memoryMib).toBe(wanted.memoryMib);
          if (running) expect(liveMemoryMib).toEqual(present(wanted.memoryMib));
        }
        if (wanted.cores === undefined) return;
        expect(config.value.cores ?? null).toBe(wanted.cores);
        if (kind === 'pending') return;
        const cpus = Math.min(wanted.cores ?? HOST_CPUS, HOST_CPUS);
        if (liveCpus.ok) expect(liveCpus.value).toBe(cpus);
        else expect(liveCpus.why).toBe('absent');
      }),
      { numRuns: 5000 },
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
        if (wanted.cores !== undefined) expect(found.config.value.cores ?? null).toBe(old.cores);
      }),
      { numRuns: 2000 },
    );
  });
});
