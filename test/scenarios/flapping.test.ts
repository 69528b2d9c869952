import { describe, expect, it } from 'vitest';
import type { VirtualSet } from '../../src/sim/virtual-node.ts';
import { remembered } from '../core/builders.ts';
import { type Played, play } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { container, HOUR, MINUTE, squareWave } from './habits.ts';

printFigures();

const DAY = 24 * HOUR;
const DAYS = 3;
const LOW = { cpuCores: 0.6, anonMib: 400 };
const HIGH = { cpuCores: 3.5, anonMib: 1400 };

/** So long low and so long high. */
const alternating = (minutes: number, mode: string, forMs = DAYS * DAY): Promise<Played> =>
  play({
    yaml: `DEFAULT: {scaling_mode: ${mode}}\n`,
    guests: [container(101, squareWave(2 * minutes * MINUTE, LOW, HIGH))],
    forMs,
    stepMs: 5000,
  });

/** Changes of cores, and of memory, in the days after the first. */
function changes({ node }: Played): readonly (readonly [number, number])[] {
  const count = (sets: readonly VirtualSet[], of: 'cores' | 'memoryMib'): number =>
    sets.filter(({ request }) => request[of] !== undefined).length;
  return Array.from({ length: DAYS - 1 }, (_, index) => {
    const from = (index + 1) * DAY;
    const sets = node.sets.filter(({ atMs }) => atMs >= from && atMs < from + DAY);
    return [count(sets, 'cores'), count(sets, 'memoryMib')] as const;
  });
}

const cases = ['threshold', 'adaptive'].flatMap((mode) =>
  [5, 7, 12, 20, 30, 50].map((minutes) => ({ mode, minutes })),
);

describe('demand that alternates', () => {
  it.each(cases)('every $minutes minutes is damped within a day: $mode', async (one) => {
    const played = await alternating(one.minutes, one.mode);
    figures(`alternating every ${one.minutes} minutes, 3 days: ${one.mode}`, played);
    for (const [cores, memory] of changes(played)) {
      expect(cores).toBeLessThanOrEqual(12);
      expect(memory).toBeLessThanOrEqual(12);
    }
  });

  it('is answered with boosts in mode boost, none of which is a flap', async () => {
    const played = await alternating(20, 'boost', 6 * HOUR);
    figures('alternating every 20 minutes, 6 hours: boost', played);
    expect(played.node.sets.length).toBeGreaterThan(10);
    expect(remembered(played.state, 'taken').size).toBe(0);
  });
});

describe('a small host', () => {
  it.each([2, 4])('of %i CPUs gives a container all of them again that had them', async (cpus) => {
    const busyFrom = 4 * HOUR;
    const demand = (at: number) => ({ cpuCores: at < busyFrom ? 0.1 : cpus, anonMib: 900 });
    const guests = [container(101, demand, { cores: cpus })];
    const host = { cpus, memoryMib: 8192, baseCores: 0.05 };
    const idle = await play({ guests, host, forMs: busyFrom });
    expect(idle.node.config(101)?.cores).toBe(1);
    const played = await play({ guests, host, forMs: busyFrom + HOUR });
    figures(`all ${cpus} CPUs of the host, idle for 4 h`, played);
    expect(played.node.config(101)?.cores).toBe(cpus);
  });
});
