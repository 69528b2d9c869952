import { afterAll, expect } from 'vitest';
import type { ContainerScore } from '../../src/sim/virtual-score.ts';
import type { Played } from './drive.ts';

/** What a scenario came to, as numbers that a person can read. */

export interface Figures {
  readonly oomKills: number;
  readonly starvedCpuS: number;
  readonly starvedMemoryS: number;
  readonly changes: number;
  readonly refused: number;
  /** Used, of what was allocated, in percent. */
  readonly coresUsed: number;
  readonly memoryUsed: number;
}

const share = (used: number, allocated: number): number =>
  allocated > 0 ? Math.round((100 * used) / allocated) : 0;

function figuresOf(score: ContainerScore): Figures {
  return {
    oomKills: score.oomKills,
    starvedCpuS: Math.round(score.starvedCpuMs / 1000),
    starvedMemoryS: Math.round(score.starvedMemoryMs / 1000),
    changes: score.changes,
    refused: score.refused,
    coresUsed: share(score.usedCoreMs, score.allocatedCoreMs),
    memoryUsed: share(score.usedMibMs, score.allocatedMibMs),
  };
}

const HEADINGS = 'kills  cpu-s  mem-s  sets  fail  cores%  mem%';
const WIDTHS = [5, 7, 7, 6, 6, 8, 6];
const rows: string[] = [];

/** The figures of a scenario, of all its containers together; they go into the table as well. */
export function figures(name: string, { node, broken }: Played): Figures {
  expect(broken).toEqual([]);
  const found = figuresOf(node.scores.total());
  const cells = Object.values(found).map((value, index) =>
    String(value).padStart(WIDTHS[index] ?? 0),
  );
  rows.push(`${name.padEnd(64)}${cells.join('')}`);
  return found;
}

/** OOM kills in the machines, seconds in which one was starved, changes, kills by the host. */
const MACHINE_HEADINGS = 'kills  starved-s  qm-sets  by-host';
const MACHINE_WIDTHS = [5, 11, 9, 9];
const machineRows: string[] = [];

/** What came to the machines of a scenario goes into a table. */
export function machineFigures(name: string, { node }: Played): void {
  const guests = [...node.plant.vms.values()].map(({ guest }) => guest);
  const sum = (of: (guest: (typeof guests)[number]) => number): number =>
    guests.reduce((total, guest) => total + of(guest), 0);
  const { hostOomKills } = node.scores.total();
  const starvedS = Math.round(sum(({ starvedMs }) => starvedMs) / 1000);
  const cells = [sum(({ oomKills }) => oomKills), starvedS, node.vms.sets.length, hostOomKills];
  const shown = cells.map((value, index) => `${value}`.padStart(MACHINE_WIDTHS[index] ?? 0));
  machineRows.push(`${name.padEnd(64)}${shown.join('')}`);
}

/** A line of its own in the table. */
export function note(line: string): void {
  rows.push(line);
}

/** Prints the table of a file once its tests are over. */
export function printFigures(): void {
  afterAll(() => {
    for (const [headings, lines] of [
      [HEADINGS, rows],
      [MACHINE_HEADINGS, machineRows],
    ] as const) {
      if (lines.length > 0)
        process.stdout.write(`${''.padEnd(64)}${headings}\n${lines.join('\n')}\n`);
    }
  });
}
