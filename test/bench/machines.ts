import { performance } from 'node:perf_hooks';
import { PassThrough } from 'node:stream';
import type { ProcessContext } from '../../src/app/context.ts';
import { settingsOf } from '../../src/app/loop-settings.ts';
import { openWorld } from '../../src/app/world.ts';
import { parseConfig } from '../../src/config/load.ts';
import { onNode } from '../../src/config/on-node.ts';
import { newLoopState } from '../../src/core/loop-state.ts';
import { milliseconds } from '../../src/core/units.ts';
import { runCycle } from '../../src/loop/cycle.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { Clock } from '../../src/node/port.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { median } from '../long/measures.ts';
import { onQuietNode } from './quiet-node.ts';

/**
 * A quiet cycle of 100 machines and 100 containers, beside one of 200 containers, taking turns.
 * Every third cycle the machines are asked by their monitors; who answers is in this process too,
 * so that its part is in the figure.
 */

const HALF = 100;
const WARM_UP_ROUNDS = 10;
const ROUNDS = 60;

let nowMs = 1_000_000;
const clock: Clock = {
  wallMs: () => milliseconds(Date.now()),
  monotonicMs: () => milliseconds(nowMs),
};

type Cycle = () => Promise<number>;

export const benchMachines = (): Promise<readonly string[]> =>
  onQuietNode(2 * HALF, (root, node) =>
    onQuietNode(
      HALF,
      async (otherRoot, other) => compare(cycleOf(root, node), cycleOf(otherRoot, other), other),
      HALF,
    ),
  );

/** The daemon's loop on a node; each call is a cycle, in milliseconds. */
function cycleOf(root: string, node: SimulatedNode): Cycle {
  const loaded = parseConfig('DEFAULT:\n  manage_vms: true\n', 'bench.yaml', {});
  if (!loaded.ok) throw new Error('the configuration of the benchmark is wrong');
  const context: ProcessContext = {
    paths: createPaths(root),
    clock,
    env: process.env,
    stdout: new PassThrough().resume(),
    stderr: new PassThrough().resume(),
  };
  const { world } = openWorld(loaded.config, context);
  const settings = settingsOf(onNode(loaded.config, 'pve1'), { dryRun: true });
  const state = newLoopState();
  const stop = new AbortController().signal;
  return async () => {
    node.advance(1000);
    const startMs = performance.now();
    await world.observe();
    await runCycle(world, settings, state, stop);
    return performance.now() - startMs;
  };
}

async function compare(
  containers: Cycle,
  mixed: Cycle,
  node: SimulatedNode,
): Promise<readonly string[]> {
  const [plain, asking, quiet]: number[][] = [[], [], []];
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    nowMs += 10_000;
    const talks = node.qmpConversations(5000);
    const [one, other] = [await containers(), await mixed()];
    if (round < 0) continue;
    plain?.push(one);
    (node.qmpConversations(5000) > talks ? asking : quiet)?.push(other);
  }
  const line = (what: string, values: readonly number[] = []): string =>
    `${median(values).toFixed(1).padStart(6)} ms  ${what} (${values.length} cycles)`;
  return [
    'a quiet cycle, wall time, medians:',
    line('200 containers', plain),
    line('100 machines and 100 containers', quiet),
    line('the same, with every monitor asked', asking),
  ];
}
