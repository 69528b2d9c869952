import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseMachineMemory } from '../../../../src/node/guests/qemu.ts';
import { createHostView } from '../../../../src/node/local/kernel/proc-files.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { ALL_MACHINES, LocalMachines } from '../../../../src/node/local/qemu/machine-guests.ts';
import type { MachineWishes } from '../../../../src/node/port.ts';
import { fc } from '../../../fast-check.ts';
import { manualClock, plant, temporaryDirectory, vmid } from '../world.ts';

const SLICE = 'sys/fs/cgroup/qemu.slice';
const HOME = 'etc/pve/qemu-server';

const TAGGED: MachineWishes = {
  anyNamed: false,
  isWanted: ({ tags }) => tags.includes('autoscale'),
  mayBeWanted: () => false,
};

interface Vm {
  readonly conf?: string;
  readonly version?: number;
  readonly node?: string;
}

/** A node with these VMs, those named running; versions are 1 where nothing is said. */
function world(vms: Readonly<Record<number, Vm>>, running: readonly number[]) {
  const root = temporaryDirectory();
  const run = (id: number): void => {
    mkdirSync(join(root, SLICE, `${id}.scope`), { recursive: true });
  };
  const list = (own: Readonly<Record<number, Vm>>): void => {
    const ids = Object.entries(own).map(([id, { version = 1, node = 'pve1' }]) => [
      id,
      { node, type: 'qemu', version },
    ]);
    const others = { '100': { node: 'pve1', type: 'lxc', version: 9 } };
    plant(root, {
      'etc/pve/.vmlist': JSON.stringify({ ids: { ...others, ...Object.fromEntries(ids) } }),
    });
  };
  const configure = (id: number, conf: string): void =>
    plant(root, { [`${HOME}/${id}.conf`]: conf });
  plant(root, {
    'etc/pve/.members': '{"nodename": "pve1"}',
    'etc/pve/.version': '{"starttime": 1}',
  });
  mkdirSync(join(root, HOME), { recursive: true });
  for (const [id, { conf }] of Object.entries(vms)) {
    if (conf !== undefined) configure(Number(id), conf);
  }
  list(vms);
  running.forEach(run);
  const seen = new LocalMachines(createPaths(root), manualClock());
  return { root, list, run, configure, memory: () => seen.memoryMib() };
}

describe('the memory of virtual machines', () => {
  it('is that of all that run on this node', () => {
    const vms = { 200: { conf: 'memory: 2048\n' }, 201: { conf: 'memory: 1000\n' }, 202: {} };
    expect(world(vms, [200, 201]).memory()).toStrictEqual({ ok: true, value: 3048 });
  });

  it('is part of what is seen of the host', () => {
    const { root } = world({ 200: { conf: 'memory: 2048\n' } }, [200]);
    const vms = new LocalMachines(createPaths(root), manualClock());
    const view = createHostView(createPaths(root), () => vms.memoryMib());
    expect(view.observe().vmMemoryMib).toStrictEqual({ ok: true, value: 2048 });
  });

  it.each(['no slice', 'an empty slice'])('is 0 with %s, whatever /etc/pve is like', (what) => {
    const { root, memory } = world({}, []);
    rmSync(join(root, 'etc'), { recursive: true });
    if (what !== 'no slice') mkdirSync(join(root, SLICE), { recursive: true });
    plant(root, { [what === 'no slice' ? 'other' : `${SLICE}/cgroup.procs`]: '' });
    expect(memory()).toStrictEqual({ ok: true, value: 0 });
  });

  it('counts nothing but scopes of VMs', () => {
    const { root, memory } = world({ 200: { conf: 'memory: 2048\n' } }, [200]);
    plant(root, { [`${SLICE}/cgroup.procs`]: '', [`${SLICE}/0201.scope/x`]: '' });
    plant(root, { [`${SLICE}/other.scope/x`]: '', [`${SLICE}/203.service/x`]: '' });
    expect(memory()).toStrictEqual({ ok: true, value: 2048 });
  });

  it('follows the VMs that start and stop', () => {
    const { root, run, memory } = world({ 200: { conf: 'memory: 2048\n' } }, []);
    expect(memory()).toStrictEqual({ ok: true, value: 0 });
    run(200);
    expect(memory()).toStrictEqual({ ok: true, value: 2048 });
    rmSync(join(root, SLICE, '200.scope'), { recursive: true });
    expect(memory()).toStrictEqual({ ok: true, value: 0 });
  });
});

