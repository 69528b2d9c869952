import { expect, test } from 'vitest';
import { type FarResult, runFarTrial } from './far-trial.ts';

/**
 * A node behind its API, with all that can go wrong between it and the program going wrong. What
 * must hold is in `far-watch.ts`. `npm run test:network` is the long form.
 */

const LIMIT_MS = 3_600_000;
const CYCLES = Number(process.env['FAR_CYCLES'] ?? 0);
const FIRST = Number(process.env['FAR_FIRST'] ?? 1);
const CYCLES_A_TRIAL = 250;
const CYCLES_OF_DAYS = 700;

const words = ({ seed, cycles, faulty, puts, confirmed, shrinks, requests, starts }: FarResult) =>
  `seed ${seed}: ${cycles} cycles (${faulty} faulty), ${requests} requests, ${puts} changes, ` +
  `${confirmed} confirmed, ${shrinks} shrinks, ${starts} starts`;

function seeds(): readonly (readonly [seed: string, cycles: number])[] {
  if (CYCLES === 0) return [['1', 60] as const, ['2', 60] as const];
  const all: (readonly [string, number])[] = [];
  for (let seed = FIRST, left = CYCLES; left > 0; seed += 1) {
    const isOfDays = seed % 5 === 0;
    const cycles = isOfDays ? CYCLES_OF_DAYS : Math.min(left, CYCLES_A_TRIAL);
    all.push([isOfDays ? `u${seed}` : String(seed), cycles]);
    left -= cycles;
  }
  return all;
}

test.each(seeds())(
  'nothing is hurt over the network, and all is told (seed %s)',
  async (seed, cycles) => {
    const result = await runFarTrial(seed, cycles);
    if (CYCLES > 0) console.log(words(result));
    expect(result.broken).toEqual([]);
    expect(result.cycles).toBe(cycles);
    // A trial in which hardly anything happens would show nothing.
    expect(result.faulty).toBeGreaterThan(cycles / 20);
    expect(result.confirmed).toBeGreaterThan(cycles / 50);
    expect(result.met.size).toBeGreaterThan(10);
  },
  LIMIT_MS,
);
