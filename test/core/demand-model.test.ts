import { describe, expect, it } from 'vitest';
import {
  type DemandModel,
  learn,
  newDemandModel,
  peakOfDay,
  peakOfHour,
  peakOfSlots,
  rhythmPeak,
} from '../../src/core/demand-model.ts';
import {
  fillDemandTails,
  lately,
  motionOf,
  riskAbove,
  TAIL_LEVELS,
} from '../../src/core/demand-tails.ts';
import { saveDemandModels, takeDemandModels } from '../../src/core/saved-demand-models.ts';
import { fc } from '../fast-check.ts';

const SLOT = 300_000;
const HOUR = 12;

function taught(values: readonly number[], everyMs = SLOT): DemandModel {
  const model = newDemandModel(0, TAIL_LEVELS);
  values.forEach((value, index) => {
    const slot = learn(model, { value, overrun: false }, (index + 1) * everyMs, false);
    if (slot !== undefined) fillDemandTails(model, slot);
  });
  return model;
}

const repeated = (value: number, count: number): number[] => Array<number>(count).fill(value);

describe('what is learnt', () => {
  it('remembers the last hour and the last day', () => {
    const model = taught([...repeated(1, 6), 7, ...repeated(1, 11 + HOUR), 2]);
    expect(peakOfHour(model)).toBe(2);
    expect(peakOfDay(model)).toBe(7);
    expect(peakOfDay(taught([7, ...repeated(1, 25 * HOUR)]))).toBe(1);
    const slots = taught([...repeated(1, 6), 4, 3, 2, 1]);
    expect([1, 2, 3, 4, 12].map((each) => peakOfSlots(slots, each))).toEqual([1, 2, 3, 4, 4]);
  });

  it('knows how much a container wants on average, and by how much that changes', () => {
    const swinging = Array.from({ length: 600 }, (_, step) => (step % 2 ? 3 : 1));
    const { mean, stride, swing } = motionOf(taught(swinging));
    expect(mean).toBeCloseTo(2, 1);
    expect(stride).toBeGreaterThan(1.9);
    expect(stride).toBeLessThan(2);
    expect(swing).toBeCloseTo(Math.log(3.02 / 1.02) * 0.96, 1);
    const steady = motionOf(taught(repeated(2, 600)));
    expect(steady.mean).toBeCloseTo(2, 1);
    expect(steady.swing).toBeLessThan(0.02);
  });

  it('does not depend on how often the loop looks', () => {
    const often = taught(repeated(2, 10 * HOUR), SLOT / 10);
    const seldom = taught(repeated(2, HOUR), SLOT);
    expect(often.slots).toBeCloseTo(seldom.slots, 5);
    const risk = (model: DemandModel): number => riskAbove(model, 3, lately(model, 2));
    expect(risk(often)).toBeCloseTo(risk(seldom), 5);
  });

  it('counts what rises clearly above the day before as a jump, and an overrun too', () => {
    expect(taught([100, 104, 100, 130, 130, 100]).jumps).toBeCloseTo(1, 2);
    const model = taught(repeated(100, 12));
    learn(model, { value: 125, overrun: true }, 13 * SLOT, true);
    expect(model.jumps).toBeCloseTo(1, 2);
  });

  it('keeps the largest rise above the hour before, at most as much again', () => {
    expect(taught([100, 105, 104, 108]).rise).toBe(0);
    expect(taught([100, 130, 100, 150, 100]).rise).toBeCloseTo(30, 1);
    expect(taught([50, 2000, 2000]).rise).toBeCloseTo(50, 1);
    expect(taught([100, 150, ...repeated(100, 7 * 24 * HOUR)]).rise).toBeCloseTo(25, 0);
  });

  it('believes in a daily rhythm once it has been right', () => {
    const day = [...repeated(0.5, 9 * HOUR), ...repeated(6, HOUR), ...repeated(0.5, 14 * HOUR)];
    const before = taught([...day, ...day, ...day, ...day.slice(0, 9 * HOUR - 1)]);
    expect(rhythmPeak(before)).toBe(6);
    const none = taught(repeated(1, 3 * 24 * HOUR));
    expect(rhythmPeak(none)).toBe(0);
  });

  it('survives a clock that is set back, and a long gap', () => {
    const model = taught(repeated(3, HOUR));
    learn(model, { value: 1, overrun: false }, 1, false);
    expect(peakOfHour(model)).toBe(3);
    learn(model, { value: 1, overrun: false }, 50 * 3_600_000, false);
    expect([peakOfHour(model), peakOfDay(model)]).toEqual([1, 1]);
  });

  it('takes no more than 4 KB for both resources of a container', () => {
    const bytes = ({ recent, hours, week, tails }: DemandModel): number =>
      [recent, hours, week, tails].reduce((sum, each) => sum + each.byteLength, 14 * 8);
    expect(bytes(newDemandModel(0, TAIL_LEVELS)) + bytes(newDemandModel(0, 0))).toBeLessThanOrEqual(
      4096,
    );
  });
});