describe('a configuration', () => {
  it('is read again only with another version, or another start of the cluster files', () => {
    const { root, configure, list, memory } = world({ 200: { conf: 'memory: 2048\n' } }, [200]);
    memory();
    configure(200, 'memory: 4096\n');
    expect(memory()).toStrictEqual({ ok: true, value: 2048 });
    list({ 200: { version: 2 } });
    expect(memory()).toStrictEqual({ ok: true, value: 4096 });
    configure(200, 'memory: 8192\n');
    plant(root, { 'etc/pve/.version': '{"starttime": 2}' });
    expect(memory()).toStrictEqual({ ok: true, value: 8192 });
  });

  it('is read each time where the list cannot be used', () => {
    const { root, configure, memory } = world({ 200: { conf: 'memory: 2048\n' } }, [200]);
    writeFileSync(join(root, 'etc/pve/.vmlist'), '{');
    expect(memory()).toStrictEqual({ ok: true, value: 2048 });
    configure(200, 'memory: 4096\n');
    expect(memory()).toStrictEqual({ ok: true, value: 4096 });
  });

  it.each([
    ['is not there', undefined, 'absent'],
    ['is empty', '', 'malformed'],
    ['says nonsense', 'memory: lots\n', 'malformed'],
  ])('that %s leaves the whole sum unknown, until it is mended', (_, conf, why) => {
    const bad = conf === undefined ? {} : { conf };
    const vms = { 200: { conf: 'memory: 2048\n' }, 201: bad };
    const { configure, memory } = world(vms, [200, 201]);
    expect(memory()).toMatchObject({ ok: false, why, detail: expect.stringContaining('201.conf') });
    configure(201, 'memory: 64\n');
    expect(memory()).toStrictEqual({ ok: true, value: 2112 });
  });

  it('of a VM that migrates in and is nowhere to be read: the sum is not known', () => {
    const { memory } = world({ 200: { node: 'pve2' } }, [200]);
    expect(memory()).toMatchObject({ ok: false, why: 'absent' });
  });

  it('of a VM that migrates in counts by what the other node has of it', () => {
    const { root, memory } = world({ 200: { node: 'pve2' } }, [200]);
    plant(root, { 'etc/pve/nodes/pve2/qemu-server/200.conf': 'memory: 4096\n' });
    expect(memory()).toStrictEqual({ ok: true, value: 4096 });
  });

  it('lies below the node where the usual link has become a file', () => {
    const { root, memory } = world({ 200: {} }, [200]);
    rmSync(join(root, HOME), { recursive: true });
    plant(root, { [HOME]: '', 'etc/pve/nodes/pve1/qemu-server/200.conf': 'memory: 128\n' });
    expect(memory()).toStrictEqual({ ok: true, value: 128 });
  });
});

describe('the memory line', () => {
  it.each([
    ['memory: 2048\n', 2048],
    ['cores: 2\nmemory: current=2048\nname: x\n', 2048],
    ['memory: 16', 16],
    ['cores: 2\n', 512],
    ['memory: 512\nmemory: 1024\n', 1024],
    ['#memory: 9\ncores: 1\n', 512],
    ['memory: 2048\n\n[PENDING]\nmemory: 4096\n', 2048],
    ['cores: 2\n[before-update]\nmemory: 4096\n', 512],
    ['memory: 2048 \r\n', 2048],
  ])('of %j says %d', (text, expected) => {
    expect(parseMachineMemory(text)).toBe(expected);
  });

  it.each([
    '',
    '\n\n',
    '# a description only\n',
    '[snap]\nmemory: 2048\n',
    'memory:\n',
    'memory: 0\n',
    'memory: 15\n',
    'memory: 2e3\n',
    'memory: max=2048\n',
    `memory: ${'9'.repeat(20)}\n`,
  ])('of %j says nothing', (text) => {
    expect(parseMachineMemory(text)).toBeUndefined();
  });

  it('never throws, and is a size or none', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `memory:${text}`),
        ),
        (text) => {
          const memoryMib = parseMachineMemory(text);
          if (memoryMib !== undefined) expect(memoryMib).toBeGreaterThanOrEqual(16);
        },
      ),
    );
  });
});

const MEMORY_STAT = [
  ['anon', 500],
  ['shmem', 100],
  ['active_file', 0],
  ['inactive_file', 300],
  ['unevictable', 0],
  ['slab_reclaimable', 0],
  ['slab_unreclaimable', 0],
  ['workingset_refault_anon', 0],
  ['workingset_refault_file', 0],
]
  .map(([name, value]) => `${name} ${value}\n`)
  .join('');

