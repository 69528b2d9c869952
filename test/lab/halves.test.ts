import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Demand, TRACE_BOUNDS } from '../../src/lab/demand.ts';
import { halvesOf } from '../../src/lab/halves.ts';
import type { Played } from '../../src/lab/replay.ts';
import { totalOf, trial } from '../../src/lab/trial.ts';
import { daemon, hasTraces, made, recorded } from './traces.ts';

/**
 * Memory in mode `adaptive`, in two halves by a hash of the name, and on the same demand in other
 * shapes. Its constants were chosen with all of this in view: it shows how much the figures differ
 * by chance, not what they come to on demand that nobody has seen. The recording has the first day
 * of each container, in which three times the room for a leap is kept. Six of its steps want more
 * than the maximum: 0.010 %.
 */

/** One replay takes a few seconds on a quiet machine. */

const rows: string[] = [];

interface Point {
  /** In percent. */
  readonly slack: number;
  readonly outOfMemory: number;
  readonly resizes: number;
}

function memoryOf(of: ReturnType<typeof totalOf>): Point {
  const { slack, short, resizesPerDay } = of.memory ?? { slack: 1, short: 1, resizesPerDay: 99 };
  return { slack: slack * 100, outOfMemory: short * 100, resizes: resizesPerDay };
}

const words = ({ slack, outOfMemory, resizes }: Point): string =>
  `${slack.toFixed(1).padStart(6)} ${outOfMemory.toFixed(3)} ${resizes.toFixed(1)}`;

interface Apart {
  readonly all: Point;
  readonly one: Point;
  readonly other: Point;
}

/** Some containers at a time, so that the test runner is heard in between. */
const AT_ONCE = 20;

async function apart(name: string, demands: readonly Demand[]): Promise<Apart> {
  const containers: Played[] = [];
  for (let from = 0; from < demands.length; from += AT_ONCE) {
    const some = demands.slice(from, from + AT_ONCE);
    containers.push(...trial(some, daemon('adaptive'), TRACE_BOUNDS).containers);
    await setImmediate();
  }
  const halves = halvesOf(demands);
  const only = (names: ReadonlySet<string>): Point =>
    memoryOf(totalOf(containers.filter((one) => names.has(one.name))));
  const figures = {
    all: memoryOf(totalOf(containers)),
    one: only(halves.one),
    other: only(halves.other),
  };
  const cells = Object.values(figures).map((point) => words(point).padEnd(22));
  rows.push(`${name.padEnd(24)}${cells.join('')}`);
  return figures;
}

function expectWithin(point: Point, slack: number, outOfMemory: number, resizes: number): void {
  expect(point.slack).toBeLessThanOrEqual(slack);
  expect(point.outOfMemory).toBeLessThanOrEqual(outOfMemory);
  expect(point.resizes).toBeLessThanOrEqual(resizes);
}

/** The same demand in another order or size; the CPU plays no part here. */
function shaped(demands: readonly Demand[], shape: (memory: number[]) => number[]): Demand[] {
  return demands.map(({ name, memory }) => {
    const values = shape([...(memory ?? [])]);
    return made(name, Array<number>(values.length).fill(1), values);
  });
}

const THREE_HOURS = 36;
/** The eight parts of a day, in an order in which none follows the one that it followed. */
const ORDER = [5, 2, 7, 0, 4, 1, 6, 3];

const inBlocks = (memory: number[]): number[] =>
  ORDER.flatMap((part) => memory.slice(part * THREE_HOURS, (part + 1) * THREE_HOURS));

describe.skipIf(!hasTraces)('memory, by halves and in other shapes', () => {
  afterAll(() => {
    const head = ['all', 'one half', 'the other half']
      .map((name) => name.padStart(6).padEnd(22))
      .join('');
    const title = 'slack %, OOM %, sets/day'.padEnd(24);
    process.stdout.write(`${title}${head}\n${rows.join('\n')}\n`);
  });

  let demands: readonly Demand[] = [];
  beforeAll(async () => {
    demands = await recorded('google-2011');
  });

  it('keeps either half within its figures', async () => {
    const halves = halvesOf(demands);
    expect(halves.one.size + halves.other.size).toBe(demands.length);
    const { all, one, other } = await apart('normal', demands);
    expectWithin(all, 46.5, 0.035, 5.5);
    expectWithin(one, 48.5, 0.05, 5.5);
    expectWithin(other, 44.5, 0.02, 6);
  });

  it('holds on the same demand backwards', async () => {
    const backwards = shaped(demands, (memory) => memory.reverse());
    expectWithin((await apart('backwards', backwards)).all, 46.5, 0.03, 5.5);
  });

  it('holds on the same demand in another order', async () => {
    const shuffled = shaped(demands, inBlocks);
    expectWithin((await apart('three hours shuffled', shuffled)).all, 46.5, 0.04, 6);
  });
});