describe('the risk', () => {
  it('falls with the number of cores, and stays between 0 and 1', () => {
    const demand = fc.array(fc.double({ min: 0, max: 16, noNaN: true }), { minLength: 6 });
    fc.assert(
      fc.property(demand, fc.double({ min: 0, max: 8, noNaN: true }), (values, now) => {
        const model = taught(values);
        const seen = lately(model, now);
        const risks = [2, 4, 8, 16, 32].map((cores) => riskAbove(model, cores, seen));
        expect(risks.every((risk) => risk >= 0 && risk <= 1)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('is small above what a calm container wants, and large for a restless one', () => {
    const calm = taught(repeated(1.5, 24 * HOUR));
    const restless = taught(Array.from({ length: 24 * HOUR }, (_, step) => (step % 4 ? 1.5 : 5)));
    const risk = (model: DemandModel): number => riskAbove(model, 3, lately(model, 1.5));
    expect(risk(calm)).toBeLessThan(0.005);
    expect(risk(restless)).toBeGreaterThan(20 * risk(calm));
  });
});

describe('what is saved of it', () => {
  const all = new Map([['101/cores', taught([1, 2, 3, ...repeated(1, 30)])]]);
  const saved: unknown = JSON.parse(JSON.stringify(saveDemandModels(all)));

  it('comes back and says the same', () => {
    const back = takeDemandModels(saved);
    const risks = [all, back].map((map) => {
      const model = map.get('101/cores') ?? newDemandModel(0, TAIL_LEVELS);
      return riskAbove(model, 2, lately(model, 1));
    });
    expect(risks[1]).toBeCloseTo(risks[0] ?? -1, 4);
  });

  it('is taken from the last hour where it was saved before the averages were known', () => {
    const whole = new Map([['101/cores', taught(Array(300).fill([1, 1.5]).flat())]]);
    const { version, of } = JSON.parse(JSON.stringify(saveDemandModels(whole)));
    for (const [, one] of of) for (const name of ['values', 'strides', 'swings']) delete one[name];
    const back = takeDemandModels({ version, of });
    const [before, after] = [whole, back].map((map) => {
      return motionOf(map.get('101/cores') ?? newDemandModel(0, TAIL_LEVELS));
    });
    expect(after?.mean).toBeCloseTo(before?.mean ?? -1, 1);
    expect(after?.stride).toBeCloseTo(before?.stride ?? -1, 1);
    expect(after?.swing).toBeCloseTo(before?.swing ?? -1, 1);
  });

  it('comes back without what an earlier release did not keep', () => {
    const { version, of } = saveDemandModels(all);
    const older = of.map(([key, { rise: _, ...rest }]) => [key, rest]);
    const back = takeDemandModels(JSON.parse(JSON.stringify({ version, of: older })));
    expect(back.get('101/cores')).toMatchObject({ rise: 0, jumps: all.get('101/cores')?.jumps });
  });

  it('brings back the rise', () => {
    const back = takeDemandModels(saved);
    expect(back.get('101/cores')?.rise).toBe(all.get('101/cores')?.rise);
    expect(back.get('101/cores')?.rise).toBeGreaterThan(0);
  });

  it.each([
    undefined,
    {},
    { version: 2, of: [] },
    { version: 1, of: [['101/cores', {}], 7, ['x/cores', null]] },
    { version: 1, of: [['101/cores', { ...Object(saved), recent: repeated(1, 99) }]] },
  ])('is left alone where it is not whole: %j', (broken) => {
    const back = takeDemandModels(broken);
    expect(back.size).toBe(0);
  });
});
