import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { type Demand, type HostSpec, type Limits, Plant } from '../../src/sim/plant.ts';
import { currentBytes, fileBytes } from '../../src/sim/plant-memory.ts';
import { fc } from '../fast-check.ts';
import { PATIENCE_MS } from '../patience.ts';
import { Scratch } from './recorded.ts';

const MIB = 1024 * 1024;
const HOST: HostSpec = {
  cpus: 4,
  memoryMib: 16_384,
  swapMib: 1024,
  baseCores: 0,
  baseMemoryMib: 1024,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};
const CACHED: Demand = { cpuCores: 0.1, anonMib: 100, shmemMib: 50, fileSetMib: 800 };

const scratch = new Scratch();
const open: SimulatedNode[] = [];
afterEach(async () => {
  for (const node of open.splice(0)) await node.close();
});
afterAll(() => scratch.clear());

async function nodeOf(kernelRelease = HOST.kernelRelease): Promise<SimulatedNode> {
  const guests = [101, 102].map((vmid) => ({
    vmid,
    demand: () => CACHED,
    conf: guestText({ vmid, name: `ct${vmid}`, cores: 2, memoryMib: 2048 }),
  }));
  const host = { ...HOST, kernelRelease };
  const node = await SimulatedNode.create({ root: scratch.directory(), host, guests });
  open.push(node);
  return node;
}

const pathOf = (node: SimulatedNode, name: string, vmid = 101): string =>
  join(node.root, 'sys/fs/cgroup/lxc', String(vmid), name);
const currentMib = (node: SimulatedNode, vmid = 101): number =>
  Number(readFileSync(pathOf(node, 'memory.current', vmid), 'utf8')) / MIB;
const reclaims = (node: SimulatedNode): string[] =>
  node.events.filter(({ what }) => what === 'reclaim').map(({ detail }) => detail);

async function until(condition: () => boolean): Promise<void> {
  const untilMs = performance.now() + PATIENCE_MS;
  while (!condition() && performance.now() < untilMs) await pause(5);
  expect(condition()).toBe(true);
}

describe('memory.reclaim of a running container', () => {
  it('is there, to be written and not to be read', async () => {
    const node = await nodeOf();
    expect(statSync(pathOf(node, 'memory.reclaim')).mode & 0o777).toBe(0o200);
    expect(existsSync(pathOf(node, 'ns/memory.reclaim'))).toBe(false);
    node.stopContainer(101);
    expect(existsSync(pathOf(node, 'memory.reclaim'))).toBe(false);
    node.startContainer(101);
    expect(existsSync(pathOf(node, 'memory.reclaim'))).toBe(true);
  });

  it('has the cache given up at once, while time stands still', async () => {
    const node = await nodeOf();
    const before = currentMib(node);
    appendFileSync(pathOf(node, 'memory.reclaim'), `${300 * MIB}\n`);
    await until(() => reclaims(node).length > 0);
    expect(currentMib(node)).toBeCloseTo(before - 300, 1);
    expect(currentMib(node, 102)).toBe(before);
    const stat = readFileSync(pathOf(node, 'memory.stat'), 'utf8');
    const cached = /^inactive_file (\d+)\nactive_file (\d+)$/m.exec(stat)?.slice(1).map(Number);
    expect(((cached?.[0] ?? 0) + (cached?.[1] ?? 0)) / MIB).toBeCloseTo(500, 1);
  });

  it('takes one request after the other, and none twice', async () => {
    const node = await nodeOf();
    const file = pathOf(node, 'memory.reclaim');
    const sum = () => reclaims(node).reduce((all, text) => all + Number(text.split(' ')[0]), 0);
    for (let count = 0; count < 20; count++) appendFileSync(file, `${10 * MIB}\n`);
    await until(() => sum() >= 200 * MIB);
    node.advance(200);
    node.advance(200);
    expect(statSync(file).size).toBe(0);
    appendFileSync(file, '1M\n');
    await until(() => sum() > 200 * MIB);
    node.advance(400);
    expect(sum()).toBe(201 * MIB);
  });

  it('takes what an administrator writes with echo, again and again', async () => {
    const node = await nodeOf();
    for (const count of [1, 2, 3]) {
      writeFileSync(pathOf(node, 'memory.reclaim'), '5M\n');
      await until(() => reclaims(node).length === count);
      node.advance(200);
      node.advance(200);
    }
    expect(reclaims(node)).toEqual(Array(3).fill(`${5 * MIB} ${5 * MIB}`));
  });

  it('takes nothing that is no number', async () => {
    const node = await nodeOf();
    for (const text of ['all\n', '-5\n', '5.5\n', '1M max\n', '\n']) {
      appendFileSync(pathOf(node, 'memory.reclaim'), text);
    }
    node.advance(200);
    expect(reclaims(node)).toEqual([]);
  });

  it('is seen at the next tick by a node that cannot watch', async () => {
    const node = await nodeOf();
    appendFileSync(pathOf(node, 'memory.reclaim'), `${MIB}\n`);
    // No event loop turns between the two: no watch can have told of it.
    node.advance(1);
    expect(reclaims(node)).toEqual([`${MIB} ${MIB}`]);
  });

  it('may be made to give up less, for a test', async () => {
    const node = await nodeOf();
    node.onReclaim((vmid, bytes) => (vmid === 101 ? bytes / 4 : undefined));
    appendFileSync(pathOf(node, 'memory.reclaim'), `${40 * MIB}\n`);
    appendFileSync(pathOf(node, 'memory.reclaim', 102), `${40 * MIB}\n`);
    node.advance(1);
    expect(reclaims(node)).toEqual([`${40 * MIB} ${10 * MIB}`, `${40 * MIB} ${40 * MIB}`]);
  });

  it.each([
    ['5.15.158-2-pve', false],
    ['5.4.203-1-pve', false],
    ['5.19.17-2-pve', true],
    ['6.2.16-3-pve', true],
    ['10.0.1', true],
  ])('on a kernel %s: %s', async (release, offered) => {
    expect(existsSync(pathOf(await nodeOf(release), 'memory.reclaim'))).toBe(offered);
  });
});

