import { describe, expect, it } from 'vitest';
import { missing, present } from '../../src/core/reading.ts';
import { microseconds } from '../../src/core/units.ts';
import { type Played, play } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { container, HOUR } from './habits.ts';

printFigures();

/** More one-core containers than CPUs, so that two share one: those are busy. */
const crowd = (yaml: string): Promise<Played> =>
  play({
    yaml,
    host: { cpus: 4, baseCores: 0.05 },
    forMs: 3 * HOUR,
    guests: [101, 102, 103, 104, 105].map((vmid) => {
      const cpuCores = vmid === 102 || vmid === 103 ? 1 : 0.02;
      return container(vmid, () => ({ cpuCores, anonMib: 900 }), { cores: 1 });
    }),
  });

describe('busy containers on one CPU, with others idle', () => {
  it('share it for good where nothing is done', async () => {
    const found = figures(
      'two busy of five on 4 CPUs, observed',
      await crowd('DEFAULT: {scaling_mode: observe}\n'),
    );
    expect(found.starvedCpuS).toBeGreaterThan(5 * 3600);
  });

  it.each(['threshold', 'adaptive'])(
    'get more cores in mode %s, and out of each other’s way',
    async (mode) => {
      const played = await crowd(`DEFAULT: {scaling_mode: ${mode}}\n`);
      const found = figures(`two busy of five on 4 CPUs, ${mode}`, played);
      expect(found.starvedCpuS).toBeLessThan(900);
      expect(found.changes).toBeLessThanOrEqual(8);
    },
  );

  it('a limit inside of a container looks like it, and ends with what it had', async () => {
    const demand = () => ({ cpuCores: 0.5, anonMib: 900 });
    const played = await play({
      guests: [container(101, demand, { cores: 1 })],
      forMs: 48 * HOUR,
      stepMs: 10_000,
      // Docker's own limit holds its tasks back all the time.
      events: (node) => {
        node.onSample = (_vmid, real) => {
          if (!real.cpuPressure.ok) return missing('absent', 'no pressure');
          const someTotalUs = microseconds(node.monotonicMs * 900);
          return present({
            ...real,
            cpuPressure: present({ ...real.cpuPressure.value, someTotalUs }),
          });
        };
      },
    });
    const found = figures('a CPU limit inside of a container, 2 days', played);
    const steps = played.node.sets.map(({ request }) => request.cores);
    expect(Math.max(...steps.map((cores) => cores ?? 0))).toBe(2);
    expect(played.node.config(101)?.cores).toBe(1);
    expect(found.changes).toBeLessThanOrEqual(14);
  });
});
