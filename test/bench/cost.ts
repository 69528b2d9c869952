import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { cpuMsOf, measureProcess } from '../long/measures.ts';
import { serviceStart } from '../service-flags.ts';
import { quietDaemon } from './quiet-daemon.ts';
import { onQuietNode } from './quiet-node.ts';

/**
 * What the real program costs the node: CPU time of a quiet cycle by the number of containers, and,
 * in real time, how long it takes to start, and what a minute at `poll_interval: 10` costs with
 * everything that goes on besides the cycles. CPU time, since other programs share the machine.
 */

const SIZES = [10, 100, 1000] as const;
const CYCLES = 60;
/** Code that runs often gets faster with time; what is told is the beginning. */
const WARM_UP_MS = 20_000;
const MINUTE_MS = 60_000;

export async function benchCost(): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const containers of SIZES) {
    const cost = await quietDaemon({ containers, cycles: CYCLES, sampleS: 60 });
    const each = ((cost.cpuMsPerCycle * 1000) / containers).toFixed(0);
    const goal = containers === 1000 ? ' (goal: less than 100)' : '';
    lines.push(
      `${cost.cpuMsPerCycle.toFixed(1).padStart(6)} ms  CPU of a quiet cycle, ${containers} ` +
        `containers: ${each} us each${goal}; ${cost.processes} processes started`,
    );
  }
  for (const sampleS of [10, 2]) {
    lines.push(...(await onQuietNode(100, (root, node) => aMinute(root, node, sampleS))));
  }
  return lines;
}

async function aMinute(root: string, node: SimulatedNode, sampleS: number) {
  const daemon = startDaemon(root, node, sampleS);
  node.start();
  try {
    const startup = await daemon.firstCycle;
    await sleep(WARM_UP_MS);
    const [before, cyclesBefore] = [measureProcess(daemon.pid), daemon.cycles()];
    await sleep(MINUTE_MS);
    const [after, cyclesAfter] = [measureProcess(daemon.pid), daemon.cycles()];
    const hourS = ((after.cpuMs - before.cpuMs) * 60) / 1000;
    const percent = (hourS / 36).toFixed(3);
    const cycles = cyclesAfter - cyclesBefore;
    const bytes = (after.writtenBytes - before.writtenBytes) / cycles;
    return [
      `100 containers, a cycle every 10 s, a sample every ${sampleS}, one minute (${cycles}):`,
      `${hourS.toFixed(2).padStart(6)} s   CPU an hour: ${percent} % of a core (goal: 0.1)`,
      `${String(after.wakeUps - before.wakeUps).padStart(6)}     wake-ups a minute, all threads`,
      `${bytes.toFixed(0).padStart(6)}     bytes written a cycle, to logs and standard output`,
      `${String(node.calls.length).padStart(6)}     processes started`,
      startup,
    ];
  } finally {
    daemon.end();
  }
}

function startDaemon(root: string, node: SimulatedNode, sampleS: number) {
  mkdirSync(join(root, 'etc/lxc_autoscale'), { recursive: true });
  writeFileSync(
    join(root, 'etc/lxc_autoscale/lxc_autoscale.yaml'),
    `DEFAULT:\n  poll_interval: 10\n  log_quiet_cycles: True\n  sample_interval: ${sampleS}\n`,
  );
  const home = process.cwd();
  const { flags, allocator } = serviceStart(join(home, 'systemd/lxc_autoscale.service'));
  const PATH = `${node.binDirectory}:${process.env['PATH']}`;
  const args = [...flags, join(home, 'dist/lxc-autoscale.cjs'), '--sysroot', root, 'daemon'];
  const startMs = performance.now();
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...allocator, PATH },
  });
  const pid = child.pid ?? 0;
  let cycles = 0;
  let observedMs = Number.NaN;
  const firstCycle = new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the daemon ended with ${code}`)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('Initial resources')) observedMs = performance.now() - startMs;
      cycles += text.split('Resource allocation process completed').length - 1;
      if (cycles === 0) return;
      const readyMs = (performance.now() - startMs).toFixed(0).padStart(6);
      resolve(
        `${readyMs} ms  from its start to the end of the first cycle (READY), the containers ` +
          `seen after ${observedMs.toFixed(0)}; ${cpuMsOf(pid).toFixed(0)} ms of CPU`,
      );
    });
  });
  return { pid, firstCycle, cycles: () => cycles, end: () => void child.kill('SIGKILL') };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
