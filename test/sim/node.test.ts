import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Fault } from '../../src/sim/faults.ts';
import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { type NodeOptions, SimulatedNode } from '../../src/sim/node.ts';
import type { Demand, HostSpec } from '../../src/sim/plant.ts';
import { until } from '../patience.ts';
import { Scratch } from './recorded.ts';
import { SMALL_HOST } from './small-host.ts';

const HOST: HostSpec = { ...SMALL_HOST, cpus: 4 };

const guest = (vmid: number, demand: Partial<Demand> = {}): GuestSpec => ({
  vmid,
  conf: guestText({ vmid, name: `ct${vmid}`, cores: 2, memoryMib: 512 }),
  demand: () => ({ cpuCores: 1, anonMib: 100, ...demand }),
});

const scratch = new Scratch();
const open: SimulatedNode[] = [];

async function nodeOf(options: Partial<NodeOptions> = {}): Promise<SimulatedNode> {
  const guests = [guest(101), guest(102)];
  const base = { root: scratch.directory(), host: HOST, guests, lockTimeoutMs: 50 };
  const node = await SimulatedNode.create({ ...base, ...options });
  open.push(node);
  return node;
}

afterEach(async () => {
  for (const node of open.splice(0)) await node.close();
});
afterAll(() => scratch.clear());

interface Finished {
  readonly exit: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly end: Promise<Finished>;
}

/** Runs a command as a program does that has the node's executables in its PATH. */
function launch(node: SimulatedNode, argv: readonly string[], locale = 'C.UTF-8'): Running {
  const [tool = '', ...words] = argv;
  const env = { PATH: `${node.binDirectory}:/usr/bin:/bin`, LC_ALL: locale };
  const child = spawn(tool, words, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const end = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exit, signal) => {
      const text = Buffer.concat(stderr).toString();
      resolve({ exit, signal, stdout: Buffer.concat(stdout), stderr: text });
    });
  });
  return { child, end };
}

const call = (node: SimulatedNode, argv: readonly string[], locale?: string): Promise<Finished> =>
  launch(node, argv, locale).end;

const cgroup = (node: SimulatedNode, path: string): string =>
  readFileSync(join(node.root, 'sys/fs/cgroup/lxc', path), 'utf8').trimEnd();

const conf = (node: SimulatedNode, vmid: number): string =>
  readFileSync(join(node.root, `etc/pve/lxc/${vmid}.conf`), 'utf8');

