import { describe, expect, it } from 'vitest';
import { describeDiff, isEmpty } from '../../src/core/allocation.ts';
import { type BackupKind, backupId, type StoredBackup } from '../../src/core/backup.ts';
import type { CgroupSample } from '../../src/core/observation.ts';
import { missing, present, type Reading } from '../../src/core/reading.ts';
import {
  chooseBackup,
  explainNoBackup,
  parseRestorePoint,
  planRestore,
  type RestorePoint,
  refuseMemory,
} from '../../src/core/rollback.ts';
import {
  type Mib,
  type Milliseconds,
  mib,
  milliseconds,
  cores as toCores,
} from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { guest, type MemoryNumbers, memoryCounters, sample, vmid } from './builders.ts';

const utc = (wallMs: Milliseconds): string =>
  new Date(wallMs).toISOString().slice(0, 19).replace('T', ' ');

function backup(at: string, kind: BackupKind | 'unknown' = 'change'): StoredBackup {
  const takenAtMs = milliseconds(Date.parse(`${at}Z`));
  const id = backupId(takenAtMs, '0a1b2c3d');
  return {
    vmid: vmid(101),
    id,
    takenAtMs,
    path: `/b/101/${id}.conf`,
    config: present(guest(101)),
    madeFor: kind === 'unknown' ? missing('absent', id) : present({ kind, reason: 'why' }),
  };
}

function point(text: string): RestorePoint {
  const parsed = parseRestorePoint(text);
  if (parsed === undefined) throw new Error(`${text} is no restore point`);
  return parsed;
}

describe('where a rollback goes to', () => {
  const first = backup('2026-11-20T22:04:45.500');
  const second = backup('2026-11-21T22:04:45.500');
  const third = backup('2026-11-21T22:10:00.000');
  const all = [third, first, second];
  const chosen = (to: RestorePoint, from = all) => chooseBackup(from, to, utc);

  it('is the newest backup where nothing is said', () => {
    expect(chosen({ kind: 'newest' })).toBe(third);
    expect(chosen({ kind: 'newest' }, [])).toBeUndefined();
  });

  it.each([
    ['2026-11-22', undefined],
    ['2026-11-21', second],
    ['2026-11-20', first],
    ['2026-11-19', first],
    ['2026-11-21 22:11', undefined],
    ['2026-11-21 22:10', third],
    ['2026-11-21T22:09', third],
    ['2026-11-21 22:04', second],
    ['2026-11-21 22:03', second],
    ['2026-11-21T22:04:45', second],
    ['2026-11-21T22:04:46', third],
    ['2026-11-20 22:04:44', first],
  ])('is the first at or after %s: it holds what was in force then', (text, expected) => {
    expect(chosen(point(text))).toBe(expected);
  });

  it('is the first at or after a moment, whatever the clock said', () => {
    const at = (ms: number): RestorePoint => ({ kind: 'moment', ms: milliseconds(ms) });
    const fixed = (): string => '2026-11-21 22:00:00';
    const moments = [second.takenAtMs, second.takenAtMs + 1, third.takenAtMs + 1];
    expect(moments.map((ms) => chooseBackup(all, at(ms), fixed))).toEqual([
      second,
      third,
      undefined,
    ]);
  });

  it('goes by the time that a person sees, not by UTC', () => {
    const eastern = (wallMs: Milliseconds) => utc(milliseconds(wallMs + 5 * 3_600_000));
    expect(chooseBackup(all, point('2026-11-22'), eastern)).toBe(second);
    expect(chooseBackup(all, point('2026-11-21'), eastern)).toBe(first);
  });

  it('is not a copy that a rollback made, or one from the middle of a change', () => {
    const own = backup('2026-11-21T23:00:00.000', 'rollback');
    const half = backup('2026-11-21T23:01:00.000', 'half-done');
    expect(chosen({ kind: 'newest' }, [...all, own, half])).toBe(third);
    expect(chosen(point('2026-11-21'), [...all, own, half])).toBe(second);
    expect(chosen(point(own.id), [...all, own, half])).toBe(own);
    expect(chosen({ kind: 'newest' }, [own, half])).toBeUndefined();
  });

  it('may be one that nothing is known about', () => {
    const bare = backup('2026-11-21T23:00:00.000', 'unknown');
    expect(chosen({ kind: 'newest' }, [...all, bare])).toBe(bare);
  });

  it('is the one that is named', () => {
    expect(chosen(point(first.id))).toBe(first);
    expect(chosen(point(backupId(milliseconds(0), '00000000')))).toBeUndefined();
  });

  it('does not depend on the order of the list', () => {
    const to = fc.constantFrom('2026-11-20', '2026-11-21 22:04', '2026-11-21 22:10:00');
    const shuffled = fc.shuffledSubarray(all, { minLength: 3 });
    fc.assert(
      fc.property(shuffled, to, (list, text) => {
        expect(chosen(point(text), list)).toBe(chosen(point(text)));
      }),
    );
  });

  it('is explained where there is none', () => {
    const words = (to: RestorePoint, from = all) => explainNoBackup(from, to, utc);
    expect(words({ kind: 'newest' }, [])).toBe('it has no backups');
    expect(words(point('2026-11-22'))).toBe(
      'it was not changed since 2026-11-22; its newest backup is of 2026-11-21 22:10:00',
    );
    expect(words(point(`20200101T000000.000Z-00000000`))).toBe(
      'it has no backup 20200101T000000.000Z-00000000; the command backups lists those it has',
    );
    expect(words({ kind: 'newest' }, [backup('2026-11-21T23:00:00.000', 'rollback')])).toBe(
      'its backups are all of rollbacks; name one of them with --to',
    );
  });
});

