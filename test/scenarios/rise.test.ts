import { describe, expect, it } from 'vitest';
import { play } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { container, HOUR, ramp, SECOND } from './habits.ts';

printFigures();

const LOW = { cpuCores: 0.3, anonMib: 400 };
/** Six times the use, and more than any container has by then. */
const HIGH = { cpuCores: 0.3, anonMib: 2400 };
const QUIET = 3 * HOUR;
const PHASES = 6;
const ROOMY = { cpus: 32, memoryMib: 131_072 };

describe('memory that rises to six times the use', () => {
  it.each([
    { seconds: 60, mode: 'threshold' },
    { seconds: 60, mode: 'boost' },
    { seconds: 60, mode: 'adaptive' },
    { seconds: 300, mode: 'adaptive' },
  ])('within $seconds s is never killed: $mode', async ({ seconds, mode }) => {
    const guests = Array.from({ length: PHASES }, (_, phase) => {
      const from = QUIET + phase * 7 * SECOND;
      return container(101 + phase, ramp(from, from + seconds * SECOND, LOW, HIGH));
    });
    const yaml = `DEFAULT: {scaling_mode: ${mode}}\n`;
    const played = await play({ yaml, host: ROOMY, guests, forMs: QUIET + HOUR / 4 });
    const found = figures(`a rise to 6 x within ${seconds} s: ${mode}`, played);
    expect(found.oomKills).toBe(0);
  });
});
