import { performance } from 'node:perf_hooks';
import { PassThrough } from 'node:stream';
import type { ProcessContext } from '../../src/app/context.ts';
import { settingsOf } from '../../src/app/loop-settings.ts';
import { openWorld } from '../../src/app/world.ts';
import { type LoadResult, parseConfig } from '../../src/config/load.ts';
import { onNode } from '../../src/config/on-node.ts';
import { newLoopState, runningGuests } from '../../src/core/loop-state.ts';
import { milliseconds } from '../../src/core/units.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { Clock } from '../../src/node/port.ts';
import type { World } from '../../src/ports.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { onQuietNode } from './quiet-node.ts';

/**
 * What a quiet cycle costs, from the first file to the last guard, in microseconds per container:
 * beside only taking the samples of the same containers, in the same rounds. The readers, the log
 * and the decisions are the real ones, on the tree of a simulated node.
 */

const CONTAINERS = 100;
const WARM_UP_ROUNDS = 20;
const ROUNDS = 150;

/**
 * Goes on with the simulated node; two samples within a moment would make no rate. The wall clock
 * is the real one, by which files are kept open.
 */
let nowMs = 1_000_000;
const clock: Clock = {
  wallMs: () => milliseconds(Date.now()),
  monotonicMs: () => milliseconds(nowMs),
};

export const benchCycle = (): Promise<readonly string[]> => onQuietNode(CONTAINERS, measure);

async function measure(root: string, node: SimulatedNode): Promise<readonly string[]> {
  const loaded: LoadResult = parseConfig('DEFAULT:\n  poll_interval: 10\n', 'bench.yaml', {});
  if (!loaded.ok) throw new Error('the configuration of the benchmark is wrong');
  const { config } = loaded;
  const context: ProcessContext = {
    paths: createPaths(root),
    clock,
    env: process.env,
    stdout: new PassThrough().resume(),
    stderr: new PassThrough().resume(),
  };
  const { world, close } = openWorld(config, context);
  const settings = settingsOf(onNode(config, 'pve1'), { dryRun: true });
  const state = newLoopState();
  const stop = new AbortController().signal;
  const cycles: number[] = [];
  const samples: number[] = [];
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    node.advance(1000);
    nowMs += 1000;
    const cycle = await timed(() => runCycle(world, settings, state, stop));
    const sample = await timed(async () => sampleAll(world, runningGuests(state).keys()));
    if (round < 0) continue;
    cycles.push(cycle);
    samples.push(sample);
  }
  await close();
  if (node.calls.length > 0) throw new Error('the cycles of the benchmark were not quiet');
  const [cycle, sample] = [median(cycles), median(samples)];
  const times = (cycle / sample).toFixed(2);
  return [
    `${CONTAINERS} containers, nothing to change, per container:`,
    `${cycle.toFixed(1).padStart(6)} us  a whole cycle: ${times} x its samples`,
    `${sample.toFixed(1).padStart(6)} us  the samples alone`,
  ];
}

function sampleAll({ cgroups }: World, vmids: Iterable<Parameters<World['cgroups']['sample']>[0]>) {
  for (const vmid of vmids) cgroups.sample(vmid);
}

/** Microseconds per container. */
async function timed(run: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await run();
  return ((performance.now() - startMs) * 1000) / CONTAINERS;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
