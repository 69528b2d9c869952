import { describe, expect, it } from 'vitest';
import { play } from './drive.ts';
import { figures, note, printFigures } from './figures.ts';
import { bursts, container, dayRhythm, HOUR, MINUTE, ramp, SECOND, squareWave } from './habits.ts';

printFigures();

describe('demand that comes and goes', () => {
  it('a square wave of CPU, an hour long', async () => {
    const low = { cpuCores: 0.3, anonMib: 700 };
    const high = { cpuCores: 3.5, anonMib: 900 };
    const demand = squareWave(HOUR, low, high);
    const played = await play({ guests: [container(101, demand)], forMs: 12 * HOUR });
    const found = figures('square wave of CPU, 12 h', played);
    expect(found.oomKills).toBe(0);
    expect(found.starvedCpuS).toBeLessThanOrEqual(520);
    expect(found.changes).toBeLessThanOrEqual(52);
  });

  it('a square wave of memory, an hour long', async () => {
    const low = { cpuCores: 0.5, anonMib: 500 };
    const high = { cpuCores: 0.5, anonMib: 1700 };
    const demand = squareWave(HOUR, low, high);
    const played = await play({ guests: [container(101, demand)], forMs: 12 * HOUR });
    const found = figures('square wave of memory, 12 h', played);
    // It doubles from one second to the next, each time after half an hour of using a third.
    expect(found.oomKills).toBeLessThanOrEqual(4);
    expect(found.changes).toBeLessThanOrEqual(48);
  });

  it('from saturation to pct set: 20 s at most, whenever it begins', async () => {
    const delays: number[] = [];
    for (let offset = 600; offset < 900; offset += 13) {
      const fromMs = offset * SECOND + 700;
      const demand = (at: number) => ({ cpuCores: at < fromMs ? 0.6 : 4, anonMib: 900 });
      const { node } = await play({ guests: [container(101, demand)], forMs: 960 * SECOND });
      delays.push((node.sets[0]?.atMs ?? Number.POSITIVE_INFINITY) - fromMs);
    }
    const worst = Math.max(...delays) / SECOND;
    const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length / SECOND;
    note(`from saturation to pct set: ${mean.toFixed(1)} s on average, ${worst} s at worst`);
    expect(worst).toBeLessThanOrEqual(20);
  });

  it('a ramp, up over three hours and down again', async () => {
    const low = { cpuCores: 0.4, anonMib: 400 };
    const high = { cpuCores: 6, anonMib: 6000 };
    const up = ramp(HOUR, 4 * HOUR, low, high);
    const down = ramp(5 * HOUR, 8 * HOUR, high, low);
    const played = await play({
      guests: [container(101, (at, age) => (at < 4.5 * HOUR ? up : down)(at, age))],
      forMs: 10 * HOUR,
    });
    const found = figures('ramp, 10 h', played);
    expect(found.oomKills).toBe(0);
    expect(found.starvedCpuS).toBeLessThanOrEqual(30);
    expect(found.starvedMemoryS).toBe(0);
    expect(found.changes).toBeLessThanOrEqual(20);
  });

  it('bursts of two minutes every twenty', async () => {
    const quiet = { cpuCores: 0.2, anonMib: 500 };
    const burst = { cpuCores: 4, anonMib: 900 };
    const demand = bursts(20 * MINUTE, 2 * MINUTE, quiet, burst);
    const played = await play({ guests: [container(101, demand)], forMs: 6 * HOUR });
    const found = figures('bursts, 6 h', played);
    expect(found.oomKills).toBe(0);
    expect(found.starvedCpuS).toBeLessThanOrEqual(300);
    expect(found.changes).toBeLessThanOrEqual(40);
  });

  it('a day of twelve containers', async () => {
    const guests = Array.from({ length: 12 }, (_, index) =>
      container(
        101 + index,
        dayRhythm(
          (8 + index) % 24,
          { cpuCores: 0.2, anonMib: 600, fileSetMib: 400 },
          { cpuCores: 1.5 + (index % 4), anonMib: 1200 + 200 * index, fileSetMib: 800 },
        ),
      ),
    );
    const played = await play({ guests, host: { cpus: 32 }, forMs: 24 * HOUR, stepMs: 2500 });
    const found = figures('a day of twelve containers', played);
    expect(found.oomKills).toBe(0);
    // Some CPUs are shared by two that are busy at once until one of them is given another: 2,700 s
    // of a day of twelve. On CPUs of their own it was below 60.
    expect(found.starvedCpuS).toBeLessThanOrEqual(3000);
    expect(found.changes).toBeLessThanOrEqual(105);
    expect(found.coresUsed).toBeGreaterThanOrEqual(35);
    expect(found.memoryUsed).toBeGreaterThanOrEqual(38);
  });
});
