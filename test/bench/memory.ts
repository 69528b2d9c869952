import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guestText } from '../../src/simulator/guest-text.ts';
import { SimulatedNode } from '../../src/simulator/node.ts';
import { NODE_VERSIONS, nodeBinary } from '../node-versions.ts';

/**
 * What the daemon holds in memory after 100 quiet cycles with 50 containers, on each Node that
 * users have, against a bare Node process with a timer beside it. Both run the same binary, so that
 * its code counts as shared and what is called private is their own.
 */

const CONTAINERS = 50;
const CYCLES = 100;
/** As the service is to start it. */
const FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=48', '--optimize-for-size'];
const ALLOCATOR = { MALLOC_TRIM_THRESHOLD_: '65536', MALLOC_MMAP_THRESHOLD_: '65536' };
const BUNDLE = join(process.cwd(), 'dist/lxc-autoscale.cjs');

interface Memory {
  readonly residentMb: number;
  readonly privateMb: number;
}

export async function benchMemory(): Promise<readonly string[]> {
  const lines: string[] = [`${CONTAINERS} containers, ${CYCLES} cycles, resident / private:`];
  for (const version of NODE_VERSIONS) {
    const node = await nodeBinary(version);
    if (!node.ok) {
      lines.push(`  Node ${version}: SKIPPED, ${node.reason}`);
      continue;
    }
    const { daemon, bare } = await measure(node.path);
    const ratio = (daemon.privateMb / bare.privateMb).toFixed(2);
    lines.push(`  Node ${version}: ${show(daemon)} (goal: private at most 24 MB)`);
    lines.push(`    a bare timer: ${show(bare)}; the daemon's private is ${ratio} x`);
  }
  return lines;
}

const show = ({ residentMb, privateMb }: Memory): string =>
  `${residentMb.toFixed(1)} / ${privateMb.toFixed(1)} MB`;

async function measure(node: string): Promise<{ daemon: Memory; bare: Memory }> {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-bench-'));
  const root = join(directory, 'node');
  const simulated = await SimulatedNode.create({ root, host: HOST, guests: guests() });
  mkdirSync(join(root, 'etc/lxc_autoscale'), { recursive: true });
  writeFileSync(
    join(root, 'etc/lxc_autoscale/lxc_autoscale.yaml'),
    'DEFAULT: {poll_interval: 1}\n',
  );
  simulated.start();
  const args = [...FLAGS, BUNDLE, '--sysroot', root, 'daemon'];
  const how: SpawnOptions = { stdio: 'ignore', env: { ...process.env, ...ALLOCATOR } };
  const daemon = spawn(node, args, how);
  const bare = spawn(node, [...FLAGS, '-e', 'setInterval(() => {}, 1000)'], how);
  const log = join(root, 'var/log/lxc_autoscale.log');
  try {
    while (cyclesIn(log) < CYCLES) await sleep(500, daemon);
    return { daemon: memoryOf(daemon), bare: memoryOf(bare) };
  } finally {
    await end(daemon);
    await end(bare);
    await simulated.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

const HOST = {
  ...{ cpus: 32, memoryMib: 131_072, swapMib: 8192, baseCores: 0.3, baseMemoryMib: 2048 },
  ...{ pressure: true, kernelRelease: '6.8.12-4-pve' },
};

const guests = () =>
  Array.from({ length: CONTAINERS }, (_, index) => {
    const vmid = 101 + index;
    const conf = guestText({ vmid, name: `ct${vmid}`, cores: 2, memoryMib: 1024 });
    return { vmid, conf, demand: () => ({ cpuCores: 0.5, anonMib: 500, fileSetMib: 100 }) };
  });

function cyclesIn(log: string): number {
  try {
    return readFileSync(log, 'utf8').split('Resource allocation process completed').length - 1;
  } catch {
    return 0;
  }
}

/** Source: Linux, Documentation/filesystems/proc.rst, smaps_rollup. */
function memoryOf({ pid }: ChildProcess): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (key: string): number => Number(new RegExp(`^${key}: +(\\d+)`, 'm').exec(text)?.[1]);
  const privateKib = kib('Private_Clean') + kib('Private_Dirty');
  return { residentMb: kib('Rss') / 1024, privateMb: privateKib / 1024 };
}

function sleep(ms: number, child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}
