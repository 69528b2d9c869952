import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { measureProcess } from '../long/measures.ts';
import { serviceStart } from '../service-flags.ts';
import { CLUSTER_CA, LargeCluster } from './far-cluster.ts';

/**
 * One process that looks after all nodes of a cluster by the API, each an entry of its own: what a
 * cycle costs, what is asked for, and how long a saturated guest waits. In real time.
 */

const GUESTS = 300;
/** `NODES=32` plays that size only. */
const SIZES = process.env['NODES']?.split(',').map(Number) ?? [3, 10, 32];
const POLL_S = 10;
const MINUTE_MS = 60_000;

export async function benchFar(): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const nodes of SIZES) lines.push(...(await ofSize(nodes)));
  return lines;
}

async function ofSize(nodes: number): Promise<readonly string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-bench-far-'));
  const cluster = new LargeCluster(nodes, GUESTS);
  const daemon = startDaemon(directory, nodes, await cluster.listen());
  try {
    const startMs = performance.now();
    await quiet(cluster);
    const warmMs = performance.now() - startMs;
    Object.assign(cluster.asked, NOTHING);
    const [before, cyclesBefore] = [measureProcess(daemon.pid), daemon.cycles()];
    await sleep(MINUTE_MS);
    const [after, cyclesAfter] = [measureProcess(daemon.pid), daemon.cycles()];
    const { looks, configs, changes } = cluster.asked;
    const rounds = (cyclesAfter - cyclesBefore) / nodes;
    const cpuMs = (after.cpuMs - before.cpuMs) / rounds;
    const waitedS = await waitsFor(cluster, 1000 * nodes + 7);
    return [
      `${nodes} nodes with ${GUESTS} guests each, a cycle every ${POLL_S} s, one minute:`,
      `${cpuMs.toFixed(0).padStart(6)} ms  CPU of a cycle of all nodes (goal: 2000)`,
      `${after.residentMb.toFixed(0).padStart(6)} MB  resident (goal: 150)`,
      `${(looks / rounds).toFixed(1).padStart(6)}     looks a cycle, ${configs + changes} others`,
      `${waitedS.toFixed(1).padStart(6)} s   from a saturated guest to its change`,
      `${(warmMs / 1000).toFixed(0).padStart(6)} s   from the start until all was read`,
    ];
  } finally {
    daemon.end();
    cluster.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Nothing is asked any more but looks, for the time of a cycle. */
async function quiet({ asked }: LargeCluster): Promise<void> {
  for (let before = -1; before !== asked.configs || before === 0; ) {
    before = asked.configs;
    await sleep(POLL_S * 1500);
  }
}

const NOTHING = { looks: 0, configs: 0, changes: 0 };

async function waitsFor(cluster: LargeCluster, vmid: number): Promise<number> {
  const startMs = performance.now();
  await cluster.saturate(vmid);
  return (performance.now() - startMs) / 1000;
}

function startDaemon(directory: string, nodes: number, port: number) {
  const host = join(directory, 'host');
  const state = join(directory, 'state');
  mkdirSync(join(host, 'etc/lxc_autoscale'), { recursive: true });
  mkdirSync(state);
  chmodSync(state, 0o700);
  const entries = Array.from({ length: nodes }, (_, index) => {
    const login = ['token_id: as@pve!b', 'token_secret: of-the-bench', 'ca_file: /etc/ca.pem'];
    const keys = ['host: 127.0.0.1', `port: ${port}`, ...login].map((key) => `    ${key}\n`);
    return `  pve${index + 1}:\n${keys.join('')}`;
  });
  copyFileSync(CLUSTER_CA, join(host, 'etc/ca.pem'));
  writeFileSync(
    join(host, 'etc/lxc_autoscale/lxc_autoscale.yaml'),
    `DEFAULT: {poll_interval: ${POLL_S}, sample_interval: ${POLL_S}, log_quiet_cycles: True}\n` +
      `NODES:\n${entries.join('')}`,
    { mode: 0o600 },
  );
  const home = process.cwd();
  const { flags, allocator } = serviceStart(join(home, 'systemd/lxc_autoscale.service'));
  const own = ['--sysroot', host, '--state', state, 'daemon'];
  const child = spawn(process.execPath, [...flags, join(home, 'dist/lxc-autoscale.cjs'), ...own], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], ...allocator },
  });
  let cycles = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    cycles += text.split('Resource allocation process completed').length - 1;
  });
  return { pid: child.pid ?? 0, cycles: () => cycles, end: () => child.kill('SIGKILL') };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
