import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { measureProcess } from '../long/measures.ts';
import { NODE_VERSIONS, nodeBinary } from '../node-versions.ts';
import { serviceStart } from '../service-flags.ts';
import { quietDaemon } from './quiet-daemon.ts';

/**
 * What the daemon holds in memory on each Node that users have, started as the unit file starts it,
 * against a bare Node process with a timer. Private is what a process has written itself; it goes
 * up and down with the garbage, so the median and the most of the last 50 of 100 cycles count, of
 * the medians of several starts: where a start finds its memory is left to chance.
 */

const CYCLES = 100;
const STARTS = 3;
const SIZES = [
  { containers: 50, goalMb: 24, cycles: CYCLES, starts: STARTS },
  { containers: 1000, goalMb: 40, cycles: 20, starts: 1 },
] as const;

export async function benchMemory(): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const version of NODE_VERSIONS) {
    const node = await nodeBinary(version);
    if (!node.ok) {
      lines.push(`Node ${version}: SKIPPED, ${node.reason}`);
      continue;
    }
    const bare = await bareTimer(node.path);
    lines.push(`Node ${version}: a bare timer holds ${show(bare.residentMb, bare.privateMb)}`);
    for (const size of SIZES) lines.push(...(await measure(node.path, size)));
  }
  return lines;
}

async function measure(execPath: string, size: (typeof SIZES)[number]): Promise<string[]> {
  const { containers, goalMb, cycles, starts } = size;
  const lines: string[] = [];
  for (let start = 0; start < starts; start += 1) {
    const cost = await quietDaemon({ containers, cycles, sampleS: 10, execPath });
    lines.push(
      `  ${containers} containers: ${show(cost.residentMb, cost.privateMb)} resident / private, ` +
        `at most ${cost.mostPrivateMb.toFixed(1)} (goal: at most ${goalMb})`,
    );
  }
  return lines;
}

const show = (residentMb: number, privateMb: number): string =>
  `${residentMb.toFixed(1)} / ${privateMb.toFixed(1)} MB`;

/** Started alike, as long as it takes to come to rest. */
async function bareTimer(execPath: string) {
  const { flags, allocator } = serviceStart(join(process.cwd(), 'systemd/lxc_autoscale.service'));
  const child = spawn(execPath, [...flags, '-e', 'setInterval(() => {}, 1000)'], {
    stdio: 'ignore',
    env: { ...process.env, ...allocator },
  });
  try {
    await new Promise((resolve) => setTimeout(resolve, 3000));
    return measureProcess(child.pid ?? 0);
  } finally {
    child.kill('SIGKILL');
  }
}
