import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Rise, risen, riseStage, withRise } from '../../src/core/memory-rise.ts';
import { thresholdMemory, type Verdict } from '../../src/core/policies/threshold.ts';
import { measured, memoryUse, policy } from './builders.ts';

const MOST = 16_384;

/** What a rise makes of a container that the other rules would leave as it is. */
function answered(before: number, rise: Rise, max = MOST): Verdict {
  const inBand: Verdict = {
    verdict: 'hold',
    because: { kind: 'in-band' },
    measured: measured({ before, used: rise.mib, min: 512, max, need: rise.mib }),
  };
  return withRise(inBand, rise);
}

describe('the sample results in the comment', () => {
  const source = readFileSync(new URL('../../src/core/memory-rise.ts', import.meta.url), 'utf8');
  const rows = source.split('\n').flatMap((line) => {
    const cells = line.split('|').slice(1, 5).map(Number);
    return cells.length === 4 && cells.every(Number.isFinite) ? [cells] : [];
  });

  it('are five', () => expect(rows.length).toBe(5));
  it.each(rows)('has %i, %i in use, %i a second: %i', (has = 0, used = 0, slope = 0, becomes) => {
    const verdict = answered(has, { mib: used, mibPerS: slope, samples: 2 });
    expect(verdict.verdict === 'hold' ? has : verdict.after).toBe(becomes);
  });
});

describe('memory that rises fast', () => {
  it('takes the slope from sample to sample, smoothed over ten seconds', () => {
    const first = risen(undefined, 400, 10_000);
    expect(first).toEqual({ mib: 400, mibPerS: 0, samples: 0 });
    const second = risen(first, 500, 10_000);
    expect(second.mibPerS).toBeCloseTo(10 * (1 - Math.exp(-1)));
    expect(risen(second, 500, 10_000).mibPerS).toBeCloseTo(second.mibPerS * Math.exp(-1));
    expect(risen(second, 900, 0)).toBe(second);
    expect(risen(second, 500, 199)).toBe(second);
  });

  it('is watched more closely before it is urgent', () => {
    const rise = { mib: 700, mibPerS: 6, samples: 2 };
    expect(riseStage(rise, 1024)).toBe('watched');
  });

  it('falls, and is none', () => {
    expect(riseStage({ mib: 1020, mibPerS: -5, samples: 0 }, 1024)).toBe('calm');
  });

  it('is no leap that is over by the next sample', () => {
    const quiet = risen(undefined, 400, 10_000);
    const leapt = risen(quiet, 1400, 10_000);
    expect(riseStage(leapt, 2288)).toBe('watched');
    expect(riseStage(risen(leapt, 1400, 2500), 2288)).toBe('watched');
    expect(riseStage(risen(leapt, 1650, 2500), 2288)).toBe('urgent');
  });

  it('never passes the maximum, and asks for nothing there', () => {
    const rise = { mib: 900, mibPerS: 60, samples: 2 };
    expect(answered(1024, rise, 1536)).toMatchObject({ after: 1536, limits: ['maximum'] });
    expect(answered(1024, rise, 1024)).toMatchObject({ verdict: 'hold' });
  });

  it('leaves a larger growth of another rule as it is', () => {
    const killed = memoryUse(900, { newOomKills: 1 });
    const verdict = thresholdMemory(1024, MOST, killed, policy());
    expect(withRise(verdict, { mib: 900, mibPerS: 10, samples: 2 })).toBe(verdict);
  });
});
