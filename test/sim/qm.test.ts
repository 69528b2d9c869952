import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { SimulatedNode } from '../../src/sim/node.ts';
import type { VmSpec } from '../../src/sim/vms.ts';
import { hasShared, Scratch, type Step, steps } from './recorded.ts';

/** `qm` of the simulated node, beside what a real one did. */

const HOST = {
  cpus: 4,
  memoryMib: 16_384,
  swapMib: 0,
  baseCores: 0.1,
  baseMemoryMib: 512,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};

const scratch = new Scratch();
const open: SimulatedNode[] = [];
afterEach(async () => {
  for (const node of open.splice(0)) await node.close();
});
afterAll(() => scratch.clear());

async function nodeWith(vm: VmSpec, lockTimeoutMs = 50): Promise<SimulatedNode> {
  const root = scratch.directory();
  const node = await SimulatedNode.create({
    root,
    host: HOST,
    guests: [],
    vms: [vm],
    lockTimeoutMs,
  });
  open.push(node);
  return node;
}

const IDLE = { cpuCores: 0.1, anonMib: 100, fileSetMib: 50 };
/** As `qm create` left it in the recording; no guest answers there. */
const RECORDED: VmSpec = {
  vmid: 900,
  memoryMib: 256,
  running: false,
  settings: {
    boot: '',
    cores: 1,
    cpu: 'qemu64',
    kvm: 0,
    meta: 'creation-qemu=7.2.22,ctime=1795890123',
    name: 'vm1',
    vmgenid: '19c02ab2-a615-41c3-a7c7-7fe8be12c4c0',
  },
  guest: { demand: () => IDLE, driver: 'absent', refusesUnplug: true },
};

/** What the simulator leaves out of a configuration, or has besides. */
const OTHERS = /^(?:(?:cur )?(?:net0|scsi0|smbios1|sockets)): .*\n/gm;
const comparable = (text: string): string => text.replace(OTHERS, '').replace(/[ \t]+/g, ' ');

function isPlayed({ argv, note }: Step): boolean {
  const [tool, command = '', , option] = argv;
  if (tool === 'cat') return true;
  // The first start of the recording was made again by hand.
  if (tool !== 'qm' || note?.startsWith('shutdown')) return false;
  return ['set', 'config', 'pending', 'stop', 'start'].includes(command) || option === undefined;
}

describe.skipIf(!hasShared)('qm does what a real one did', () => {
  it('command by command', async () => {
    const node = await nodeWith(RECORDED);
    const file = join(node.root, 'etc/pve/qemu-server/900.conf');
    const played: string[] = [];
    for (const step of steps('95-qm')) {
      const [tool, command] = step.argv;
      // `qm status --verbose` stands where the machine was started.
      if (command === 'status' && step.note?.startsWith('start')) {
        // It was put right by hand, and started again.
        await node.run(['qm', 'set', '900', '--vcpus', '1']);
        await node.run(['qm', 'start', '900']);
      }
      if (!isPlayed(step) || command === 'create' || command === 'list' || command === 'status') {
        continue;
      }
      // `numa` off with hotplug of memory: the start that fails is not played.
      if (step.exit === 255 && command === 'start') continue;
      const what = `${step.argv.join(' ')} # ${step.note ?? ''}`;
      if (tool === 'cat') {
        expect(comparable(readFileSync(file, 'utf8')), what).toBe(comparable(step.stdout));
      } else {
        const { exit, stdout, stderr } = await node.run(step.argv);
        const seen = { exit, stdout: comparable(String(stdout)), stderr };
        const expected = { exit: step.exit, stdout: comparable(step.stdout), stderr: step.stderr };
        expect(seen, what).toEqual(expected);
      }
      played.push(what);
    }
    expect(played.length).toBeGreaterThan(50);
  });
});

