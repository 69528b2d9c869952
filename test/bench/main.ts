import { setFlagsFromString } from 'node:v8';
import { benchBeside, benchUnseen } from './beside.ts';
import { benchCost } from './cost.ts';
import { benchCycle } from './cycle.ts';
import { benchFar } from './far.ts';
import { benchLab } from './lab.ts';
import { benchMachines } from './machines.ts';
import { benchMemory } from './memory.ts';
import { benchMetrics } from './metrics.ts';
import { benchNotify } from './notify.ts';
import { benchObserve } from './observe.ts';
import { benchPage } from './page.ts';
import { benchUsage } from './usage.ts';
import { benchVisitors } from './visitors.ts';

/** `npm run bench [NAME]`: each benchmark returns the lines that it has to show. */

interface Benchmark {
  readonly name: string;
  run(): readonly string[] | Promise<readonly string[]>;
}

const BENCHMARKS: readonly Benchmark[] = [
  { name: 'observe', run: benchObserve },
  { name: 'cycle', run: benchCycle },
  { name: 'lab', run: benchLab },
  { name: 'notify', run: benchNotify },
  { name: 'metrics', run: benchMetrics },
  { name: 'machines', run: benchMachines },
  { name: 'memory', run: benchMemory },
  { name: 'cost', run: benchCost },
  { name: 'usage', run: benchUsage },
  { name: 'page', run: benchPage },
  { name: 'visitors', run: benchVisitors },
  { name: 'beside', run: benchBeside },
  { name: 'unseen', run: benchUnseen },
  { name: 'far', run: benchFar },
];

/** As the daemon runs: code is optimized late. */
const AS_THE_DAEMON = ['--opt', '--interrupt-budget=2000000'];

async function main(only: string | undefined): Promise<void> {
  for (const flag of AS_THE_DAEMON) setFlagsFromString(flag);
  for (const { name, run } of BENCHMARKS) {
    if (only !== undefined && only !== name) continue;
    const lines = (await run()).map((line) => `  ${line}\n`);
    process.stdout.write(`${name} (Node ${process.versions.node})\n${lines.join('')}`);
  }
}

void main(process.argv[2]);
