import { describe, expect, test } from 'vitest';
import { drawCommandFault } from './command-faults.ts';
import { drawFileFault } from './file-faults.ts';
import { Random } from './random.ts';
import { configurationOf, MANAGED } from './stage.ts';
import { runTrial } from './trial.ts';

/**
 * The bounded part of `npm run test:faults`: the real program on a simulated node, with all that
 * can go wrong around it going wrong. What must hold is in `watch.ts`.
 */

const LIMIT_MS = 600_000;

describe('with faults at every touch of the outside', () => {
  test.each(['1', '101', 'g10', 'v1'])(
    'nothing is hurt, and all is told (seed %s)',
    async (seed) => {
      const { broken, cycles, faulty, changes, met } = await runTrial({ seed, cycles: 100 });
      expect(broken).toEqual([]);
      expect(cycles).toBeGreaterThanOrEqual(100);
      // A trial in which hardly anything happens would show nothing.
      expect(faulty).toBeGreaterThan(20);
      expect(changes).toBeGreaterThan(10);
      expect(met.size).toBeGreaterThan(10);
    },
    LIMIT_MS,
  );
});

test('chance comes out the same for the same words, and meets every fault', () => {
  const names = (seed: string): string[] => {
    const random = new Random(seed);
    const files = Array.from(
      { length: 3000 },
      () => drawFileFault(random, { containers: MANAGED }).name,
    );
    const commands = Array.from({ length: 300 }, () => drawCommandFault(random).name);
    return [...files, ...commands];
  };
  expect(names('1')).toEqual(names('1'));
  expect(names('1')).not.toEqual(names('2'));
  expect(new Set(names('1')).size).toBeGreaterThan(45);
  expect(configurationOf('1', 0)).not.toBe(configurationOf('1', 1));
});
