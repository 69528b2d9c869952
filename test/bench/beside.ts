import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../long/measures.ts';
import { type QuietCost, quietDaemon } from './quiet-daemon.ts';

/**
 * `BASELINE=FOLDER npm run bench beside`: what a quiet cycle costs, and what the daemon holds,
 * beside the built checkout in FOLDER. Both run in turn, so that what else goes on hits both.
 */

const PAIRS = 7;
const RUN = { containers: 100, cycles: 120, sampleS: 60 } as const;

export async function benchBeside(): Promise<readonly string[]> {
  const baseline = process.env['BASELINE'];
  if (baseline === undefined) return ['left out: BASELINE names no folder of a built checkout'];
  const bundle = join(baseline, 'dist/lxc-autoscale.cjs');
  if (!existsSync(bundle)) return [`left out: there is no ${bundle}; build it there first`];
  const before: QuietCost[] = [];
  const now: QuietCost[] = [];
  for (let pair = 0; pair < PAIRS; pair += 1) {
    before.push(await quietDaemon({ ...RUN, bundle }));
    now.push(await quietDaemon(RUN));
  }
  const line = (what: string, unit: string, of: (cost: QuietCost) => number): string => {
    const [old, own] = [before, now].map((costs) => median(costs.map(of)));
    // Pair by pair, since the two of a pair ran under the same load.
    const ratio = median(now.map((cost, pair) => of(cost) / of(before[pair] as QuietCost)));
    return `${what}: ${old?.toFixed(1)} -> ${own?.toFixed(1)} ${unit}, ${ratio.toFixed(2)} x`;
  };
  return [
    `${PAIRS} pairs, ${RUN.containers} containers, ${RUN.cycles} cycles; medians`,
    line('CPU of a quiet cycle', 'ms', ({ cpuMsPerCycle }) => cpuMsPerCycle),
    line('private memory', 'MB', ({ privateMb }) => privateMb),
    line('resident memory', 'MB', ({ residentMb }) => residentMb),
  ];
}
