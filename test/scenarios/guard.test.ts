import { describe, expect, it } from 'vitest';
import { play } from './drive.ts';
import { figures, note, printFigures } from './figures.ts';
import { container, HOUR, MINUTE, SECOND } from './habits.ts';

printFigures();

const QUIET_MIB = 400;
const FACTORS = [2, 3, 4, 6];
const PER_FACTOR = 6;
const ROOMY = { cpus: 32, memoryMib: 131_072 };

/** Quiet for a day and an hour, and from one moment on a multiple of it: kills by the multiple. */
async function leaps(mode: string, guard: boolean): Promise<readonly number[]> {
  const factors = FACTORS.flatMap((factor) => Array<number>(PER_FACTOR).fill(factor));
  // Three seconds after a sample, and minutes after a cycle.
  const quietMs = 25 * HOUR + 2 * MINUTE + 3 * SECOND;
  const guests = factors.map((factor, index) =>
    container(101 + index, (at) => ({
      cpuCores: 0.3,
      anonMib: QUIET_MIB * (at < quietMs ? 1 : factor),
    })),
  );
  const yaml = `scaling_mode: ${mode}, behaviour: aggressive, memory_guard: ${guard}`;
  const played = await play({
    yaml: `DEFAULT: {${yaml}}\n`,
    host: ROOMY,
    guests,
    forMs: quietMs + 15 * MINUTE,
    stepMs: 1000,
  });
  const found = figures(`leaps of ${mode}, aggressive, memory_guard: ${guard}`, played);
  const kills = FACTORS.map((_, index) =>
    guests
      .slice(index * PER_FACTOR, (index + 1) * PER_FACTOR)
      .map(({ vmid }) => played.node.scores.of(vmid).oomKills)
      .reduce((sum, each) => sum + each, 0),
  );
  const after = played.node.sets.filter(({ atMs }) => atMs >= quietMs).map(({ atMs }) => atMs);
  const firstS = (Math.min(...after) - quietMs) / 1000;
  note(`kills of leaps to 2, 3, 4 and 6 x: ${kills.join(', ')}`);
  note(`first growth after ${firstS} s; ${found.starvedMemoryS} s short of memory in all`);
  expect(played.broken).toEqual([]);
  return kills;
}

const MODES = [
  { mode: 'threshold', without: [0, 0, 6, 6], guarded: [0, 0, 0, 6] },
  { mode: 'adaptive', without: [0, 12, 12, 21], guarded: [0, 0, 0, 6] },
];

describe('memory that leaps past its limit within a moment', () => {
  it.each(MODES)('is killed less often with a guard: $mode', async (one) => {
    expect(await leaps(one.mode, false)).toEqual(one.without);
    expect(await leaps(one.mode, true)).toEqual(one.guarded);
  });
});