describe('a restore point', () => {
  it.each([
    ['2026-11-21', { kind: 'time', text: '2026-11-21' }],
    ['2026-11-21 22:04', { kind: 'time', text: '2026-11-21 22:04' }],
    ['2026-11-21T22:04:45', { kind: 'time', text: '2026-11-21 22:04:45' }],
    ['2028-02-29', { kind: 'time', text: '2028-02-29' }],
    ['20261121T220445.007Z-0a1b2c3d', { kind: 'id', id: '20261121T220445.007Z-0a1b2c3d' }],
  ])('is %s', (text, expected) => {
    expect(parseRestorePoint(text)).toEqual(expected);
  });

  it.each([
    '',
    'now',
    '2026',
    '2026-11',
    '2026-11-21 ',
    ' 2026-11-21',
    '2026-11-21\n',
    '21.11.2026',
    '2026-13-01',
    '2026-02-29',
    '2026-04-31',
    '2026-11-21 24:00',
    '2026-11-21 22:60',
    '2026-11-21 22:04:60',
    '2026-11-21 22',
    '2026-11-21T22:04:45Z',
    '2026-11-21_22:04',
  ])('is not %j', (text) => {
    expect(parseRestorePoint(text)).toBeUndefined();
  });
});

const running = (numbers: MemoryNumbers): Reading<CgroupSample> =>
  present(sample({ memory: present(memoryCounters(numbers)) }));
const stopped: Reading<CgroupSample> = missing('absent', 'no cgroup');