describe('a machine that is looked after', () => {
  const conf = (tags: string): string => `memory: 2048\ntags: ${tags}\nname: x\n`;

  it('counts once: where it is listed, or else among the memory of all machines', async () => {
    const vms = { 200: { conf: conf('autoscale') }, 201: { conf: conf('other') } };
    const { root } = world(vms, [200, 201]);
    const seen = new LocalMachines(createPaths(root), manualClock());
    seen.use(TAGGED);
    expect([...seen.list().keys()]).toEqual([]);
    expect(seen.memoryMib()).toStrictEqual({ ok: true, value: 4096 });
    // Its tag was seen with the others, so from the next cycle on it is one of ours.
    await seen.look();
    expect([...seen.list().keys()]).toEqual([200]);
    expect(seen.memoryMib()).toStrictEqual({ ok: true, value: 2048 });
    seen.use({ ...TAGGED, isWanted: () => false });
    expect([...seen.list().keys()]).toEqual([]);
    expect(seen.memoryMib()).toStrictEqual({ ok: true, value: 4096 });
  });

  it('whose monitor is silent may be paused: whether it runs is not known', async () => {
    const { root } = world({ 200: { conf: conf('autoscale') } }, [200]);
    plant(root, {
      [`${SLICE}/200.scope/cgroup.events`]: 'populated 1\nfrozen 0\n',
      [`${SLICE}/200.scope/cpu.stat`]: 'usage_usec 1000\nnr_throttled 0\nthrottled_usec 0\n',
      [`${SLICE}/200.scope/memory.current`]: '900\n',
      [`${SLICE}/200.scope/memory.max`]: 'max\n',
      [`${SLICE}/200.scope/memory.stat`]: MEMORY_STAT,
      [`${SLICE}/200.scope/memory.events`]: 'max 0\noom 0\noom_kill 0\n',
    });
    const seen = new LocalMachines(createPaths(root), manualClock());
    seen.use(ALL_MACHINES);
    await seen.look();
    await expect
      .poll(() => seen.sample(vmid(200)))
      .toMatchObject({
        value: {
          life: { ok: false, detail: expect.stringContaining('200.qmp') },
          cpu: { ok: true },
          memory: { ok: false, detail: expect.stringContaining('200.qmp') },
          // What it holds of the host needs no monitor.
          heldBytes: 600,
        },
      });
  });

  it('is looked at every ten seconds without reading /etc/pve', async () => {
    const { root, list } = world({ 200: { conf: conf('autoscale') } }, [200]);
    const seen = new LocalMachines(createPaths(root), manualClock());
    seen.use(ALL_MACHINES);
    await seen.look();
    expect(seen.has(vmid(200))).toBe(true);
    list({});
    rmSync(join(root, HOME, '200.conf'));
    await seen.look();
    expect(seen.has(vmid(200))).toBe(true);
    seen.list();
    expect(seen.has(vmid(200))).toBe(false);
  });

  it.each([
    ['malformed, and named by its tag', TAGGED, 'cores: x\ntags: autoscale\nmemory: 2048\n', 2048],
    ['malformed, where all are wanted', ALL_MACHINES, 'cores: x\nmemory: 2048\n', 2048],
    ['no text, where all are wanted', ALL_MACHINES, '\0', undefined],
  ])('is listed as not read if it never was: %s', (_, wishes, text, counted) => {
    const { root } = world({ 200: { conf: text } }, [200]);
    const seen = new LocalMachines(createPaths(root), manualClock());
    seen.use(wishes);
    seen.memoryMib();
    expect([...seen.list()]).toMatchObject([[200, { ok: false, why: 'malformed' }]]);
    // It counts among the rest: nobody else knows what it has.
    expect(seen.memoryMib()).toMatchObject(
      counted === undefined ? { ok: false } : { ok: true, value: counted },
    );
  });

  it('is not listed if nothing asks for it that is known of it', () => {
    const { root } = world({ 200: { conf: 'cores: x\nmemory: 2048\n' } }, [200]);
    const seen = new LocalMachines(createPaths(root), manualClock());
    seen.use(TAGGED);
    seen.memoryMib();
    expect([...seen.list()]).toEqual([]);
  });

  it('that cannot be read any more counts by what it had, until it is stopped', () => {
    const { root, configure, list, run } = world({ 200: { conf: conf('autoscale') } }, [200]);
    const seen = new LocalMachines(createPaths(root), manualClock());
    seen.use(ALL_MACHINES);
    seen.list();
    expect(seen.memoryMib()).toStrictEqual({ ok: true, value: 0 });
    configure(200, '\0');
    list({ 200: { version: 2 } });
    expect([...seen.list()]).toMatchObject([[200, { ok: false, why: 'malformed' }]]);
    expect(seen.memoryMib()).toStrictEqual({ ok: true, value: 2048 });
    rmSync(join(root, SLICE, '200.scope'), { recursive: true });
    expect(seen.memoryMib()).toStrictEqual({ ok: true, value: 0 });
    run(200);
    expect(seen.memoryMib()).toMatchObject({ ok: false, why: 'malformed' });
  });

  it('stays one while it is stopped, and is gone with its configuration', async () => {
    const { root, list } = world({ 200: { conf: conf('autoscale') } }, [200]);
    const seen = new LocalMachines(createPaths(root), manualClock());
    seen.use(ALL_MACHINES);
    await seen.look();
    rmSync(join(root, SLICE, '200.scope'), { recursive: true });
    await seen.look();
    expect([...seen.list().keys()]).toEqual([200]);
    expect(seen.sample(vmid(200))).toMatchObject({ ok: false, why: 'absent' });
    list({});
    rmSync(join(root, HOME, '200.conf'));
    await seen.look();
    expect([...seen.list().keys()]).toEqual([]);
  });
});
