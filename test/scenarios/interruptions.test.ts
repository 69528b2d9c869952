import { describe, expect, it } from 'vitest';
import { type Played, play } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { container, HOUR, MINUTE, ramp, squareWave, steady } from './habits.ts';

printFigures();

describe('interruptions', () => {
  it('a container that is locked for an hour waits, and is helped once it is free', async () => {
    const demand = ramp(
      HOUR,
      HOUR + MINUTE,
      { cpuCores: 1, anonMib: 900 },
      {
        cpuCores: 3.5,
        anonMib: 1500,
      },
    );
    const played = await play({
      guests: [container(101, demand)],
      forMs: 4 * HOUR,
      events: (node) => {
        node.time.at(HOUR - MINUTE, () => node.edit(101, { lock: 'backup' }));
        node.time.at(2 * HOUR, () => node.edit(101, { lock: undefined }));
      },
    });
    const found = figures('locked for an hour, 4 h', played);
    const times = played.node.sets.map(({ atMs }) => atMs);
    expect(times.filter((at) => at >= HOUR - MINUTE && at < 2 * HOUR)).toEqual([]);
    expect(Math.min(...times.filter((at) => at >= 2 * HOUR))).toBeLessThan(2 * HOUR + 6 * MINUTE);
    expect(found.refused).toBe(0);
    expect(found.oomKills).toBe(0);
    expect(found.starvedCpuS).toBeLessThanOrEqual(3600 + 360);
  });

  it('a change that pct refuses is made later, and not asked for without end', async () => {
    const played = await play({
      guests: [container(101, steady({ cpuCores: 3 }))],
      forMs: HOUR,
      events: (node) => {
        let refusals = 2;
        node.onSet = () =>
          refusals-- > 0
            ? { kind: 'fail', exit: 255, stderr: 'CT is locked (snapshot)\n' }
            : undefined;
      },
    });
    const found = figures('pct fails twice, 1 h', played);
    expect(found.refused).toBe(2);
    expect(played.node.config(101)?.cores).toBeGreaterThan(2);
    // A minute after the first failure, two after the second; then at the next cycle.
    expect(found.starvedCpuS).toBeLessThanOrEqual(16 * 60);
  });

  const wave = squareWave(HOUR, { cpuCores: 0.3, anonMib: 700 }, { cpuCores: 3.5, anonMib: 900 });

  it('restarts and crashes change nothing of what a container gets', async () => {
    const guests = [container(101, wave)];
    const whole = await play({ guests, forMs: 6 * HOUR });
    const restarts = [70, 95, 150, 155, 200, 275].map((minute, index) => ({
      atMs: minute * MINUTE + 17_000,
      downMs: index % 2 === 0 ? 0 : 20_000,
      crash: index % 3 === 0,
    }));
    const broken = await play({ guests, forMs: 6 * HOUR, restarts });
    const expected = figures('no restart, 6 h', whole);
    const found = figures('the same, six restarts', broken);
    expect(found.oomKills).toBe(0);
    expect(found.changes).toBeLessThanOrEqual(expected.changes + 2);
    expect(found.starvedCpuS).toBeLessThanOrEqual(expected.starvedCpuS + 60);
    const coresOf = ({ node }: Played): number => node.config(101)?.cores ?? 0;
    // A whole cycle that comes within seconds of a leap takes another step than an early one.
    expect(Math.abs(coresOf(broken) - coresOf(whole))).toBeLessThanOrEqual(1);
  });

  it('a container that was stopped and started again begins anew', async () => {
    const demand = steady({ cpuCores: 0.2, anonMib: 300 });
    const played = await play({
      yaml: 'DEFAULT:\n  cooldown_seconds: 0\n',
      guests: [container(101, demand, { memoryMib: 8192 })],
      forMs: 2 * HOUR,
      events: (node) => {
        node.time.at(5 * MINUTE, () => node.stop(101));
        node.time.at(20 * MINUTE, () => node.start(101));
      },
    });
    figures('stopped for a quarter of an hour, 2 h', played);
    const first = played.node.sets.find(({ request }) => request.memoryMib !== undefined);
    expect(first?.atMs).toBeGreaterThanOrEqual(30 * MINUTE);
  });

  it('without pvestatd no core comes, and none is asked for twice', async () => {
    const played = await play({
      guests: [container(101, steady({ cpuCores: 4 }))],
      forMs: 2 * HOUR,
      events: (node) => {
        node.machine.pvestatdRuns = false;
        node.time.at(HOUR, () => {
          node.machine.pvestatdRuns = true;
        });
      },
    });
    figures('pvestatd down for an hour, 2 h', played);
    const early = played.node.sets.filter(({ atMs }) => atMs < HOUR);
    expect(early).toHaveLength(1);
    expect(played.node.lines.some((line) => line.includes('pvestatd is not applying them'))).toBe(
      true,
    );
    expect(played.node.machine.running(101)?.limits.cpus.length).toBeGreaterThanOrEqual(4);
  });
});
