import { describe, expect, it } from 'vitest';
import type { HoldReason, SkipReason } from '../../src/core/decision.ts';
import {
  amount,
  explainChange,
  explainHold,
  explainSkip,
  withUnit,
} from '../../src/core/explain.ts';
import { ratio } from '../../src/core/units.ts';
import { broken, coresChange, gone, hold, measured, memoryChange, vmid } from './builders.ts';

/** One sentence that stands in a line of the log: no code words, no holes, no full stop. */
function expectReadable(sentence: string): void {
  expect(sentence).toMatch(/^[a-z0-9]/);
  expect(sentence).not.toMatch(/undefined|null|NaN|Infinity|\[object|[{}`\n]| {2}/);
  expect(sentence).not.toMatch(/\d\.\d{3}/);
  expect(sentence).not.toMatch(/[.;:,]$/);
  expect(sentence).not.toMatch(/\b(mib|psi|oom_kill|workingset|in-band|vmid)\b/i);
  expect(sentence.length).toBeLessThan(200);
}

describe('a change of cores', () => {
  const busy = coresChange(101, 2, 4, {}, { used: 1.899 });

  it.each([
    ['grows', busy, 'it uses 1.9 of its 2 cores (95 %), above the upper threshold of 80 %'],
    [
      'shrinks',
      coresChange(101, 8, 4, {}, { used: 1.2 }),
      'it uses 1.2 of its 8 cores (15 %), below the lower threshold of 20 %',
    ],
    [
      'is raised to its minimum',
      coresChange(101, 1, 2, { rule: 'below-minimum' }, { min: 2 }),
      'it has 1 core, less than its min_cores of 2 cores',
    ],
    [
      'is lowered to its maximum',
      coresChange(101, 16, 8, { rule: 'above-maximum' }, { max: 8 }),
      'it has 16 cores, more than its maximum of 8 cores',
    ],
  ])('that %s', (_what, change, sentence) => {
    expectReadable(explainChange(change));
    expect(explainChange(change)).toBe(sentence);
  });

  it('says of what the share is where a cpulimit binds', () => {
    const limited = coresChange(101, 4, 2, {}, { used: 0.15, share: 0.1 });
    expect(explainChange(limited)).toBe(
      'it uses 0.15 cores, 10 % of what it may use (it has 4 cores), ' +
        'below the lower threshold of 20 %',
    );
  });

  it.each([
    ['maximum', 'it may have at most 8 cores'],
    ['minimum', 'it keeps at least 1 core'],
    ['need', 'it needs at least 3 cores'],
    ['opposite', 'a larger step would soon be taken back'],
    ['host', 'the host cannot give more now'],
  ] as const)('cut by %s says so', (limit, words) => {
    const cut = { ...busy, limits: [limit], measured: measured({ need: 2.4 }) };
    expectReadable(explainChange(cut));
    expect(explainChange(cut).split('; ')[1]).toBe(words);
  });

  it('says everything that cut it', () => {
    const cut = { ...busy, limits: ['opposite', 'host'] as const };
    expect(explainChange(cut).split('; ').length).toBe(3);
  });
});

describe('a change of memory', () => {
  it.each([
    [
      'grows',
      memoryChange(101, 1024, 1536, {}, { used: 900.4 }),
      'it uses 900 of its 1024 MB (87.9 %), above the upper threshold of 80 %',
    ],
    [
      'shrinks',
      memoryChange(101, 8192, 848, {}, { used: 420 }),
      'it uses 420 of its 8192 MB (5.1 %), below the lower threshold of 20 %',
    ],
    [
      'follows a kill',
      memoryChange(101, 1024, 1536, { rule: 'oom-kill' }),
      'its 1024 MB were not enough: the kernel ended a process in it (out of memory)',
    ],
  ])('that %s', (_what, change, sentence) => {
    expectReadable(explainChange(change));
    expect(explainChange(change)).toBe(sentence);
  });
});

describe('a hold', () => {
  const table: readonly (readonly [HoldReason, string])[] = [
    [{ kind: 'in-band' }, 'between the thresholds of 20 % and 80 %, so nothing changes'],
    [
      { kind: 'missing', reading: gone('no earlier sample to compare with') },
      'a reading is missing, so nothing changes: no earlier sample to compare with',
    ],
    [{ kind: 'at-maximum' }, 'it needs more, but may have at most 8 cores'],
    [{ kind: 'at-minimum' }, 'it needs less, but keeps its minimum of 1 core'],
    [
      { kind: 'too-little-to-take', left: 488, least: 512 },
      'only 488 MB could be taken back, less than a step of 512 MB',
    ],
    [{ kind: 'opposite' }, 'any step would soon be reversed, so nothing changes'],
    [
      { kind: 'started-lately' },
      'it needs less, but was started lately and may still be warming up, so it keeps its memory',
    ],
    [
      { kind: 'oom-lately' },
      'the kernel ended a process in it lately (out of memory), so it keeps its memory',
    ],
    [
      { kind: 'held-back-lately' },
      'it had to wait for memory lately, at its limit or its guard, so nothing is taken from it',
    ],
    [
      { kind: 'cpulimit', cpuLimit: 1.5 },
      'its cpulimit of 1.5 cores holds it back, so more cores would not help',
    ],
    [
      { kind: 'not-in-force', configured: 4, live: 1 },
      'its configuration says 4 cores, but 1 core is active; waiting until they agree',
    ],
    [
      { kind: 'host-memory', wanted: 512, budget: 0 },
      'it should get 512 MB more, but the host can spare 0 MB',
    ],
    [
      { kind: 'host-cores', ceiling: 3 },
      "it should get more, but the host's reserve allows a container at most 3 cores",
    ],
    [
      { kind: 'overcommit', wanted: 512, room: 16.5 },
      'it should get 512 MB more, but the limits of all guests together may grow by ' +
        'no more than 16 MB',
    ],
    [
      { kind: 'changed-by-hand', leftMs: 1500 },
      'it was changed by hand, which is respected for 2 s more',
    ],
    [
      { kind: 'boosted', until: 2, leftMs: 90_000 },
      'it is boosted, and goes back to 2 cores in 90 s',
    ],
    [
      { kind: 'boosted', until: 1, leftMs: 0 },
      'its boost is over, but it needs more than 1 core now',
    ],
    [{ kind: 'not-saturated', samples: 0, of: 3 }, 'it is not saturated, so nothing changes'],
    [
      { kind: 'not-saturated', samples: 1, of: 3 },
      'it was saturated in the last 1 sample, and a boost takes 3 in a row',
    ],
    [
      { kind: 'given-back', leftMs: 60_000 },
      'the off-peak time has just given it back; it stays for 60 s more',
    ],
    [
      { kind: 'cannot-prove', guest: 'qemu' },
      'nobody can ask a guest to show what it could do without, and little of its memory is free ' +
        'beside the cache that it uses, so it keeps its memory',
    ],
    [
      { kind: 'next-cycle' },
      'other changes come first in this cycle, so this one waits for the next',
    ],
  ];

  it.each(table)('because of $kind', (because, words) => {
    const bare = explainHold(hold(101, because, { resource: 'cores' }));
    expectReadable(bare);
    const numbers = measured({ before: 2, used: 1.9 });
    const sentence = explainHold(hold(101, because, { resource: 'cores', measured: numbers }));
    expectReadable(sentence);
    expect(sentence).toBe(`it uses 1.9 of its 2 cores (95 %): ${words}`);
  });

  it('of memory that is not in force, with and without a limit', () => {
    const said = (live: number | null): string =>
      explainHold(hold(101, { kind: 'not-in-force', configured: 512, live }));
    expect(said(300.5)).toBe(
      'its configuration says 512 MB, but 300.5 MB are active; it is put right if it stays so',
    );
    expect(said(null)).toBe(
      'its configuration says 512 MB, but no limit is active; it is put right if it stays so',
    );
  });
});

describe('a container that is left alone', () => {
  const table: readonly (readonly [SkipReason, string])[] = [
    [{ kind: 'ignored', because: 'listed in ignore_lxc' }, 'listed in ignore_lxc'],
    [{ kind: 'template' }, 'it is a template'],
    [
      { kind: 'locked', lock: 'backup' },
      'it is locked (backup), since another operation is at work on it',
    ],
    [{ kind: 'stopped' }, 'it is not running'],
    [
      { kind: 'pending-changes', keys: ['memory', 'swap'] },
      'changes of its configuration (memory, swap) wait for its next start',
    ],
    [
      { kind: 'unreadable', reading: broken('101.conf: no settings') },
      'it could not be read: 101.conf: no settings',
    ],
    [
      { kind: 'failed-lately', failures: 1, retryInMs: 59_500 },
      'the last change failed; next try in 60 s',
    ],
    [
      { kind: 'failed-lately', failures: 3, retryInMs: 240_000 },
      'the last 3 changes failed; next try in 240 s',
    ],
  ];

  it.each(table)('because of $kind', (because, sentence) => {
    const said = explainSkip({ ...hold(101, { kind: 'in-band' }), because });
    expectReadable(said);
    expect(said).toBe(sentence);
  });
});

describe('numbers', () => {
  it('have their unit, in the form of the log', () => {
    expect(amount('memory', 6656)).toBe('6656MB');
    expect(amount('cores', 2)).toBe('2');
    expect(withUnit('cores', 1)).toBe('1 core');
    expect(withUnit('cores', 0)).toBe('0 cores');
    expect(withUnit('cores', 1.4999)).toBe('1.5 cores');
    expect(withUnit('memory', 512)).toBe('512 MB');
  });

  it('of an idle container are zeros, not holes', () => {
    const idle = hold(101, { kind: 'at-minimum' }, { resource: 'cores' });
    const numbers = { ...measured({ before: 1, used: 0 }), share: ratio(0) };
    expect(explainHold({ ...idle, measured: numbers })).toBe(
      'it uses 0 of its 1 core (0 %): it needs less, but keeps its minimum of 1 core',
    );
  });
});

it('a machine that stands still is paused, and no container', () => {
  const skip = { vmid: vmid(200), name: 'x', because: { kind: 'frozen' } } as const;
  expect(explainSkip(skip)).toContain('lxc-freeze');
  expect(explainSkip({ ...skip, kind: 'qemu' })).toContain('it is paused (by qm suspend');
});
