import { describe, expect, it } from 'vitest';
import { type Played, play, type Scenario } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { container, HOUR, MINUTE, ramp, steady } from './habits.ts';

printFigures();

const YAML = `DEFAULT:
  energy_mode: true
  off_peak_start: 22
  off_peak_end: 6
  timezone: Europe/Rome
`;
/** Within the thresholds, and with more than it needs. */
const modest = steady({ cpuCores: 1.2, anonMib: 1400, fileSetMib: 100 });
const guests = [container(101, modest, { cores: 4, memoryMib: 4096 })];

const night = (from: string, more: Partial<Scenario> = {}): Promise<Played> =>
  play({ yaml: YAML, guests, forMs: 14 * HOUR, wallStartMs: Date.parse(from), ...more });

/** Hours since the beginning, with one digit. */
const hours = (ms: number): number => Math.round((ms / HOUR) * 10) / 10;

interface Night {
  readonly takenAt: number;
  readonly givenBackAt: number;
}

function nightOf({ node }: Played): Night {
  const grows = node.sets.filter(
    ({ before, request }) => (request.cores ?? 0) > (before.cores ?? 0),
  );
  return {
    takenAt: hours(node.sets[0]?.atMs ?? Number.NaN),
    givenBackAt: hours(grows[0]?.atMs ?? Number.NaN),
  };
}

describe('energy mode', () => {
  it.each([
    ['an ordinary night', '2026-02-10T19:00:00Z', 2, 10],
    ['the night that loses an hour (March)', '2026-03-28T19:00:00Z', 2, 9],
    ['the night that has an hour twice (October)', '2026-10-24T19:00:00Z', 1, 10],
  ])('%s', async (what, from, startsAfter, endsAfter) => {
    const played = await night(from);
    const found = figures(`off-peak, ${what}`, played);
    const { takenAt, givenBackAt } = nightOf(played);
    expect(takenAt).toBeGreaterThanOrEqual(startsAfter);
    expect(takenAt).toBeLessThanOrEqual(startsAfter + 0.5);
    expect(givenBackAt).toBeGreaterThanOrEqual(endsAfter);
    expect(givenBackAt).toBeLessThanOrEqual(endsAfter + 0.2);
    const { cores, memoryMib } = played.node.config(101) ?? {};
    expect({ cores, memoryMib }).toEqual({ cores: 4, memoryMib: 4096 });
    expect(found.oomKills).toBe(0);
    expect(found.starvedCpuS).toBe(0);
    expect(found.changes).toBeLessThanOrEqual(4);
  });

  it('and thresholds do not undo each other', async () => {
    // Work that comes in the middle of the night, within half an hour.
    const demand = ramp(
      ...([6 * HOUR, 6.5 * HOUR] as const),
      { cpuCores: 0.5, anonMib: 700 },
      { cpuCores: 1.7, anonMib: 1500 },
    );
    const played = await night('2026-02-10T19:00:00Z', {
      guests: [container(101, demand, { cores: 4, memoryMib: 4096 })],
    });
    const found = figures('off-peak, with work in the night', played);
    expect(found.oomKills).toBe(0);
    expect(found.starvedCpuS).toBeLessThanOrEqual(30);
    expect(found.changes).toBeLessThanOrEqual(10);
    // What works at night keeps what it was given for it, and gets back what was taken.
    expect(played.node.config(101)?.memoryMib).toBeGreaterThan(1525 / 0.8);
    expect(played.node.config(101)?.cores).toBe(4);
  });

  it('gives back what it took though the daemon was restarted in the night', async () => {
    const played = await night('2026-02-10T19:00:00Z', {
      restarts: [
        { atMs: 4 * HOUR, crash: true },
        { atMs: 6 * HOUR, downMs: 5 * HOUR },
      ],
    });
    figures('off-peak, down from 2 to 7 in the morning', played);
    const { cores, memoryMib } = played.node.config(101) ?? {};
    expect({ cores, memoryMib }).toEqual({ cores: 4, memoryMib: 4096 });
    expect(nightOf(played).givenBackAt).toBeLessThanOrEqual(11.2);
  });

  it('leaves a value alone that an admin sets in the night', async () => {
    const played = await night('2026-02-10T19:00:00Z', {
      events: (node) => node.time.at(5 * HOUR, () => node.edit(101, { cores: 3, memory: 3000 })),
      forMs: 5 * HOUR + 50 * MINUTE,
    });
    figures('off-peak, and an admin in the night', played);
    const { cores, memoryMib } = played.node.config(101) ?? {};
    expect({ cores, memoryMib }).toEqual({ cores: 3, memoryMib: 3000 });
  });

  it('changes nothing where it is off', async () => {
    const played = await night('2026-02-10T19:00:00Z', { yaml: YAML.replace('true', 'false') });
    expect(played.node.sets).toEqual([]);
  });
});