describe('a running machine', () => {
  const VM: VmSpec = {
    vmid: 200,
    memoryMib: 4096,
    settings: {
      cores: 4,
      shares: 0,
      hotplug: 'disk,network,usb,cpu,memory',
      numa: 1,
      vcpus: 4,
    },
    guest: { demand: () => ({ ...IDLE, fileSetMib: 500 }) },
  };
  const guestOf = (node: SimulatedNode) => {
    const vm = node.machine.vms.running(200);
    if (vm === undefined) throw new Error('it does not run');
    return vm.guest;
  };

  it('follows the target of its balloon, and takes its time', async () => {
    const node = await nodeWith(VM);
    expect((await node.run(['qm', 'set', '200', '--balloon', '2048'])).exit).toBe(0);
    node.advance(2000);
    expect(guestOf(node).actualMib).toBeCloseTo(3072, 0);
    node.advance(5000);
    expect(guestOf(node).actualMib).toBe(2048);
    expect(guestOf(node).oomKills).toBe(0);
  });

  it('plugs CPUs in and out, and memory in', async () => {
    const node = await nodeWith(VM);
    expect((await node.run(['qm', 'set', '200', '--vcpus', '2'])).exit).toBe(0);
    expect(guestOf(node).vcpus).toBe(2);
    expect((await node.run(['qm', 'set', '200', '--memory', '5000'])).exit).toBe(0);
    expect(guestOf(node).memoryMib).toBe(5120);
    expect(node.machine.vms.conf(200)?.main.get('memory')).toBe('5120');
  });

  it('that is killed between two CPUs leaves the rest pending', async () => {
    const node = await nodeWith(VM);
    await node.run(['qm', 'set', '200', '--vcpus', '1'], 'C.UTF-8', 'first-option');
    const conf = node.machine.vms.conf(200);
    expect([conf?.main.get('vcpus'), conf?.pending.get('vcpus')]).toEqual(['3', '1']);
  });

  it('is starved where its balloon takes too much, and its OOM killer strikes', async () => {
    const anonMib = (ms: number): number => (ms > 20_000 ? 3000 : 500);
    const node = await nodeWith({
      ...VM,
      guest: { demand: (ms) => ({ cpuCores: 1, anonMib: anonMib(ms) }) },
    });
    await node.run(['qm', 'set', '200', '--balloon', '2048']);
    node.advance(15_000);
    expect(guestOf(node).oomKills).toBe(0);
    node.advance(10_000);
    expect(guestOf(node).oomKills).toBeGreaterThan(0);
    expect(node.oomKills(200)).toBe(guestOf(node).oomKills);
  });

  it('is known by its cgroup, where the CPU shows and the cpuset does not', async () => {
    const node = await nodeWith({ ...VM, guest: { demand: () => ({ ...IDLE, cpuCores: 2 }) } });
    const scope = join(node.root, 'sys/fs/cgroup/qemu.slice/200.scope');
    node.advance(10_000);
    expect(readFileSync(join(scope, 'cpu.stat'), 'utf8')).toContain('usage_usec 20000000\n');
    expect(() => readFileSync(join(scope, 'cpuset.cpus'))).toThrow();
    await node.run(['qm', 'set', '200', '--cpulimit', '0.5']);
    expect(readFileSync(join(scope, 'cpu.max'), 'utf8')).toBe('50000 100000\n');
  });

  it('says in /proc/locks who holds its configuration', async () => {
    const node = await nodeWith(VM);
    const locks = (): string => readFileSync(join(node.root, 'proc/locks'), 'utf8');
    node.holdConfigLock(200);
    expect(locks()).toMatch(/^1: FLOCK {2}ADVISORY {2}WRITE \d+ 00:1a:\d+ 0 EOF\n$/);
    expect((await node.run(['qm', 'set', '200', '--balloon', '2048'])).exit).toBe(4);
    node.releaseConfigLock(200);
    expect(locks()).toBe('');
  });

  it('with shares is ballooned by pvestatd', async () => {
    const settings = { ...VM.settings, balloon: 1024, shares: 1000 };
    const big: VmSpec = {
      ...VM,
      memoryMib: 15_000,
      settings,
      guest: { demand: () => ({ cpuCores: 1, anonMib: 9000 }) },
    };
    const node = await nodeWith(big);
    const before = guestOf(node).actualMib;
    node.advance(60_000);
    expect(guestOf(node).targetMib).not.toBe(before);
  });
});
