import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { median } from '../long/measures.ts';
import { type QuietCost, type QuietRun, quietDaemon } from './quiet-daemon.ts';

/**
 * `BASELINE=FOLDER npm run bench beside`: what a quiet cycle costs, and what the daemon holds,
 * beside the built checkout in FOLDER. Both run in turn, so that what else goes on hits both.
 */

const PAIRS = 7;
const RUN = { containers: 100, cycles: 120, sampleS: 60 } as const;
const BY_DEFAULT = { containers: 100, cycles: 24, sampleS: 10, pollS: 300 } as const;

export async function benchBeside(): Promise<readonly string[]> {
  const baseline = process.env['BASELINE'];
  if (baseline === undefined) return ['left out: BASELINE names no folder of a built checkout'];
  const bundle = join(baseline, 'dist/lxc-autoscale.cjs');
  if (!existsSync(bundle)) return [`left out: there is no ${bundle}; build it there first`];
  const lines = await inPairs(RUN.cycles, PAIRS, { ...RUN, bundle }, RUN);
  const { cycles } = BY_DEFAULT;
  return [...lines, ...(await inPairs(cycles, PAIRS, { ...BY_DEFAULT, bundle }, BY_DEFAULT))];
}

const UNSEEN = { ...RUN, cycles: 60 } as const;
const UNSEEN_PAIRS = 5;

/** What `http_listen` costs while nobody looks, beside a daemon that serves nothing. */
export async function benchUnseen(): Promise<readonly string[]> {
  const port = await freePort();
  const more = `  http_listen: 127.0.0.1:${port}\n`;
  return inPairs(UNSEEN.cycles, UNSEEN_PAIRS, UNSEEN, { ...UNSEEN, more });
}

async function inPairs(
  cycles: number,
  pairs: number,
  one: QuietRun,
  other: QuietRun,
): Promise<readonly string[]> {
  const before: QuietCost[] = [];
  const now: QuietCost[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    before.push(await quietDaemon(one));
    now.push(await quietDaemon(other));
  }
  const line = (what: string, unit: string, of: (cost: QuietCost) => number): string => {
    const [old, own] = [before, now].map((costs) => median(costs.map(of)));
    // Pair by pair, since the two of a pair ran under the same load.
    const ratio = median(now.map((cost, pair) => of(cost) / of(before[pair] as QuietCost)));
    return `${what}: ${old?.toFixed(1)} -> ${own?.toFixed(1)} ${unit}, ${ratio.toFixed(3)} x`;
  };
  return [
    `${pairs} pairs, ${one.containers} containers, ${cycles} cycles, a sample every ` +
      `${one.sampleS} s; medians`,
    line('CPU of a quiet cycle and its samples', 'ms', ({ cpuMsPerCycle }) => cpuMsPerCycle),
    line('private memory', 'MB', ({ privateMb }) => privateMb),
    line('resident memory', 'MB', ({ residentMb }) => residentMb),
  ];
}