describe('what is restored', () => {
  const now = guest(101, { cores: 4, memoryMib: mib(2048) });

  it('is what differs, of cores and memory', () => {
    const then = guest(101, { cores: 2, memoryMib: mib(1024), swapMib: mib(0), name: 'other' });
    expect(planRestore(now, then, running({ limit: 2048, current: 400 }))).toEqual({
      before: { cores: 4, memoryMib: 2048 },
      target: { cores: 2, memoryMib: 1024 },
    });
    expect(planRestore(now, guest(101, { ...then, cores: 4 }), stopped)).toEqual({
      before: { memoryMib: 2048 },
      target: { memoryMib: 1024 },
    });
  });

  it('is nothing where nothing differs', () => {
    const { target } = planRestore(now, guest(101, { ...now, swapMib: mib(0) }), stopped);
    expect(target).toEqual({});
    expect(isEmpty(target)).toBe(true);
    expect(isEmpty({ cores: null })).toBe(false);
  });

  it('takes the cores line out again where there was none', () => {
    const plan = planRestore(now, guest(101, { ...now, cores: null }), stopped);
    expect(plan).toEqual({ before: { cores: 4 }, target: { cores: null } });
    expect(describeDiff(plan.before, plan.target)).toBe('cores 4 -> all');
    expect(planRestore(guest(101, { ...now, cores: null }), now, stopped)).toEqual({
      before: { cores: null },
      target: { cores: 4 },
    });
  });

  it('is a cpulimit too, where it differs by more than it is rounded', () => {
    const limited = guest(101, { ...now, cpuLimit: toCores(0.5) });
    const lifted = planRestore(limited, now, stopped);
    expect(lifted).toEqual({ before: { cpuLimit: 0.5 }, target: { cpuLimit: null } });
    expect(isEmpty(lifted.target)).toBe(false);
    expect(describeDiff(lifted.before, lifted.target)).toBe('cpulimit 0.5 -> none');
    const set = planRestore(now, limited, stopped);
    expect(set).toEqual({ before: { cpuLimit: null }, target: { cpuLimit: 0.5 } });
    const rounded = guest(101, { ...now, cpuLimit: toCores(0.503) });
    expect(isEmpty(planRestore(limited, rounded, stopped).target)).toBe(true);
  });

  it('leaves memory that is in use, and restores the rest', () => {
    const then = guest(101, { cores: 2, memoryMib: mib(1024) });
    const plan = planRestore(now, then, running({ limit: 2048, current: 1000 }));
    expect(plan).toEqual({
      before: { cores: 4 },
      target: { cores: 2 },
      refused: 'it needs 1100 MB now, so 1024 MB would be too little',
    });
  });
});

describe('a memory limit', () => {
  const refuse = (seen: Reading<CgroupSample>, limit: number) => refuseMemory(seen, mib(limit));

  it('is safe where it takes nothing', () => {
    expect(refuse(running({ limit: 1024, current: 1024 }), 1024)).toBeUndefined();
    expect(refuse(running({ limit: 1024, current: 1024 }), 2048)).toBeUndefined();
    expect(refuse(stopped, 16)).toBeUndefined();
  });

  it('is safe at what is in use plus headroom, swap counted, file cache not', () => {
    const use = { limit: 4096, current: 2000, inactive: 900, active: 100, swap: 100 };
    expect(refuse(running(use), 1210)).toBeUndefined();
    expect(refuse(running(use), 1209)).toBe('it needs 1210 MB now, so 1209 MB would be too little');
  });

  it('is refused where the use is not known', () => {
    const blind: Reading<CgroupSample> = missing('unreadable', '/c/101: input/output error');
    expect(refuse(blind, 1024)).toMatch(/could not be read: .*input/);
    const part = present(sample({ memory: missing('malformed', 'memory.stat: empty') }));
    expect(refuse(part, 1024)).toMatch(/could not be read: memory.stat: empty/);
  });

  it('is never below what is in use, whatever is seen', () => {
    const amount = fc.integer({ min: 0, max: 10_000 });
    fc.assert(
      fc.property(amount, amount, amount, amount, (current, anon, limit, wanted) => {
        const seen = running({ current, anon: Math.min(anon, current), limit });
        const used: Mib = mib(current);
        if (refuse(seen, wanted) === undefined && wanted < limit) {
          expect(wanted).toBeGreaterThanOrEqual(used);
        }
      }),
    );
  });
});

it('a change in words', () => {
  expect(describeDiff({ cores: 4, memoryMib: mib(2048) }, { cores: 2, memoryMib: mib(1024) })).toBe(
    'cores 4 -> 2, memory 2048 -> 1024 MB',
  );
  expect(describeDiff({}, {})).toBe('');
});
