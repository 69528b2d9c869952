import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { HostObservation } from '../../src/core/observation.ts';
import { createHostView } from '../../src/node/local/kernel/proc-files.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { LocalMachines } from '../../src/node/local/qemu/machine-guests.ts';
import { guestText } from '../../src/sim/guest-text.ts';
import { type NodeOptions, SimulatedNode } from '../../src/sim/node.ts';
import type { HostSpec } from '../../src/sim/plant.ts';
import { manualClock } from '../node/local/world.ts';
import { Scratch } from './recorded.ts';

/** What else than containers holds memory of the simulated host: by the eyes of the program. */

const HOST: HostSpec = {
  cpus: 4,
  memoryMib: 16_384,
  swapMib: 1024,
  baseCores: 0.4,
  baseMemoryMib: 1024,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};

const scratch = new Scratch();
const open: SimulatedNode[] = [];
afterEach(async () => {
  for (const node of open.splice(0)) await node.close();
});
afterAll(() => scratch.clear());

async function nodeOf(options: Partial<NodeOptions>, anonMib = 1000) {
  const conf = guestText({ vmid: 101, name: 'ct', cores: 2, memoryMib: 15_000, swapMib: 0 });
  const guests = [{ vmid: 101, conf, demand: () => ({ cpuCores: 1, anonMib }) }];
  const root = scratch.directory();
  const node = await SimulatedNode.create({ root, host: HOST, guests, ...options });
  open.push(node);
  const vms = new LocalMachines(createPaths(root), manualClock());
  const view = createHostView(createPaths(root), () => vms.memoryMib());
  return { node, root, seen: () => view.observe() };
}

function memory({ memory: reading }: HostObservation) {
  if (!reading.ok) throw new Error(reading.detail);
  return reading.value;
}

describe('a virtual machine', () => {
  const vms = [
    { vmid: 200, memoryMib: 4096 },
    { vmid: 201, memoryMib: 2048, usedMib: 500 },
    { vmid: 202, memoryMib: 1024, running: false },
  ];

  it('is promised its memory while it runs, and holds what it uses', async () => {
    const none = memory((await nodeOf({})).seen());
    const { node, seen } = await nodeOf({ vms });
    expect(seen().vmMemoryMib).toEqual({ ok: true, value: 6144 });
    expect(none.availableMib - memory(seen()).availableMib).toBeCloseTo(4596, 0);
    await node.setVmRunning(202, true);
    expect(seen().vmMemoryMib).toEqual({ ok: true, value: 7168 });
    for (const { vmid } of vms) await node.setVmRunning(vmid, false);
    await node.setVmRunning(202, false);
    expect(seen().vmMemoryMib).toEqual({ ok: true, value: 0 });
    expect(memory(seen()).availableMib).toBeCloseTo(none.availableMib, 3);
  });

  it('leaves the containers less, and the host is relieved at their cost', async () => {
    const roomy = await nodeOf({}, 12_000);
    roomy.node.advance(20_000);
    expect(roomy.node.oomKills(101)).toBe(0);
    const { node } = await nodeOf({ vms }, 12_000);
    node.advance(20_000);
    expect(node.oomKills(101)).toBeGreaterThan(0);
  });

  it('stands in the cluster files as one, and is no container', async () => {
    const { node, root } = await nodeOf({ vms });
    const list = JSON.parse(readFileSync(join(root, 'etc/pve/.vmlist'), 'utf8'));
    expect(list.ids['200']).toMatchObject({ node: 'pve1', type: 'qemu' });
    expect(readFileSync(join(root, 'etc/pve/qemu-server/200.conf'), 'utf8')).toContain(
      'memory: 4096\n',
    );
    expect((await node.run(['pct', 'list'])).stdout).not.toContain('200');
  });
});

describe('the ZFS cache', () => {
  const arc = { sizeMib: 6000, minMib: 512 };

  it('is not there where there is no ZFS', async () => {
    const { root, seen } = await nodeOf({});
    expect(existsSync(join(root, 'proc/spl'))).toBe(false);
    expect(memory(seen()).arcReclaimableMib).toBe(0);
  });

  it('counts as used, and could be given back', async () => {
    const none = memory((await nodeOf({})).seen());
    const { seen } = await nodeOf({ host: { ...HOST, arc } });
    expect(memory(seen()).arcReclaimableMib).toBeCloseTo(5488, 0);
    expect(none.availableMib - memory(seen()).availableMib).toBeCloseTo(6000, 0);
  });

  it('makes way for who needs the memory, down to its minimum', async () => {
    const { node, seen } = await nodeOf({ host: { ...HOST, arc } }, 12_000);
    node.advance(20_000);
    expect(memory(seen()).arcReclaimableMib).toBeLessThan(3000);
    expect(node.oomKills(101)).toBe(0);
    const { memoryPressure } = seen();
    expect(memoryPressure).toMatchObject({ ok: true, value: { someTotalUs: 0 } });
    const full = await nodeOf({ host: { ...HOST, arc } }, 14_300);
    full.node.advance(20_000);
    expect(memory(full.seen()).arcReclaimableMib).toBeLessThan(400);
    const over = await nodeOf({ host: { ...HOST, arc: { ...arc, minMib: 4096 } } }, 14_700);
    over.node.advance(20_000);
    expect(over.node.oomKills(101)).toBeGreaterThan(0);
  });
});

it('the time of all CPUs moves, and its busy share is what the host uses', async () => {
  const { node, seen } = await nodeOf({});
  const before = seen().cpuTimes;
  node.advance(10_000);
  const after = seen().cpuTimes;
  if (!before.ok || !after.ok) throw new Error('no time');
  const totalTicks = after.value.totalTicks - before.value.totalTicks;
  const busyTicks = after.value.busyTicks - before.value.busyTicks;
  expect(Math.abs(totalTicks - 4000)).toBeLessThan(5);
  expect(busyTicks / totalTicks).toBeCloseTo(1.4 / 4, 2);
});
