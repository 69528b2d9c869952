import { describe, expect, it } from 'vitest';
import { type DemandModel, newDemandModel } from '../../src/core/demand-model.ts';
import { learnCores } from '../../src/core/learning.ts';
import { forecastCores } from '../../src/core/policies/adaptive-cores.ts';
import { repeatsOf } from '../../src/core/repeats.ts';
import { saveDemandModels, takeDemandModels } from '../../src/core/saved-demand-models.ts';
import { fc } from '../fast-check.ts';
import { cpuUse } from './builders.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Not at the beginning of an hour, nor of five minutes. */
const START = 1_795_300_012_345;

type CoresAt = (minute: number) => number;

const mean = (of: CoresAt, from: number, to: number): number => {
  let sum = 0;
  for (let minute = from; minute < to; minute += 1) sum += of(minute);
  return sum / (to - from);
};

/** What a daemon has learnt that looked every so many minutes until then. */
function taught(of: CoresAt, untilMinute: number, every = 5, fromMinute = 0): DemandModel {
  const record: { model: DemandModel | undefined } = { model: undefined };
  go(record, of, fromMinute, untilMinute, every);
  return record.model ?? newDemandModel(0, 0);
}

function go(
  record: { model: DemandModel | undefined },
  of: CoresAt,
  from: number,
  until: number,
  every = 5,
): void {
  for (let minute = from; minute < until; minute += every) {
    const used = mean(of, minute, minute + every);
    learnCores(record, cpuUse(used, 8), START + (minute + every) * MINUTE);
  }
}

/** 3.5 cores for ten minutes, 0.6 for the rest. */
const bursts =
  (periodMinutes: number, offset = 0): CoresAt =>
  (minute) =>
    (minute + offset) % periodMinutes < 10 ? 3.5 : 0.6;

const HOURS = (hours: number): number => hours * 60;

