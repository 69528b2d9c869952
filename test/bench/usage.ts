import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { PassThrough } from 'node:stream';
import type { ProcessContext } from '../../src/app/context.ts';
import { settingsOf } from '../../src/app/loop-settings.ts';
import { openUsageKeeper } from '../../src/app/usage-keeper.ts';
import { openWorld } from '../../src/app/world.ts';
import { parseConfig } from '../../src/config/load.ts';
import { onNode } from '../../src/config/on-node.ts';
import { newLoopState } from '../../src/core/loop-state.ts';
import { milliseconds, type Vmid } from '../../src/core/units.ts';
import { encodeUsage } from '../../src/core/usage-history.ts';
import { type CycleView, runCycle } from '../../src/loop/cycle.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { Clock } from '../../src/node/port.ts';
import { guestText } from '../../src/sim/guest-text.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { createUsageStore } from '../../src/store/usage-store.ts';

/**
 * What the history of usage costs: its share of a quiet cycle, the writes included, and what two
 * weeks of a hundred containers take on the disk, with demand that changes all the time.
 */

const CONTAINERS = 100;
const WARM_UP_ROUNDS = 10;
const ROUNDS = 60;
const DAYS = 14;
const DAY_S = 86_400;
const STEP_MS = 60_000;

export async function benchUsage(): Promise<readonly string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-bench-'));
  try {
    const lines = await shareOfCycle(join(directory, 'node'));
    for (const stepS of [300, 60])
      lines.push(...(await twoWeeks(join(directory, `${stepS}`), stepS)));
    return lines;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

let nowMs = Date.UTC(2026, 10, 22);
const clock: Clock = {
  wallMs: () => milliseconds(nowMs),
  monotonicMs: () => milliseconds(nowMs),
};

async function shareOfCycle(root: string): Promise<string[]> {
  const guests = Array.from({ length: CONTAINERS }, (_, index) => ({
    vmid: 100 + index,
    conf: guestText({ vmid: 100 + index, name: `ct${index}`, cores: 2, memoryMib: 1024 }),
    demand: () => ({ cpuCores: 1, anonMib: 500 }),
  }));
  const host = {
    cpus: 256,
    memoryMib: 262_144,
    swapMib: 4096,
    baseCores: 0.1,
    baseMemoryMib: 1024,
    pressure: true,
    kernelRelease: '6.8.12-4-pve',
  };
  const node = await SimulatedNode.create({ root, host, guests, tickMs: 10_000 });
  const loaded = parseConfig('DEFAULT: {}\n', 'bench.yaml', {});
  if (!loaded.ok) throw new Error('the configuration of the benchmark is wrong');
  const context: ProcessContext = {
    paths: createPaths(root),
    clock,
    env: process.env,
    stdout: new PassThrough().resume(),
    stderr: new PassThrough().resume(),
  };
  const { world, close } = openWorld(loaded.config, context);
  const keeper = openUsageKeeper({ world, below: '' }, context, () => DAYS);
  const settings = settingsOf(onNode(loaded.config, 'pve1'), { dryRun: true });
  const state = newLoopState();
  const spent = { cycleMs: 0, historyMs: 0 };
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
    node.advance(STEP_MS);
    nowMs += STEP_MS;
    const views: CycleView[] = [];
    const inspect = (view: CycleView): void => void views.push(view);
    const startMs = performance.now();
    await runCycle(world, { ...settings, inspect }, state, new AbortController().signal);
    const cycleEndMs = performance.now();
    for (const view of views) keeper.take(view, state, STEP_MS);
    if (round < 0) continue;
    spent.cycleMs += cycleEndMs - startMs;
    spent.historyMs += performance.now() - cycleEndMs;
  }
  await keeper.close();
  await close();
  await node.close();
  const each = (ms: number): string => ((ms * 1000) / ROUNDS / CONTAINERS).toFixed(1).padStart(6);
  const share = ((spent.historyMs / spent.cycleMs) * 100).toFixed(1);
  return [
    `${CONTAINERS} containers, nothing to change, per container and cycle:`,
    `${each(spent.cycleMs)} us  a whole cycle without the history`,
    `${each(spent.historyMs)} us  the history, its writes included: ${share} % (goal: at most 5)`,
  ];
}

/** Every figure of every line differs from that before, as in no real usage: the worst case. */
async function twoWeeks(directory: string, stepS: number): Promise<readonly string[]> {
  const complain = (message: string): never => {
    throw new Error(message);
  };
  const store = createUsageStore({ directory, days: () => DAYS, complain });
  const startS = Date.UTC(2026, 10, 1) / 1000;
  let written = 0;
  for (let timeS = startS; timeS < startS + DAYS * DAY_S; timeS += stepS) {
    let lines = '';
    for (let id = 100; id < 100 + CONTAINERS; id += 1) lines += lineOf(timeS, id);
    written += lines.length;
    store.append(lines, timeS, stepS);
    if (timeS % (DAY_S / 4) === 0) await packed(directory);
  }
  await store.close();
  const names = readdirSync(directory);
  const onDisk = names.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  const kept = new Set(names.map((name) => name.slice(0, 10))).size;
  const aCycle = (written / ((DAYS * DAY_S) / stepS)).toFixed(0);
  const mb = (onDisk / 1e6).toFixed(1);
  return [
    `${CONTAINERS} containers, a line each every ${stepS} s, ${DAYS} days:`,
    `${aCycle.padStart(6)} bytes a cycle, in one write every 15 minutes or 32 KB`,
    `${mb.padStart(6)} MB on the disk after ${DAYS} days, ${kept} of them kept (goal: at most 50)`,
  ];
}

/** Finished files are packed beside, as they are between two cycles. */
async function packed(directory: string): Promise<void> {
  const isPacked = (): boolean =>
    !existsSync(directory) ||
    readdirSync(directory).filter((name) => name.endsWith('.csv')).length < 2;
  while (!isPacked()) await new Promise((resolve) => setTimeout(resolve, 5));
}

let seed = 1;
/** From 0 to 1; the same in each run. Source: Park and Miller, 1988. */
function chance(): number {
  seed = (seed * 48_271) % 2_147_483_647;
  return seed / 2_147_483_647;
}

function lineOf(timeS: number, id: number): string {
  const cores = chance() * 2;
  const mib = 300 + chance() * 400;
  return `${encodeUsage({
    timeS,
    vmid: id as Vmid,
    cpuCores: cores,
    cpuDemand: cores,
    cpuAllowed: 2,
    memoryMib: mib,
    memoryPeakMib: mib + chance() * 100,
    memoryLimitMib: 1024,
    cpuPeak: cores + chance(),
    cpuWaitPercent: chance() * 5,
    memoryWaitPercent: 0,
  })}\n`;
}
