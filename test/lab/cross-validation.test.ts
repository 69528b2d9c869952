import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Demand, TRACE_BOUNDS } from '../../src/lab/demand.ts';
import type { Played } from '../../src/lab/replay.ts';
import { totalOf, trial } from '../../src/lab/trial.ts';
import { halvesOf } from './halves.ts';
import { daemon, hasTraces, made, recorded } from './traces.ts';

/**
 * Memory in mode `adaptive`, with the containers that its constants were fitted on and those that
 * they have never seen shown apart; and on the same demand in other shapes, none of which they were
 * fitted on. A recording of a day is the first day of each container, in which nothing goes below
 * what `memory-pace.ts` keeps. Six steps of the recorded trace want more than the maximum: 0.010 %.
 */

/** One replay takes a few seconds on a quiet machine. */
const LONG = { timeout: 180_000 };

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
  readonly fitted: Point;
  readonly heldOut: Point;
}

/** Some containers at a time, so that the test runner is heard in between. */
const AT_ONCE = 20;

async function apart(name: string, demands: readonly Demand[], how = 'normal'): Promise<Apart> {
  const containers: Played[] = [];
  for (let from = 0; from < demands.length; from += AT_ONCE) {
    const some = demands.slice(from, from + AT_ONCE);
    containers.push(...trial(some, daemon('adaptive', how), TRACE_BOUNDS).containers);
    await setImmediate();
  }
  const halves = halvesOf(demands);
  const only = (names: ReadonlySet<string>): Point =>
    memoryOf(totalOf(containers.filter((one) => names.has(one.name))));
  const figures = {
    all: memoryOf(totalOf(containers)),
    fitted: only(halves.fitted),
    heldOut: only(halves.heldOut),
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

describe.skipIf(!hasTraces)('memory, with what was fitted and what was not apart', () => {
  afterAll(() => {
    const head = ['all', 'fitted', 'held out'].map((name) => name.padStart(6).padEnd(22)).join('');
    const title = 'slack %, OOM %, sets/day'.padEnd(24);
    process.stdout.write(`${title}${head}\n${rows.join('\n')}\n`);
  });

  let demands: readonly Demand[] = [];
  beforeAll(async () => {
    demands = await recorded('google-2011');
  });

  it('does no worse on containers that it has never seen', LONG, async () => {
    const halves = halvesOf(demands);
    expect(halves.fitted.size + halves.heldOut.size).toBe(demands.length);
    const { all, fitted, heldOut } = await apart('normal', demands);
    expectWithin(all, 51.5, 0.02, 2);
    expectWithin(fitted, 52.5, 0.03, 2);
    expectWithin(heldOut, 51, 0.01, 2);
  });

  it('gives up slack for safety as behaviour says', LONG, async () => {
    const { heldOut } = await apart('conservative', demands, 'conservative');
    expectWithin(heldOut, 57, 0.01, 3);
  });

  it('gives up safety for slack as behaviour says', LONG, async () => {
    const { heldOut } = await apart('aggressive', demands, 'aggressive');
    expectWithin(heldOut, 49, 0.01, 3);
  });

  it('holds on the same demand backwards', LONG, async () => {
    const backwards = shaped(demands, (memory) => memory.reverse());
    expectWithin((await apart('backwards', backwards)).all, 51.5, 0.03, 2);
  });

  it('holds on the same demand in another order', LONG, async () => {
    const shuffled = shaped(demands, inBlocks);
    expectWithin((await apart('three hours shuffled', shuffled)).all, 51.5, 0.02, 2);
  });
});
