import { describe, expect, it } from 'vitest';
import type { DemandAt } from '../../src/sim/plant.ts';
import { type Played, play } from './drive.ts';
import { figures, note, printFigures } from './figures.ts';
import { bursts, container, HOUR, MINUTE } from './habits.ts';

printFigures();

const QUIET = { cpuCores: 0.6, anonMib: 700 };
const BURST = { cpuCores: 3.5, anonMib: 900 };
const CONTAINERS = 8;

/** What they hold, as a multiple of what they use; docs/decisions.md has the goal. */
const MODES = [
  { mode: 'threshold', most: 5.8, starvedS: 1070, changes: 200 },
  { mode: 'adaptive', most: 2.5, starvedS: 270, changes: 8 * 50 },
];

describe('bursts of ten minutes an hour', () => {
  it.each(MODES)('hold and starve no more than today: $mode', async (one) => {
    const { mode, most, starvedS, changes } = one;
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
    expect(found.changes).toBeLessThanOrEqual(changes);
  });

  /** When the bursts come from then on, or that none does. */
  const changed: readonly { readonly how: string; readonly later: number | undefined }[] = [
    { how: 'come 25 minutes later', later: 25 * MINUTE },
    { how: 'stop', later: undefined },
  ];

  it.each(changed)('cost one answer, in mode adaptive, if they $how', async ({ how, later }) => {
    const demand = bursts(HOUR, 10 * MINUTE, QUIET, BURST);
    const after = later === undefined ? () => QUIET : (at: number) => demand(at - later, 0);
    const habit: DemandAt = (at, age) => (at < 12 * HOUR ? demand(at, age) : after(at));
    const playedFor = (hours: number): Promise<Played> =>
      play({
        yaml: 'DEFAULT: {scaling_mode: adaptive}\n',
        guests: [container(101, habit)],
        forMs: hours * HOUR,
        stepMs: 2500,
      });
    const before = figures(`bursts, 12 h: adaptive`, await playedFor(12));
    const played = await playedFor(24);
    const { starvedCpuS } = figures(`bursts that ${how}, 24 h: adaptive`, played);
    expect(starvedCpuS - before.starvedCpuS).toBeLessThanOrEqual(40);
    const cores = played.node.config(101)?.cores;
    if (later === undefined) expect(cores).toBe(1);
  });
});
