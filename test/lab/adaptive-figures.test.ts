import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TRACE_BOUNDS } from '../../src/lab/demand.ts';
import type { Figures } from '../../src/lab/score.ts';
import { type Trial, trial } from '../../src/lab/trial.ts';
import { breathe } from '../patience.ts';
import { daemon, daemonWith, hasTraces, PART, recorded } from './traces.ts';

/**
 * What mode `adaptive` reaches on recorded demand, run through the daemon's own code. The tables of
 * docs/adaptive.md are compared with it digit by digit.
 */

const page = readFileSync(new URL('../../docs/adaptive.md', import.meta.url), 'utf8');
const cellsOf = (line: string): string[] => line.split('|').map((cell) => cell.trim());

/** The settings of the second table: `behaviour`, and halfway between two of its values. */
const SETTINGS = [
  { stepFactor: 0.5, how: ', conservative' },
  { stepFactor: Math.SQRT1_2 },
  { stepFactor: 1, how: '' },
  { stepFactor: Math.SQRT2 },
  { stepFactor: 2, how: ', aggressive' },
];

const percent = (share: number, digits: number): string => `${(share * 100).toFixed(digits)} %`;

const rowOf = ({ slack, short, resizesPerDay }: Figures, digits: number): string[] => [
  percent(slack, 1),
  percent(short, digits),
  resizesPerDay.toFixed(1),
];

/** The rows of mode `adaptive` in the first table: how careful it is, and the figures. */
function firstTable(file: string): string[][] {
  const lines = page.split('\n');
  const first = lines.findIndex((line) => line.startsWith(`| ${file},`));
  const more = lines.slice(first + 1).findIndex((line) => !line.startsWith('| |'));
  return lines.slice(first, first + 1 + more).flatMap((line) => {
    const [, , policy = '', ...figures] = cellsOf(line.replaceAll('**', ''));
    const [, how] = /^`adaptive`(.*)$/.exec(policy) ?? [];
    return how === undefined ? [] : [[how, ...figures.slice(0, 6)]];
  });
}

/** A row of the second table, as slack and short steps of each setting. */
function secondTable(file: string, what: string): string[] {
  const line = page.split('\n').find((row) => row.startsWith(`| ${file}, ${what} |`)) ?? '';
  return cellsOf(line).slice(2, -1);
}

/** With as many digits behind the point as the page has. */
function pair({ slack, short }: Figures, like: string): string {
  const digits = like.split('.').at(-1)?.length ?? 0;
  const shown = (short * 100).toFixed(digits).replace(/^0\./, '.');
  return `${(slack * 100).toFixed(1)} / ${shown}`;
}

/** What lies halfway is replayed on two of them: a replay takes three seconds. */
const RECORDINGS = [
  { file: 'google-2011', halfway: false },
  { file: 'google-long', halfway: true },
  { file: 'google-long-whole', halfway: true },
  { file: 'planetlab-2011', halfway: false },
  { file: 'ec2-2014', halfway: false },
];

describe.skipIf(!hasTraces)('the figures of docs/adaptive.md', () => {
  it.each(RECORDINGS)('are those of $file', { timeout: 300_000 }, async ({ file, halfway }) => {
    const demands = await recorded(file);
    const found: (Trial | undefined)[] = [];
    for (const { stepFactor, how } of SETTINGS) {
      await breathe();
      const isLeftOut = how === undefined && !halfway;
      const policy = daemonWith('adaptive', stepFactor);
      found.push(isLeftOut ? undefined : trial(demands, policy, TRACE_BOUNDS));
    }
    const rows = SETTINGS.flatMap(({ how }, index) => {
      const one = found[index];
      if (how === undefined || one === undefined) return [];
      const memory = one.memory === undefined ? ['', '', ''] : rowOf(one.memory, 3);
      return [[how, ...rowOf(one.cpu, 2), ...memory]];
    });
    expect(firstTable(file)).toEqual(rows);
    for (const what of ['CPU', 'memory'] as const) {
      const cells = secondTable(file, what);
      if (cells.length === 0) continue;
      const figures = found.map((one) => (what === 'CPU' ? one?.cpu : one?.memory));
      expect(cells).toEqual(
        cells.map((cell, at) => (figures[at] === undefined ? cell : pair(figures[at], cell))),
      );
    }
  });
});

it('comes to the same on the part of a recording that is in the repository', async () => {
  const { cpu, memory } = trial(await recorded(PART), daemon('adaptive'), TRACE_BOUNDS);
  expect(rowOf(cpu, 2)).toEqual(['33.7 %', '0.10 %', '2.9']);
  expect(memory && rowOf(memory, 3)).toEqual(['47.8 %', '0.000 %', '5.3']);
});