describe('demand that comes again', () => {
  it.each([1, 2, 3, 4])('is believed after six periods: of %i h', (hours) => {
    const period = HOURS(hours);
    const seen = (periods: number) => repeatsOf(taught(bursts(period), periods * period))?.periodMs;
    expect(seen(5)).not.toBe(hours * HOUR);
    expect(seen(6.5)).toBe(hours * HOUR);
  });

  it.each([0, 7, 23, 51])(
    'is foretold five minutes before it comes, and while it lasts: %i',
    (offset) => {
      const demand = bursts(60, offset);
      for (let minute = HOURS(7); minute < HOURS(9); minute += 5) {
        const repeats = repeatsOf(taught(demand, minute));
        const most = Math.max(demand(minute), demand(minute + 4));
        expect(repeats?.now).toBeGreaterThanOrEqual(most);
        expect(repeats?.now).toBeLessThanOrEqual(3.9);
      }
      const quiet = Array.from({ length: 12 }, (_, index) =>
        repeatsOf(taught(demand, HOURS(7) + 5 * index)),
      ).filter((repeats) => (repeats?.now ?? 9) < 1);
      expect(quiet.length).toBeGreaterThanOrEqual(7);
    },
  );

  it('is the same if the loop looks every minute', () => {
    const often = repeatsOf(taught(bursts(60), HOURS(7) - 5, 1));
    expect(often?.periodMs).toBe(HOUR);
    expect(often?.now).toBeGreaterThanOrEqual(3.5);
  });

  it('may come five minutes early or late', () => {
    const off = [0, 4, 1, 5, 2, 0, 3, 5, 1, 4];
    const late: CoresAt = (minute) => {
      const since = (minute % 60) - (off[Math.floor(minute / 60) % off.length] ?? 0);
      return since >= 0 && since < 10 ? 3.5 : 0.6;
    };
    expect(repeatsOf(taught(late, HOURS(8)))?.periodMs).toBe(HOUR);
  });

  it('is not believed any longer after one surprise, and is again after four periods', () => {
    const surprise = HOURS(7) + 30;
    const once: CoresAt = (minute) =>
      minute >= surprise && minute < surprise + 10 ? 3.5 : bursts(60)(minute);
    expect(repeatsOf(taught(once, surprise))).toBeDefined();
    expect(repeatsOf(taught(once, surprise + 15))).toBeUndefined();
    expect(repeatsOf(taught(once, surprise + HOURS(6.5)))).toBeDefined();
  });

  it('is not believed within the five minutes in which the surprise comes', () => {
    const surprise = HOURS(7) + 30;
    const brief: CoresAt = (minute) =>
      minute >= surprise && minute < surprise + 2 ? 3.5 : bursts(60)(minute);
    expect(repeatsOf(taught(brief, surprise, 1))).toBeDefined();
    expect(repeatsOf(taught(brief, surprise + 3, 1))).toBeUndefined();
  });

  it('holds what would be no surprise, and is known of hosts of any size', () => {
    const small = repeatsOf(taught((minute) => (minute % 60 < 10 ? 3.5 : 0.1), HOURS(7) + 30));
    expect(small?.now).toBeGreaterThanOrEqual(0.5);
    const large = repeatsOf(taught((minute) => (minute % 60 < 10 ? 300 : 0.6), HOURS(7)));
    expect(large?.now).toBeGreaterThanOrEqual(300);
  });

  it('takes nothing that has to come back five minutes later', () => {
    const before = Array.from({ length: 12 }, (_, at) => taught(bursts(60), HOURS(7) + 5 * at));
    const model = before.find((one) => {
      const { now = 9, soon = 0 } = repeatsOf(one) ?? {};
      return now < 1 && soon > 3;
    });
    if (model === undefined) throw new Error('it is never foretold ten minutes before it comes');
    const range = { min: 1, max: 8, quantum: 1 };
    expect(forecastCores(model, 4, 0.6, range, 1).target).toBe(4);
    expect(forecastCores(model, 8, 0.6, range, 1).target).toBe(4);
  });

  it('is let go of where it has stopped', () => {
    const stopped: CoresAt = (minute) => (minute < HOURS(8) ? bursts(60)(minute) : 0.6);
    expect(repeatsOf(taught(stopped, HOURS(8)))).toBeDefined();
    expect(repeatsOf(taught(stopped, HOURS(10.5)))).toBeUndefined();
  });

  it.each([
    ['steady', () => 2],
    ['a little more and less', (minute: number) => 2 + 0.2 * Math.sin(minute)],
    ['half of the time high', (minute: number) => (minute % 60 < 30 ? 3.5 : 0.6)],
    ['every 40 minutes', bursts(40)],
    ['every 50 minutes', bursts(50)],
    ['within half a core', (minute: number) => (minute % 60 < 10 ? 0.5 : 0.02)],
  ] as const)('is not seen in what is %s', (_, demand) => {
    for (const hours of [6, 12, 30])
      expect(repeatsOf(taught(demand, HOURS(hours)))).toBeUndefined();
  });

  it('begins anew after a gap of more than an hour, and if the clock is set back', () => {
    const gap: { model: DemandModel | undefined } = { model: taught(bursts(60), HOURS(8)) };
    go(gap, bursts(60), HOURS(9) + 5, HOURS(10));
    expect(gap.model && repeatsOf(gap.model)).toBeUndefined();
    const back: { model: DemandModel | undefined } = { model: taught(bursts(60), HOURS(8)) };
    go(back, bursts(60), HOURS(7), HOURS(7) + 5);
    expect(back.model && repeatsOf(back.model)).toBeUndefined();
  });

  it('outlives a restart of the daemon, and a state without it begins anew', () => {
    const model = taught(bursts(60), HOURS(30));
    const saved: unknown = JSON.parse(JSON.stringify(saveDemandModels([['101/cores', model]])));
    const back = takeDemandModels(saved).get('101/cores');
    expect(back && repeatsOf(back)).toEqual(repeatsOf(model));
    const [[key, one] = ['', {}]] = saveDemandModels([['101/cores', model]]).of;
    const { day, foretold, ...older } = one;
    expect([day, foretold]).not.toContain(undefined);
    const anew = takeDemandModels({ version: 1, of: [[key, older]] }).get('101/cores');
    expect(anew?.slots).toBeCloseTo(model.slots, 0);
    expect(anew && repeatsOf(anew)).toBeUndefined();
  });

  it('never asks for less than nothing, nor for more than a little over the day', () => {
    const values = fc.array(fc.double({ min: 0, max: 64, noNaN: true }), { maxLength: 400 });
    fc.assert(
      fc.property(values, (all) => {
        const repeats = repeatsOf(
          taught((minute) => all[Math.floor(minute / 5)] ?? 0, all.length * 5),
        );
        if (repeats === undefined) return;
        expect(repeats.now).toBeGreaterThanOrEqual(0);
        expect(repeats.now).toBeLessThanOrEqual(Math.max(...all) * 1.05 * 2 ** 0.125 + 0.1);
      }),
    );
  });
});
