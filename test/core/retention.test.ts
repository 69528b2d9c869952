import { describe, expect, it } from 'vitest';
import { backupId, type StoredBackup } from '../../src/core/backup.ts';
import type { GuestIdentity } from '../../src/core/identity.ts';
import { present } from '../../src/core/reading.ts';
import { surplusBackups } from '../../src/core/retention.ts';
import { milliseconds } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { guest, identity, vmid } from './builders.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** A Monday, 00:00 UTC. */
const START_MS = Date.UTC(2026, 10, 2);

function backup(atMs: number, of: GuestIdentity | undefined = identity(101)): StoredBackup {
  const takenAtMs = milliseconds(START_MS + atMs);
  const id = backupId(takenAtMs, '0a1b2c3d');
  const config = present(guest(101, { identity: of }));
  const madeFor = present({ kind: 'change' as const, reason: 'why' });
  return { vmid: vmid(101), id, takenAtMs, path: id, config, madeFor };
}

/** Adds one after the other, and removes each time what has to go. Hours since the start. */
function keptOf(
  made: readonly (StoredBackup | number)[],
  { keep = 20, days = 30 } = {},
): readonly StoredBackup[] {
  let kept: readonly StoredBackup[] = [];
  for (const each of made) {
    const added = typeof each === 'number' ? backup(each * HOUR_MS) : each;
    const all = [...kept, added];
    const limits = { keep, keepMs: milliseconds(days * DAY_MS) };
    const surplus = new Set(surplusBackups(all, added.id, added.takenAtMs, limits));
    kept = all.filter((one) => !surplus.has(one));
  }
  return kept;
}

const hours = (kept: readonly StoredBackup[]): number[] =>
  kept.map(({ takenAtMs }) => (takenAtMs - START_MS) / HOUR_MS);

describe('which backups stay', () => {
  it('the first one of a guest, whatever comes after it', () => {
    const burst = Array.from({ length: 500 }, (_, index) => index / 60);
    for (const keep of [1, 3, 20]) {
      const kept = hours(keptOf(burst, { keep }));
      expect(kept[0]).toBe(0);
      expect(kept.at(-1)).toBeCloseTo(499 / 60);
      expect(kept).toHaveLength(1 + Math.max(3, keep));
    }
    expect(hours(keptOf([0, 24 * 400, 24 * 401, 24 * 402, 24 * 403], { days: 1 }))[0]).toBe(0);
  });

  it('the first one of each guest that has had the id, also when an old one is back', () => {
    const [a, b] = [identity(101, 0), identity(101, 1)];
    const made = [a, a, b, b, b, b, b, b, a, b].map((of, hour) => backup(hour * HOUR_MS, of));
    const kept = hours(keptOf(made, { keep: 3 }));
    expect(kept).toEqual([0, 2, 7, 8, 9]);
  });

  it('is the first one also of a guest whose devices were replaced one by one', () => {
    const nets = (...last: readonly string[]) =>
      `${last.map((each) => `bc:24:11:00:00:0${each}`).join(',')} a:b` as GuestIdentity;
    const lives = [nets('1'), nets('1', '2'), nets('2'), nets('2', '3'), nets('3')];
    const made = lives.map((of, hour) => backup(hour * HOUR_MS, of));
    expect(hours(keptOf(made, { keep: 5 }))).toEqual([0, 1, 2, 3, 4]);
    expect(hours(keptOf(made, { keep: 4 }))).toEqual([0, 1, 2, 3, 4]);
  });

  it('all of the last day, the oldest of each day of a week and of each week before', () => {
    const every6h = Array.from({ length: 4 * 25 + 1 }, (_, index) => index * 6);
    const days = (kept: readonly StoredBackup[]) => hours(kept).map((hour) => hour / 24);
    expect(days(keptOf(every6h, { keep: 50 }))).toEqual([
      // The first one, and the Mondays.
      0, 7, 14,
      // A week back, from 00:00 of each day.
      18, 19, 20, 21, 22, 23, 24, 24.25, 24.5, 24.75, 25,
    ]);
  });

  it('is no more than is configured, and a burst does not push out the days before', () => {
    const days = Array.from({ length: 6 }, (_, day) => day * 24);
    const burst = Array.from({ length: 100 }, (_, index) => 6 * 24 + index / 60);
    const kept = hours(keptOf([...days, ...burst]));
    expect(kept).toHaveLength(21);
    expect(kept.slice(0, 7)).toEqual([0, 24, 48, 72, 96, 120, 144]);
    expect(kept.slice(-14)).toEqual(burst.slice(-14));
  });

  it('is never all of them, and never without the newest three and the first', () => {
    const step = fc.double({ min: 0.001, max: 400, noNaN: true });
    const limits = fc.record({ keep: fc.integer({ min: 1, max: 30 }), days: fc.nat({ max: 60 }) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 4, maxLength: 60 }), limits, (steps, bounds) => {
        let at = 0;
        const made = steps.map((each) => {
          at += each;
          return backup(Math.round(at * HOUR_MS));
        });
        const kept = keptOf(made, bounds);
        expect(kept[0]).toBe(made[0]);
        expect(kept.slice(-3)).toEqual(made.slice(-3));
        expect(kept.length).toBeLessThanOrEqual(1 + Math.max(3, bounds.keep));
      }),
      { numRuns: 200 },
    );
  });

  it('is not known as the first of any guest where it cannot be told of which one it is', () => {
    const made = Array.from({ length: 9 }, (_, hour) => ({
      ...backup(hour * HOUR_MS),
      config: present(guest(101, { identity: undefined })),
    }));
    expect(hours(keptOf(made, { keep: 3 }))).toEqual([6, 7, 8]);
  });

  it('keeps the newest copy from before notes were written, and counts none of them', () => {
    const ofNotes = (hour: number): StoredBackup => ({
      ...backup(hour * HOUR_MS + 60_000),
      madeFor: present({ kind: 'notes', reason: 'why' }),
    });
    const pairs = Array.from({ length: 12 }, (_, hour) => [hour, ofNotes(hour)]).flat();
    const kept = keptOf(pairs, { keep: 20 });
    expect(kept.filter(({ madeFor }) => madeFor.ok && madeFor.value.kind === 'notes')).toHaveLength(
      1,
    );
    expect(kept).toHaveLength(13);
  });
});
