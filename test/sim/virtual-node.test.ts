import { describe, expect, it } from 'vitest';
import { bytes, mib } from '../../src/core/units.ts';
import { parseGuestConfig } from '../../src/node/guests/lxc-conf.ts';
import {
  parseCpuStat,
  parseMemoryEvents,
  parseMemoryStat,
} from '../../src/node/local/kernel/cgroup-values.ts';
import { parsePressure } from '../../src/node/local/kernel/pressure-file.ts';
import { parseMeminfo } from '../../src/node/local/kernel/proc-files.ts';
import { liveFiles } from '../../src/sim/cgroup-text.ts';
import { guestText } from '../../src/sim/guest-text.ts';
import type { Demand } from '../../src/sim/plant.ts';
import { currentBytes } from '../../src/sim/plant-memory.ts';
import { meminfoText } from '../../src/sim/proc-text.ts';
import { SCENARIO_HOST } from '../../src/sim/scenario.ts';
import { VirtualNode } from '../../src/sim/virtual-node.ts';
import { vmid } from '../core/builders.ts';

const MIB = 1024 * 1024;
const NO_STOP = new AbortController().signal;

const busy: Demand = { cpuCores: 3.3, anonMib: 700, shmemMib: 90, fileSetMib: 900 };

function nodeWith(demand: Demand = busy, own: { readonly lock?: string } = {}): VirtualNode {
  const settings = { vmid: 101, name: 'web', cores: 2, memoryMib: 1024, cpuLimit: 1.5, ...own };
  const conf = guestText({ ...settings, tags: 'prod;web' });
  return new VirtualNode({
    host: SCENARIO_HOST,
    guests: [{ vmid: 101, conf, demand: () => demand }],
  });
}

const configOf = (node: VirtualNode) => {
  const config = node.config(101);
  if (config === undefined) throw new Error('there is no container 101');
  return config;
};

