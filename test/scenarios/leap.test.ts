import { describe, expect, it } from 'vitest';
import { play } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { container, HOUR } from './habits.ts';

printFigures();

const FACTORS = [1.5, 2, 3, 6];
const PER_FACTOR = 6;
const QUIET_MIB = 400;
/** Enough for all of them, also where some get twice what they had. */
const ROOMY = { cpus: 32, memoryMib: 131_072 };

/**
 * 24 containers that use 400 of 2048 MB, and from one moment on a multiple of that, which is faster
 * than any sample sees it. How often each was killed, by the multiple.
 */
async function leaps(mode: string, quietMs: number): Promise<ReadonlyMap<number, number[]>> {
  const factors = FACTORS.flatMap((factor) => Array<number>(PER_FACTOR).fill(factor));
  const guests = factors.map((factor, index) =>
    container(101 + index, (at) => ({
      ...{ cpuCores: 0.3, anonMib: QUIET_MIB * (at < quietMs ? 1 : factor) },
    })),
  );
  const played = await play({
    yaml: `DEFAULT: {scaling_mode: ${mode}}\n`,
    ...{ host: ROOMY, guests, forMs: quietMs + 0.25 * HOUR, stepMs: 10_000 },
  });
  figures(`leaps to 1.5, 2, 3 and 6 x after ${quietMs / HOUR} h: ${mode}`, played);
  const kills = new Map<number, number[]>();
  for (const [index, factor] of factors.entries()) {
    const { oomKills } = played.node.scores.of(101 + index);
    kills.set(factor, [...(kills.get(factor) ?? []), oomKills]);
  }
  return kills;
}

const cases = ['threshold', 'boost', 'adaptive'].flatMap((mode) =>
  [1, 3, 25].map((hours) => ({ mode, hours })),
);

describe('memory that leaps within a moment', () => {
  it.each(cases)(
    'fits up to three times the use; a kill for six times: $mode, after $hours h',
    { timeout: 120_000 },
    async ({ mode, hours }) => {
      const kills = await leaps(mode, hours * HOUR);
      for (const factor of [1.5, 2, 3]) {
        expect([factor, kills.get(factor)]).toEqual([factor, Array(PER_FACTOR).fill(0)]);
      }
      expect(Math.max(...(kills.get(6) ?? []))).toBeLessThanOrEqual(1);
    },
  );
});