const limits: Limits = {
  cpus: [0, 1],
  cpuLimit: undefined,
  cpuWeight: 100,
  memoryMaxBytes: 2048 * MIB,
  swapMaxBytes: 512 * MIB,
};

function plantOf(demand: Demand): Plant {
  const plant = new Plant(HOST, { demandSpeed: 1, demandStartMs: 0 });
  plant.start(101, limits, () => demand, true);
  return plant;
}

const memoryOf = (plant: Plant) => {
  const container = plant.container(101);
  if (container === undefined) throw new Error('the container is gone');
  return container.memory;
};

describe('what the plant gives up', () => {
  it('is inactive cache, then active; and no process, no tmpfs, for less than both', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 800 }), (mebibytes) => {
        const plant = plantOf(CACHED);
        const memory = memoryOf(plant);
        const before = { ...memory };
        // Less than a page is not given up.
        const got = plant.reclaim(101, mebibytes * MIB + 0.5);
        expect(got).toBe(mebibytes * MIB);
        const fromInactive = Math.min(before.inactiveFileBytes, got);
        expect(memory.inactiveFileBytes).toBe(before.inactiveFileBytes - fromInactive);
        expect(memory.activeFileBytes).toBe(before.activeFileBytes - (got - fromInactive));
        const { anonBytes, shmemBytes, swapBytes, kernelBytes } = before;
        expect(memory).toMatchObject({ anonBytes, shmemBytes, swapBytes, kernelBytes });
      }),
    );
  });

  it('comes back slowly where it was cold', () => {
    const plant = plantOf(CACHED);
    const before = fileBytes(memoryOf(plant));
    plant.reclaim(101, 600 * MIB);
    plant.step(1000);
    expect(fileBytes(memoryOf(plant)) - (before - 600 * MIB)).toBeLessThan(2 * MIB);
    const refaults = memoryOf(plant).counts.refaultFile;
    expect(refaults).toBeGreaterThan(0);
    for (let second = 0; second < 3600; second++) plant.step(1000);
    expect(fileBytes(memoryOf(plant))).toBeGreaterThan(before - MIB);
  });

  it('comes back at once where it was in use all the time', () => {
    const plant = plantOf(CACHED);
    plant.reclaim(101, 800 * MIB);
    expect(fileBytes(memoryOf(plant))).toBe(0);
    for (let step = 0; step < 10; step++) plant.step(100);
    expect(fileBytes(memoryOf(plant)) / MIB).toBeCloseTo(80, -1);
  });

  it('leaves room: a lower limit kills nothing then', () => {
    const plant = plantOf(CACHED);
    plant.reclaim(101, 700 * MIB);
    plant.setLimits(101, { memoryMaxBytes: 300 * MIB });
    for (let step = 0; step < 50; step++) plant.step(200);
    expect(plant.takeEvents()).toEqual([]);
    expect(currentBytes(memoryOf(plant))).toBeLessThanOrEqual(300 * MIB);
    expect(memoryOf(plant).swapBytes).toBe(0);
  });
});