describe('a virtual node', () => {
  it('shows what the files of a simulated one say', async () => {
    const node = nodeWith({ ...busy, unevictableMib: 20 });
    await node.time.passTo(33_300);
    const container = node.plant.container(101);
    const sample = node.world.cgroups.sample(vmid(101));
    if (container === undefined || !sample.ok) throw new Error('it does not run');
    const files = new Map(liveFiles(container, false, true));
    const bytesOf = (name: string) => Buffer.from(files.get(name) ?? '');
    const read = <T>(name: string, parse: (bytes: Buffer, length: number) => T): T =>
      parse(bytesOf(name), bytesOf(name).length);
    const { cpu, memory, memoryPressure, cpuPressure } = sample.value;
    expect(cpu).toMatchObject({ ok: true, value: read('cpu.stat', parseCpuStat) });
    const stat = read('memory.stat', parseMemoryStat);
    expect(memory).toMatchObject({
      ok: true,
      value: {
        currentBytes: Number(files.get('memory.current')),
        swapBytes: Number(files.get('memory.swap.current')),
        limitBytes: 1024 * MIB,
        anonBytes: stat?.anon,
        shmemBytes: stat?.shmem,
        activeFileBytes: stat?.activeFile,
        inactiveFileBytes: stat?.inactiveFile,
        unevictableBytes: stat?.unevictable,
        slabUnreclaimableBytes: stat?.slabUnreclaimable,
        refaults: stat?.refaults,
        ...read('memory.events', parseMemoryEvents),
      },
    });
    for (const [pressure, name] of [
      [memoryPressure, 'memory.pressure'],
      [cpuPressure, 'cpu.pressure'],
    ] as const) {
      const printed = read(name, parsePressure);
      if (!pressure.ok || printed === undefined) throw new Error(`no ${name}`);
      expect(pressure.value.someTotalUs).toBe(printed.someTotalUs);
      expect(pressure.value.someAvg10).toBeCloseTo(printed.someAvg10, 3);
    }
  });

  it('shows the host as its files do, and a configuration as its parser does', () => {
    const node = nodeWith();
    const text = node.machine.files.read(101) ?? '';
    expect({ ok: true, value: configOf(node) }).toEqual(
      parseGuestConfig(vmid(101), Buffer.from(text)),
    );
    const printed = parseMeminfo(Buffer.from(meminfoText(node.plant.memoryUse())));
    const { memory, cpus } = node.world.host.observe();
    expect(cpus).toEqual({ ok: true, value: SCENARIO_HOST.cpus });
    if (!memory.ok) throw new Error('the host has no memory');
    expect(memory.value.totalMib).toBe(printed?.totalMib);
    expect(memory.value.availableMib).toBeCloseTo(printed?.availableMib ?? 0, 1);
  });

  it('changes memory at once, and cores with the next pass of pvestatd', async () => {
    const node = nodeWith();
    const { digest } = configOf(node);
    const work = node.world.hands.apply(
      { vmid: vmid(101), cores: 4, memoryMib: mib(2048), cpuLimit: null, digest },
      NO_STOP,
    );
    expect(await node.time.during(work)).toEqual({ kind: 'done' });
    expect(node.time.nowMs).toBe(600);
    const limits = () => node.plant.container(101)?.limits;
    expect(limits()?.memoryMaxBytes).toBe(2048 * MIB);
    expect(limits()?.cpuLimit).toBeUndefined();
    expect(limits()?.cpus).toHaveLength(2);
    await node.time.passTo(10_000);
    expect(limits()?.cpus).toHaveLength(4);
    expect(configOf(node)).toMatchObject({ cores: 4, memoryMib: 2048, cpuLimit: null });
  });

  it('refuses what pct refuses: another digest, a lock', async () => {
    const other = nodeWith();
    const stale = { vmid: vmid(101), cores: 4, digest: '0'.repeat(40) };
    const outcome = await other.time.during(other.world.hands.apply(stale, NO_STOP));
    expect(outcome).toMatchObject({ kind: 'failed', exitCode: 255 });
    const locked = nodeWith(busy, { lock: 'backup' });
    const request = { vmid: vmid(101), cores: 4, digest: configOf(locked).digest };
    expect(await locked.time.during(locked.world.hands.apply(request, NO_STOP))).toEqual({
      kind: 'failed',
      why: 'locked',
      exitCode: 255,
      message: 'another operation has locked the container: CT is locked (backup)',
    });
    expect(configOf(locked).cores).toBe(2);
    expect(locked.scores.of(101)).toMatchObject({ changes: 0, refused: 1 });
  });

  it('changes no machine without quorum, and asks monitors only when it is looked at', async () => {
    const guest = { demand: () => ({ cpuCores: 1, anonMib: 500 }) };
    const settings = { shares: 0, balloon: 2048 };
    const vms = [{ vmid: 200, memoryMib: 4096, settings, guest }];
    const node = new VirtualNode({ host: SCENARIO_HOST, guests: [], vms });
    const { world, time } = node;
    const file = world.guests.read(vmid(200));
    if (!file.ok) throw new Error(file.detail);
    const request = { vmid: vmid(200), memoryMib: mib(3072), digest: file.value.config.digest };
    node.machine.quorate = false;
    const refused = await time.during(world.hands.apply(request, NO_STOP));
    expect(refused).toMatchObject({ kind: 'failed', why: 'no-quorum' });
    node.machine.quorate = true;
    const limit = (): number | undefined => {
      const sample = world.cgroups.sample(vmid(200));
      return sample.ok && sample.value.memory.ok
        ? (sample.value.memory.value.limitBytes ?? 0) / MIB
        : undefined;
    };
    expect(limit()).toBe(2048);
    expect(await time.during(world.hands.apply(request, NO_STOP))).toEqual({ kind: 'done' });
    await time.passTo(time.nowMs + 60_000);
    expect(limit()).toBe(2048);
    await world.observe();
    expect(limit()).toBe(3072);
  });

  it('gives cache up on request', async () => {
    const node = nodeWith({ ...busy, anonMib: 300 });
    const cacheMib = (): number => {
      const { activeFileBytes = 0, inactiveFileBytes = 0 } =
        node.plant.container(101)?.memory ?? {};
      return (activeFileBytes + inactiveFileBytes) / MIB;
    };
    const before = cacheMib();
    const wish = { bytes: bytes(100 * MIB), until: bytes(0) };
    await node.time.during(node.world.hands.reclaim.ask(vmid(101), wish));
    // A little of it is read again meanwhile.
    expect(before - cacheMib()).toBeGreaterThan(80);
    expect(before - cacheMib()).toBeLessThanOrEqual(100);
  });

  it('gives up what it has, and says by EAGAIN that it was less', async () => {
    const node = nodeWith({ ...busy, anonMib: 300 });
    const asked = async (mebibytes: number): Promise<number> => {
      const wish = { bytes: bytes(mebibytes * MIB), until: bytes(0) };
      const answer = await node.time.during(node.world.hands.reclaim.ask(vmid(101), wish));
      return answer.kind === 'asked' ? answer.bytes / MIB : Number.NaN;
    };
    const current = (): number => {
      const memory = node.plant.container(101)?.memory;
      return memory === undefined ? Number.NaN : currentBytes(memory) / MIB;
    };
    node.onReclaim = (_vmid, wish) => wish / 4;
    const before = current();
    // 100 of 400 MB: all of the first part and some of the second one, which is the last.
    expect(await asked(400)).toBe(128);
    expect(before - current()).toBeGreaterThan(80);
    expect(before - current()).toBeLessThanOrEqual(100);
    node.onReclaim = undefined;
    expect(await asked(96.001)).toBe(96.001);
  });

  it('counts who starves, who is killed, and what it cost', async () => {
    const node = nodeWith({ cpuCores: 3, anonMib: 2000 });
    await node.time.passTo(60_000);
    const score = node.scores.of(101);
    expect(score.oomKills).toBeGreaterThan(1);
    expect(score.hostOomKills).toBe(0);
    expect(score.starvedMemoryMs).toBeGreaterThan(10_000);
    const calm = nodeWith({ cpuCores: 1, anonMib: 300 });
    await calm.time.passTo(60_000);
    expect(calm.scores.total()).toMatchObject({
      oomKills: 0,
      starvedCpuMs: 0,
      starvedMemoryMs: 0,
      allocatedCoreMs: 1.5 * 60_000,
      usedCoreMs: 60_000,
    });
    const starved = nodeWith({ cpuCores: 2, anonMib: 300 });
    await starved.time.passTo(60_000);
    expect(starved.scores.total().starvedCpuMs).toBe(60_000);
  });
});
