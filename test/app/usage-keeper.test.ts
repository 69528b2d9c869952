import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { openUsageKeeper } from '../../src/app/usage-keeper.ts';
import { newLoopState } from '../../src/core/loop-state.ts';
import { parseUsage, type UsageRecord } from '../../src/core/usage-history.ts';
import { type CycleView, runCycle } from '../../src/loop/cycle.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { USAGE_DIRECTORY } from '../../src/store/usage-files.ts';
import { broken, hostPolicy, identity, policy, vmid } from '../core/builders.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { temporaryDirectory } from '../node/local/world.ts';

function world() {
  const root = temporaryDirectory();
  const paths = createPaths(root);
  const node = new FakeNode();
  node.nowMs = Date.UTC(2026, 10, 22, 12);
  const state = newLoopState();
  const stream = new PassThrough();
  const around = { paths, clock: node.world.clock, env: {}, stdout: stream, stderr: stream };
  const keeper = openUsageKeeper({ world: node.world, below: '' }, around, () => 14);
  const manage = () =>
    ({ kind: 'managed', policy: policy(), mode: 'observe', because: 'DEFAULT' }) as const;
  const settings = { manage, hostPolicy, dryRun: false, atOnce: 1 };
  const stop = new AbortController().signal;
  /** A cycle, and then so much time. */
  const cycle = async (passMs: number, urgent?: readonly number[]): Promise<void> => {
    const inspect = (view: CycleView): void => keeper.take(view, state, passMs);
    const only = urgent === undefined ? {} : { urgent: new Set(urgent.map(vmid)) };
    await runCycle(node.world, { ...settings, inspect, ...only }, state, stop);
    node.pass(passMs);
  };
  const records = (id: number): readonly UsageRecord[] => {
    const directory = join(root, USAGE_DIRECTORY);
    const names = existsSync(directory) ? readdirSync(directory) : [];
    const lines = names.flatMap((name) => readFileSync(join(directory, name), 'utf8').split('\n'));
    const all = lines.map(parseUsage).filter((one) => one !== undefined);
    return all.filter((one) => one.vmid === id);
  };
  return { root, node, state, keeper, cycle, records };
}

describe('the history of usage', () => {
  it('has a line for each container that runs and cycle', async () => {
    const { node, keeper, cycle, records } = world();
    node.add(101).load = 0.7;
    node.add(102).running = false;
    for (let count = 0; count < 3; count += 1) await cycle(300_000);
    await keeper.close();
    expect(records(102)).toEqual([]);
    expect(records(101).map(({ cpuCores, memoryMib }) => [cpuCores, memoryMib])).toEqual([
      [undefined, 400],
      [0.7, 400],
      [0.7, 400],
    ]);
  });

  it('names a guest once a day, and where another one has its id', async () => {
    const { node, keeper, cycle, records } = world();
    node.nowMs = Date.UTC(2026, 10, 22, 23, 50);
    node.add(101);
    for (let count = 0; count < 4; count += 1) await cycle(300_000);
    node.write(101, { identity: identity(101, 1) });
    await cycle(300_000);
    node.write(101, { identity: undefined });
    await cycle(300_000);
    await keeper.close();
    const [first, other] = [identity(101), identity(101, 1)];
    const named = records(101).map(({ guest }) => guest);
    // The file of the day before is packed.
    expect(named).toEqual([first, undefined, other]);
  });

  it('has none of the time in which a container was frozen', async () => {
    const { node, keeper, cycle, records } = world();
    const one = node.add(101);
    one.load = 1;
    await cycle(300_000);
    await cycle(300_000);
    one.load = 0;
    one.life = { frozen: true };
    await cycle(300_000);
    one.load = 1;
    one.life = {};
    for (let count = 0; count < 3; count += 1) await cycle(300_000);
    await keeper.close();
    const used = records(101).map(({ cpuCores }) => cpuCores);
    expect(used).toEqual([undefined, 1, undefined, 1, 1]);
  });

  it('has none of a container that could not be read, and half of half a reading', async () => {
    const { node, keeper, cycle, records } = world();
    node.add(101).sampleMissing = broken();
    node.add(102).memoryMissing = broken();
    node.add(103).configMissing = broken();
    await cycle(300_000);
    await cycle(300_000);
    await keeper.close();
    expect(records(101)).toEqual([]);
    expect(records(102)[1]).toMatchObject({ cpuCores: 1, memoryMib: undefined });
    expect(records(103)).toEqual([]);
  });

  it('folds cycles that follow closer than a minute, with their mean and their peaks', async () => {
    const { node, keeper, cycle, records } = world();
    const one = node.add(101);
    one.load = 0.2;
    await cycle(20_000);
    one.load = 1.4;
    one.memory = { current: 700 };
    await cycle(20_000);
    one.load = 0.2;
    one.memory = { current: 500 };
    for (let count = 0; count < 3; count += 1) await cycle(20_000);
    await keeper.close();
    expect(records(101)).toHaveLength(2);
    expect(records(101)[1]).toMatchObject({ cpuCores: 0.6, cpuPeak: 1.4 });
    expect(records(101)[1]).toMatchObject({ memoryMib: 500, memoryPeakMib: 700 });
  });

  it('counts all of the time, also where a decision was brought forward in between', async () => {
    const { node, keeper, cycle, records } = world();
    const one = node.add(101);
    one.load = 1.8;
    await cycle(200_000);
    await cycle(0, [101]);
    one.load = 0.3;
    node.pass(100_000);
    await cycle(0);
    await keeper.close();
    expect(records(101)[1]?.cpuCores).toBeCloseTo(1.3, 2);
  });

  it('says of a restarted container nothing that was of its life before', async () => {
    const { node, keeper, cycle, records } = world();
    const one = node.add(101);
    await cycle(300_000);
    one.identity = 999;
    one.cpuUs = 0;
    await cycle(300_000);
    await cycle(300_000);
    await keeper.close();
    expect(records(101).map(({ cpuCores }) => cpuCores)).toEqual([undefined, undefined, 1]);
  });

  it('that cannot be written stops no cycle, and is said once', async () => {
    const { root, node, keeper, cycle } = world();
    mkdirSync(dirname(join(root, USAGE_DIRECTORY)), { recursive: true });
    writeFileSync(join(root, USAGE_DIRECTORY), 'in the way');
    node.add(101);
    for (let count = 0; count < 8; count += 1) await cycle(300_000);
    await keeper.close();
    const said = node.linesOf('WARN').filter((line) => line.includes('usage history'));
    expect(said).toHaveLength(1);
  });
});
