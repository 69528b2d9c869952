import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { play } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { container, HOUR } from './habits.ts';

printFigures();

/** The row of docs/decisions.md that says what is played here, and what comes of it. */
const ROW = readFileSync(new URL('../../docs/decisions.md', import.meta.url), 'utf8')
  .split('\n')
  .find((line) => line.includes(' at once, after an hour or a day'));
const [, SCENE = '', , REACHED = ''] = (ROW ?? '').split('|');
const numbersOf = (text: string): number[] => [...text.matchAll(/[\d.]+/g)].map(Number);
const [CONTAINERS = 0, QUIET_MIB = 0, ...FACTORS] = numbersOf(SCENE);
const PER_FACTOR = CONTAINERS / FACTORS.length;
/** All kills of the containers that leap to each of the factors. */
const MOST_KILLS = numbersOf(REACHED);
/** Enough for all of them, also where some get twice what they had. */
const ROOMY = { cpus: 32, memoryMib: 131_072 };

/**
 * Containers of 2048 MB that use little, and from one moment on a multiple of that, which is faster
 * than any sample sees it. How often each was killed, by the multiple.
 */
async function leaps(mode: string, quietMs: number): Promise<ReadonlyMap<number, number[]>> {
  const factors = FACTORS.flatMap((factor) => Array<number>(PER_FACTOR).fill(factor));
  const guests = factors.map((factor, index) =>
    container(101 + index, (at) => ({
      cpuCores: 0.3,
      anonMib: QUIET_MIB * (at < quietMs ? 1 : factor),
    })),
  );
  const played = await play({
    yaml: `DEFAULT: {scaling_mode: ${mode}}\n`,
    host: ROOMY,
    guests,
    forMs: quietMs + 0.25 * HOUR,
    stepMs: 10_000,
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
    async ({ mode, hours }) => {
      const kills = await leaps(mode, hours * HOUR);
      expect([FACTORS.length, CONTAINERS, QUIET_MIB]).toEqual([4, 24, 400]);
      for (const [index, factor] of FACTORS.entries()) {
        const each = kills.get(factor) ?? [];
        expect(each).toHaveLength(PER_FACTOR);
        const all = each.reduce((sum, one) => sum + one, 0);
        expect(all, `${factor} times`).toBeLessThanOrEqual(MOST_KILLS[index] ?? 0);
        // After a kill it has what it asks for.
        expect(Math.max(...each)).toBeLessThanOrEqual(1);
      }
    },
  );
});
