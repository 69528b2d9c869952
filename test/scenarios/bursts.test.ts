import { describe, expect, it } from 'vitest';
import { play } from './drive.ts';
import { figures, note, printFigures } from './figures.ts';
import { bursts, container, HOUR, MINUTE } from './habits.ts';

printFigures();

const QUIET = { cpuCores: 0.6, anonMib: 700 };
const BURST = { cpuCores: 3.5, anonMib: 900 };
const CONTAINERS = 8;

/** What they hold, as a multiple of what they use; docs/decisions.md has the goal. */
const MODES = [
  { mode: 'threshold', most: 5.8, starvedS: 1070 },
  { mode: 'adaptive', most: 3.8, starvedS: 270 },
];

describe('bursts of ten minutes an hour', () => {
  it.each(MODES)('hold and starve no more than today: $mode', async ({ mode, most, starvedS }) => {
    const demand = bursts(HOUR, 10 * MINUTE, QUIET, BURST);
    const guests = Array.from({ length: CONTAINERS }, (_, index) =>
      container(101 + index, (at, age) => demand(at + index * 7 * MINUTE, age)),
    );
    const played = await play({
      yaml: `DEFAULT: {scaling_mode: ${mode}}\n`,
      host: { cpus: 64, memoryMib: 65_536 },
      guests,
      forMs: 24 * HOUR,
      stepMs: 2500,
    });
    const found = figures(`bursts, ${CONTAINERS} containers, a day: ${mode}`, played);
    const { allocatedCoreMs, usedCoreMs } = played.node.scores.total();
    note(`core-hours over used: ${(allocatedCoreMs / usedCoreMs).toFixed(2)}`);
    expect(allocatedCoreMs / usedCoreMs).toBeLessThanOrEqual(most);
    expect(found.starvedCpuS).toBeLessThanOrEqual(starvedS);
    expect(found.oomKills).toBe(0);
  });
});