const isAlive = (pid: number): boolean => {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

describe('the executables', () => {
  it('answer as processes, and are recorded', async () => {
    const node = await nodeOf();
    const listed = await call(node, ['pct', 'list']);
    expect(listed.exit).toBe(0);
    expect(listed.stderr).toBe('');
    expect(`${listed.stdout}`).toMatch(/^VMID +Status +Lock +Name +\n101 +running +ct101 +\n/);
    const missing = await call(node, ['pct', 'set', '999', '--cores', '2']);
    expect(missing.exit).toBe(2);
    expect(missing.stderr).toBe("Configuration file 'nodes/pve1/lxc/999.conf' does not exist\n");
    const version = await call(node, ['pvesh', 'get', '/version', '--output-format', 'json']);
    expect(JSON.parse(`${version.stdout}`)).toMatchObject({ release: '8.4' });
    expect(node.calls.map(({ argv, exit }) => ({ argv: argv.join(' '), exit }))).toEqual([
      { argv: 'pct list', exit: 0 },
      { argv: 'pct set 999 --cores 2', exit: 2 },
      { argv: 'pvesh get /version --output-format json', exit: 0 },
    ]);
  });

  it('pass words through whatever is in them', async () => {
    const node = await nodeOf();
    const word = `it's "a" $HOME \\ * \u00fc`;
    const echoed = await call(node, ['pct', 'exec', '101', '--', 'echo', word]);
    expect(`${echoed.stdout}`).toBe(`${word}\n`);
  });

  it('lose what is not ASCII without a UTF-8 locale', async () => {
    const node = await nodeOf();
    await call(node, ['pct', 'set', '101', '--description', 'n\u00e4he'], 'C.UTF-8');
    expect(conf(node, 101)).toMatch(/^#n%C3%A4he\n/);
    await call(node, ['pct', 'set', '101', '--description', 'n\u00e4he'], 'C');
    expect(conf(node, 101)).toMatch(/^#n%EF%BF%BD%EF%BF%BDhe\n/);
  });

  it('say so when the node is gone', async () => {
    const node = await nodeOf();
    await node.close();
    const refused = await call(node, ['pct', 'list']);
    expect(refused.exit).toBe(111);
    expect(refused.stderr).toContain('Connection refused');
  });

  it('work from a root whose path is too long for a socket', async () => {
    const root = join(scratch.directory(), 'deep'.repeat(20), 'deeper'.repeat(10));
    const node = await nodeOf({ root });
    expect((await call(node, ['pct', 'status', '101'])).exit).toBe(0);
  });

  it('change a container: configuration, limits at once, cpuset with the next pass', async () => {
    const node = await nodeOf();
    const argv = ['pct', 'set', '101', '--cores', '3', '--memory', '768'];
    expect((await call(node, argv)).exit).toBe(0);
    expect(cgroup(node, '101/memory.max')).toBe(`${768 * 1024 * 1024}`);
    expect(cgroup(node, '101/ns/memory.max')).toBe('max');
    expect(node.limits(101)).toMatchObject({ cores: 3, memoryMib: 768, live: { cpus: 2 } });
    node.setPvestatd(false);
    node.advance(30_000);
    expect(node.limits(101)?.live?.cpus).toBe(2);
    node.setPvestatd(true);
    node.advance(200);
    expect(node.limits(101)?.live?.cpus).toBe(3);
    expect(node.events.filter(({ vmid }) => vmid === 101)).toMatchObject([
      { what: 'set', detail: 'cores 2 -> 3, memory 512 -> 768' },
      { what: 'cpuset' },
    ]);
  });

  it('refuse a digest of yesterday, and take the one of the file', async () => {
    const node = await nodeOf();
    const { createHash } = await import('node:crypto');
    const digest = createHash('sha1').update(conf(node, 101)).digest('hex');
    node.editConfig(101, (text) => text.replace('onboot: 1', 'onboot: 0'));
    const stale = await call(node, ['pct', 'set', '101', '--digest', digest, '--cores', '1']);
    expect(stale.exit).toBe(255);
    expect(stale.stderr).toMatch(/^detected modified configuration/);
    const fresh = createHash('sha1').update(conf(node, 101)).digest('hex');
    const done = await call(node, ['pct', 'set', '101', '--digest', fresh, '--cores', '1']);
    expect(done.exit).toBe(0);
    expect(conf(node, 101)).toContain('cores: 1\n');
  });
});

describe('locks', () => {
  it('are waited for, and in vain only so long', async () => {
    const node = await nodeOf({ lockTimeoutMs: 300 });
    expect(node.holdConfigLock(101)).toBe(true);
    const other = await call(node, ['pct', 'set', '102', '--cores', '1']);
    expect(other.exit).toBe(0);
    const vain = await call(node, ['pct', 'set', '101', '--cores', '1']);
    expect(vain.exit).toBe(4);
    expect(vain.stderr).toBe(
      'trying to acquire lock...\n' +
        "can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout\n",
    );
    expect(existsSync(join(node.root, 'run/lock/lxc/pve-config-101.lock'))).toBe(true);
    const waiting = call(node, ['pct', 'set', '101', '--cores', '1']);
    await until(() => node.calls.length === 3);
    node.releaseConfigLock(101);
    expect((await waiting).exit).toBe(0);
    expect(conf(node, 101)).toContain('cores: 1\n');
  });

  it('a lock line refuses changes until it is gone', async () => {
    const node = await nodeOf();
    node.setLock(101, 'backup');
    const refused = await call(node, ['pct', 'set', '101', '--cores', '1']);
    expect(refused).toMatchObject({ exit: 255, stderr: 'CT is locked (backup)\n' });
    node.setLock(101, undefined);
    expect((await call(node, ['pct', 'set', '101', '--cores', '1'])).exit).toBe(0);
  });
});

describe('containers come and go', () => {
  it('a restart begins a new cgroup with counters at zero and an empty inner cpuset', async () => {
    const node = await nodeOf();
    node.advance(3000);
    const directory = join(node.root, 'sys/fs/cgroup/lxc/101');
    const first = statSync(directory).ino;
    const usage = () => Number(/usage_usec (\d+)/.exec(cgroup(node, '101/cpu.stat'))?.[1]);
    expect(usage()).toBeGreaterThan(3_000_000);
    const cpus = /^[0-3][-,][0-3]$/;
    expect(cgroup(node, '101/cpuset.cpus')).toMatch(cpus);
    expect(cgroup(node, '101/ns/cpuset.cpus')).toBe(cgroup(node, '101/cpuset.cpus'));
    node.stopContainer(101);
    expect(existsSync(directory)).toBe(false);
    expect(existsSync(join(node.root, 'sys/fs/cgroup/lxc.monitor/101'))).toBe(false);
    node.startContainer(101);
    expect(statSync(directory).ino).not.toBe(first);
    expect(usage()).toBe(0);
    expect(cgroup(node, '101/ns/cpuset.cpus')).toBe('');
    expect(cgroup(node, '101/cpuset.cpus')).toMatch(cpus);
    // It stays so until pvestatd has something to change.
    await call(node, ['pct', 'set', '101', '--cores', '3']);
    node.advance(10_000);
    expect(cgroup(node, '101/ns/cpuset.cpus')).toBe(cgroup(node, '101/cpuset.cpus'));
  });

  it('a mounted container is locked until it is unmounted or started', async () => {
    const node = await nodeOf();
    node.stopContainer(101);
    const mounted = await call(node, ['pct', 'mount', '101']);
    expect(mounted).toMatchObject({ exit: 0 });
    expect(`${mounted.stdout}`).toBe("mounted CT 101 in '/var/lib/lxc/101/rootfs'\n");
    const refused = await call(node, ['pct', 'set', '101', '--cores', '1']);
    expect(refused).toMatchObject({ exit: 255, stderr: 'CT is locked (mounted)\n' });
    expect((await call(node, ['pct', 'start', '101'])).exit).toBe(0);
    expect((await call(node, ['pct', 'set', '101', '--cores', '1'])).exit).toBe(0);
  });

  it('one being made has a lock and nothing else, one that stops is noisy', async () => {
    const node = await nodeOf();
    node.beginCreate({ vmid: 150, demand: () => ({ cpuCores: 0, anonMib: 1 }) });
    expect(conf(node, 150)).toBe('lock: create\n');
    node.setStopping(101, true);
    const listed = await call(node, ['pct', 'list']);
    expect(`${listed.stdout}`).not.toMatch(/^101 /m);
    expect(listed.stderr).toMatch(/^Use of uninitialized value/);
    const noise = /^Use of uninitialized value.*\nfailed to read from command socket: .*\n/;
    const status = await call(node, ['pct', 'status', '101']);
    expect(status).toMatchObject({ exit: 0, stderr: expect.stringMatching(noise) });
    expect((await call(node, ['pct', 'set', '101', '--cores', '1'])).stderr).toMatch(noise);
    const refused = await call(node, ['pct', 'set', '101', '--digest', 'x', '--cores', '1']);
    expect(refused).toMatchObject({ exit: 255, stderr: expect.stringMatching(noise) });
    expect(refused.stderr).toMatch(/\ndetected modified configuration[^\n]*\n$/);
    expect((await call(node, ['pct', 'config', '101'])).stderr).toBe('');
    expect((await call(node, ['pct', 'status', '102'])).stderr).toBe('');
    node.setStopping(101, false);
    expect(`${(await call(node, ['pct', 'list'])).stdout}`).toMatch(/^101 /m);
  });

  it('a container can be added and destroyed while the node runs', async () => {
    const node = await nodeOf({ foreign: [{ vmid: 300, node: 'pve2', type: 'qemu' }] });
    node.addContainer(guest(150));
    node.advance(200);
    expect(cgroup(node, '150/memory.max')).toBe(`${512 * 1024 * 1024}`);
    node.destroyContainer(150);
    const list = JSON.parse(readFileSync(join(node.root, 'etc/pve/.vmlist'), 'utf8'));
    expect(Object.keys(list.ids)).toEqual(['101', '102', '300']);
    expect(list.ids['300']).toMatchObject({ node: 'pve2', type: 'qemu' });
    expect(readdirSync(join(node.root, 'etc/pve/lxc'))).toEqual(['101.conf', '102.conf']);
    const next = await node.run(['pvesh', 'get', '/cluster/nextid', '--output-format', 'json']);
    expect(next.stdout).toBe('"100"\n');
  });

  it('a cpulimit is live at once, and so is its end', async () => {
    const node = await nodeOf();
    expect(cgroup(node, '101/cpu.max')).toBe('max 100000');
    await node.run(['pct', 'set', '101', '--cpulimit', '0.5']);
    expect(cgroup(node, '101/cpu.max')).toBe('50000 100000');
    expect(cgroup(node, '101/ns/cpu.max')).toBe('max 100000');
    await node.run(['pct', 'set', '101', '--delete', 'cores,cpulimit']);
    expect(cgroup(node, '101/cpu.max')).toBe('max 100000');
    expect(node.limits(101)).toMatchObject({ cores: undefined, cpuLimit: undefined });
  });

  it('memory set below what is held kills, and the cgroup goes', async () => {
    const node = await nodeOf();
    expect((await call(node, ['pct', 'set', '101', '--memory', '64', '--swap', '0'])).exit).toBe(0);
    expect(cgroup(node, '101/memory.events')).toContain('oom_kill 4');
    node.advance(3000);
    expect(existsSync(join(node.root, 'sys/fs/cgroup/lxc/101'))).toBe(false);
    expect(node.oomKills(101)).toBe(1);
    expect(node.oomKills(102)).toBe(0);
    expect(`${(await call(node, ['pct', 'status', '101'])).stdout}`).toBe('status: stopped\n');
  });

  it('a kernel without pressure information has no pressure files', async () => {
    const node = await nodeOf({ host: { ...HOST, pressure: false } });
    node.advance(1000);
    expect(existsSync(join(node.root, 'proc/pressure'))).toBe(false);
    expect(readdirSync(join(node.root, 'sys/fs/cgroup/lxc/101'))).not.toContain('cpu.pressure');
  });
});

describe('time', () => {
  it('passes by itself after start, and the rates per second are true', async () => {
    const node = await nodeOf({ demandSpeed: 1440, tickMs: 20 });
    const usage = () => Number(/usage_usec (\d+)/.exec(cgroup(node, '101/cpu.stat'))?.[1]);
    const before = { usage: usage(), ms: node.machine.plant.hostMs };
    node.start();
    await until(() => node.machine.plant.hostMs - before.ms > 150);
    const gained = (usage() - before.usage) / 1000;
    const passed = node.machine.plant.hostMs - before.ms;
    expect(gained / passed).toBeCloseTo(1, 2);
    expect(node.machine.plant.demandMs / node.machine.plant.hostMs).toBeCloseTo(1440, 3);
  });

  it('keeps a ledger of what was allotted and used', async () => {
    const node = await nodeOf({ demandSpeed: 3600 });
    node.advance(10_000);
    const { demandMs, allocatedCoreMs, usedCoreMs, allocatedMibMs } = node.ledger(101);
    expect(demandMs).toBeCloseTo(36_000_000, 0);
    expect(allocatedCoreMs / demandMs).toBeCloseTo(2, 6);
    expect(usedCoreMs / demandMs).toBeCloseTo(1, 6);
    expect(allocatedMibMs / demandMs).toBeCloseTo(512, 6);
  });
});

describe('faults', () => {
  const SET = ['pct', 'set', '101', '--cores', '4', '--memory', '1024'];
  const withFault = async (fault: Fault, options: Partial<NodeOptions> = {}) => {
    const node = await nodeOf(options);
    node.onCommand(() => fault);
    return node;
  };

  it('fails without doing anything', async () => {
    const node = await withFault({ kind: 'fail', exit: 255, stderr: 'no quorum\n' });
    const before = conf(node, 101);
    expect(await call(node, SET)).toMatchObject({ exit: 255, stderr: 'no quorum\n' });
    expect(conf(node, 101)).toBe(before);
  });

  it('says that it is done and is not', async () => {
    const node = await withFault({ kind: 'no-effect' });
    const before = conf(node, 101);
    expect((await call(node, SET)).exit).toBe(0);
    expect(conf(node, 101)).toBe(before);
  });

  it('does its work and says otherwise, at length', async () => {
    const flood = 'x'.repeat(3_000_000);
    const node = await withFault({
      kind: 'answer',
      make: (real) => ({ ...real, exit: 1, stdout: flood, stderr: 'a\r\nb' }),
    });
    const result = await call(node, SET);
    expect(result).toMatchObject({ exit: 1, stderr: 'a\r\nb' });
    expect(result.stdout.length).toBe(flood.length);
    expect(conf(node, 101)).toContain('cores: 4\n');
    const bytes = Buffer.from([0xff, 0x00, 0xfe, 0x0a]);
    node.onCommand(() => ({ kind: 'answer', make: (real) => ({ ...real, stdout: bytes }) }));
    expect((await call(node, ['pct', 'list'])).stdout).toEqual(bytes);
  });

  it('is killed half-way: after the first option, or before the configuration', async () => {
    const node = await withFault({ kind: 'killed', done: 'first-option' });
    expect(await call(node, SET)).toMatchObject({ exit: null, signal: 'SIGKILL' });
    expect(conf(node, 101)).toMatch(/cores: 4\n[\s\S]*memory: 512\n/);
    node.onCommand(() => ({ kind: 'killed', done: 'live-only', signal: 'SIGTERM' }));
    expect(await call(node, SET)).toMatchObject({ signal: 'SIGTERM' });
    expect(node.limits(101)).toMatchObject({ memoryMib: 512, live: { memoryMib: 1024 } });
    expect(node.calls.map((one) => one.exit)).toEqual([undefined, undefined]);
  });

  it('hangs, deaf to SIGTERM, with a child as deaf, until the group is killed', async () => {
    const node = await withFault({ kind: 'hang', ignoreSigterm: true, child: true });
    const { child, end } = launch(node, SET);
    await until(() => node.calls[0]?.childPid !== undefined);
    const grandchild = node.calls[0]?.childPid ?? 0;
    const { pid = 0 } = child;
    await pause(100);
    process.kill(-pid, 'SIGTERM');
    await pause(150);
    expect([isAlive(pid), isAlive(grandchild)]).toEqual([true, true]);
    process.kill(-pid, 'SIGKILL');
    expect((await end).signal).toBe('SIGKILL');
    await until(() => !isAlive(grandchild));
    expect(conf(node, 101)).toContain('cores: 2\n');
  });

  it('hangs after its work, and ends with the node', async () => {
    const node = await withFault({ kind: 'hang', afterWork: true });
    const { end } = launch(node, SET);
    await until(() => conf(node, 101).includes('cores: 4\n'));
    await node.close();
    expect((await end).signal).toBe(null);
  });

  it('ends a polite hanging command by SIGTERM', async () => {
    const node = await withFault({ kind: 'hang' });
    const { child, end } = launch(node, SET);
    await until(() => node.calls.length === 1);
    await pause(100);
    child.kill('SIGTERM');
    expect((await end).signal).toBe('SIGTERM');
  });

  it('a command that is killed while it waits does nothing', async () => {
    const node = await withFault({ kind: 'slow', delayMs: 400 });
    const { child, end } = launch(node, SET);
    await until(() => node.calls.length === 1);
    child.kill('SIGKILL');
    await end;
    await pause(600);
    expect(conf(node, 101)).toContain('cores: 2\n');
  });

  it('chooses by command', async () => {
    const node = await nodeOf();
    node.onCommand(({ argv }) => (argv[2] === '102' ? { kind: 'fail', exit: 1 } : undefined));
    expect((await call(node, ['pct', 'status', '102'])).exit).toBe(1);
    expect((await call(node, ['pct', 'status', '101'])).exit).toBe(0);
  });
});
