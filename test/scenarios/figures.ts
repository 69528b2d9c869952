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

/** A line of its own in the table. */
export function note(line: string): void {
  rows.push(line);
}

/** Prints the table of a file once its tests are over. */
export function printFigures(): void {
  afterAll(() => {
    process.stdout.write(`${''.padEnd(64)}${HEADINGS}\n${rows.join('\n')}\n`);
  });
}
