import { describe, expect, it } from 'vitest';
import { TRACE_BOUNDS } from '../../src/lab/demand.ts';
import { trial } from '../../src/lab/trial.ts';
import { fitLogistic } from './logistic.ts';
import { coresPolicy, fittedTo, rowsOf, TODAY } from './risk-fit.ts';
import { daemon, made, PART, recorded } from './traces.ts';

/** Numbers from 0 to 1 that are the same in each run. */
function chance(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

describe('a fit', () => {
  it('finds the coefficients that made-up data were drawn with', () => {
    const drawn = [1.5, -2, 0.5];
    const next = chance();
    const count = 40_000;
    const factors = new Float64Array(count * drawn.length);
    const labels = new Uint8Array(count);
    const weights = new Float64Array(count);
    for (let row = 0; row < count; row += 1) {
      const seen = [next() * 2 - 1, next() * 2 - 1, 1];
      factors.set(seen, row * drawn.length);
      const score = drawn.reduce((sum, one, at) => sum + one * (seen[at] ?? 0), 0);
      const cameAbout = next() < 1 / (1 + Math.exp(-score));
      // What counts for nothing says the opposite.
      weights[row] = row % 4 === 0 ? 0 : 1 + (row % 2);
      labels[row] = cameAbout === (weights[row] !== 0) ? 1 : 0;
    }
    const found = fitLogistic({ factors, labels, weights });
    drawn.forEach((one, at) => {
      expect(Math.abs((found[at] ?? 0) - one)).toBeLessThan(0.08);
    });
  });

  it('takes the next five minutes as what came about, and weighs by the swing', () => {
    const { labels, weights, factors } = rowsOf(
      [made('a', [...Array<number>(9).fill(0.5), 2.5])],
      true,
    );
    // After six slots, at 1 to 4 cores each: the last time more than two were wanted.
    expect([...labels]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0]);
    expect(factors.length).toBe(labels.length * 12);
    // Eight changes of nothing, and six slots of a swing of 0.2 that all are taken for at first.
    expect(weights.at(-1)).toBeGreaterThan(1 / 0.1);
    expect(weights.at(-1)).toBeLessThan(1 / 0.05);
  });
});

describe('the replay of CPU alone', () => {
  it('comes to what the daemon comes to, with the coefficients of today', async () => {
    const demands = (await recorded(PART)).map(({ name, cpu }) => made(name, [...cpu]));
    const { cpu } = trial(demands, coresPolicy(TODAY, 1), TRACE_BOUNDS);
    expect(cpu).toEqual(trial(demands, daemon('adaptive'), TRACE_BOUNDS).cpu);
  });

  it('goes by the coefficients, the two more factors and the price that it is given', async () => {
    const demands = (await recorded(PART)).map(({ name, cpu }) => made(name, [...cpu]));
    const slackOf = (...[fitted, price]: Parameters<typeof coresPolicy>): number =>
      trial(demands, coresPolicy(fitted, price), TRACE_BOUNDS).cpu.slack;
    const today = slackOf(TODAY, 1);
    expect(slackOf(TODAY, 4)).toBeGreaterThan(today);
    expect(slackOf({ ...TODAY, more: [-1, 0] }, 1)).toBeLessThan(today);
    expect(slackOf({ ...TODAY, more: [0, 1] }, 1)).toBeLessThan(today);
    const fitted = fittedTo(rowsOf(demands, true));
    expect(fitted.more).toHaveLength(2);
    expect(slackOf(fitted, 1)).toBeGreaterThan(0.2);
    expect(slackOf(fitted, 1)).toBeLessThan(0.5);
  });
});
