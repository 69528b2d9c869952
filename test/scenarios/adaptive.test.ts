import { describe, expect, it } from 'vitest';
import type { Vmid } from '../../src/core/units.ts';
import { type Played, play, type Scenario } from './drive.ts';
import { type Figures, figures, printFigures } from './figures.ts';
import { container, dayRhythm, HOUR, leak, ramp, squareWave } from './habits.ts';

printFigures();

/** The same demand for both modes; the invariants hold for either. */
async function both(
  name: string,
  scenario: Omit<Scenario, 'yaml'>,
): Promise<{ readonly threshold: Figures; readonly adaptive: Figures; readonly played: Played }> {
  const by = (mode: string): Promise<Played> =>
    play({ ...scenario, yaml: `DEFAULT: {scaling_mode: ${mode}}\n` });
  const threshold = figures(`${name}: threshold`, await by('threshold'));
  const played = await by('adaptive');
  return { threshold, adaptive: figures(`${name}: adaptive`, played), played };
}

describe('mode adaptive on the simulated node', () => {
  it('a square wave of CPU', async () => {
    const wave = squareWave(HOUR, { cpuCores: 0.3, anonMib: 700 }, { cpuCores: 3.5, anonMib: 900 });
    const { threshold, adaptive } = await both('square wave, 12 h', {
      guests: [container(101, wave)],
      forMs: 12 * HOUR,
    });
    expect(adaptive.oomKills).toBe(0);
    expect(adaptive.starvedCpuS).toBeLessThan(threshold.starvedCpuS);
  });

  it('a ramp', async () => {
    const low = { cpuCores: 0.4, anonMib: 400 };
    const demand = ramp(HOUR, 4 * HOUR, low, { cpuCores: 6, anonMib: 6000 });
    const { adaptive } = await both('ramp, 8 h', {
      guests: [container(101, demand)],
      forMs: 8 * HOUR,
    });
    expect(adaptive.oomKills).toBe(0);
    expect(adaptive.starvedCpuS).toBeLessThanOrEqual(60);
  });

  it('a leak', async () => {
    const { threshold, adaptive } = await both('leak, 12 h', {
      guests: [container(101, leak(200))],
      forMs: 12 * HOUR,
    });
    expect(adaptive.oomKills).toBeLessThanOrEqual(threshold.oomKills);
  });

  it('days with a rhythm', async () => {
    const low = { cpuCores: 0.3, anonMib: 600 };
    const demand = dayRhythm(14, low, { cpuCores: 5, anonMib: 2400 });
    const { threshold, adaptive } = await both('day rhythm, 3 days', {
      guests: [container(101, demand)],
      forMs: 72 * HOUR,
      stepMs: 5000,
    });
    expect(adaptive.oomKills).toBe(0);
    expect(adaptive.coresUsed).toBeGreaterThanOrEqual(threshold.coresUsed);
  });

  it('much file cache, and a restart of the daemon in between', async () => {
    const demand = () => ({ cpuCores: 0.5, anonMib: 500, fileSetMib: 3000 });
    const { adaptive, played } = await both('page cache, 12 h', {
      guests: [container(101, demand, { memoryMib: 8192 })],
      forMs: 12 * HOUR,
      restarts: [{ atMs: 6 * HOUR, downMs: HOUR / 60 }],
    });
    expect(adaptive.oomKills).toBe(0);
    expect(played.state.guests.get(101 as Vmid)?.memory.model?.slots).toBeGreaterThan(120);
  });
});
