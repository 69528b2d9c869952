import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runTrial, type TrialResult } from './trial.ts';

/** `npm run test:faults -- --seed N --cycles N`: the long form; ends with 1 if anything broke. */

const CYCLES_A_TRIAL = 250;
/** After so many there is enough to look into. */
const MOST_BROKEN = 5;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    cycles: { type: 'string', default: '10000' },
    first: { type: 'string', default: '1' },
    'at-once': { type: 'string', default: String(Math.min(3, availableParallelism())) },
  },
});

const most = Number(values.cycles);
const results: TrialResult[] = [];
const begunMs = performance.now();

function add(to: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [name, count] of counts) to.set(name, (to.get(name) ?? 0) + count);
}

const sum = (of: (result: TrialResult) => number): number =>
  results.reduce((all, result) => all + of(result), 0);

const brokenOnes = (): number => results.filter(({ broken }) => broken.length > 0).length;

function table(title: string, of: (result: TrialResult) => ReadonlyMap<string, number>): void {
  const counts = new Map<string, number>();
  for (const result of results) add(counts, of(result));
  console.log(`\n${title}`);
  const rows = [...counts].sort(([one], [other]) => (one < other ? -1 : 1));
  for (const [name, count] of rows) console.log(`  ${String(count).padStart(7)}  ${name}`);
}

function report(result: TrialResult): void {
  const { seed, cycles, faulty, changes, starts, broken, directory } = result;
  const counts = `${cycles} cycles (${faulty} faulty), ${changes} commands, ${starts} starts`;
  console.log(`seed ${seed}: ${counts}${broken.length === 0 ? '' : ', BROKEN'}`);
  for (const what of broken) console.log(`  ${what}`);
  if (broken.length === 0) return;
  console.log(`  all of it is in ${directory}; once more:`);
  console.log(`  npm run test:faults -- --seed ${seed} --cycles ${CYCLES_A_TRIAL}`);
}

async function worker(seeds: Iterator<string>): Promise<void> {
  for (let next = seeds.next(); next.done !== true; next = seeds.next()) {
    const left = most - sum(({ cycles }) => cycles);
    if (values.seed === undefined && (left <= 0 || brokenOnes() >= MOST_BROKEN)) return;
    const cycles = values.seed === undefined ? CYCLES_A_TRIAL : most;
    const result = await runTrial({ seed: next.value, cycles });
    results.push(result);
    report(result);
  }
}

function* allSeeds(): Generator<string> {
  for (let seed = Number(values.first); ; seed += 1) {
    // Of three one has a group, and one has machines.
    yield `${['g', 'v', ''][seed % 3]}${seed}`;
  }
}

const seeds = values.seed === undefined ? allSeeds() : [values.seed].values();
await Promise.all(Array.from({ length: Number(values['at-once']) }, () => worker(seeds)));
table('Faults that were met', ({ met }) => met);
table('Let pass', ({ excused }) => excused);
const seconds = Math.round((performance.now() - begunMs) / 1000);
const broken = brokenOnes();
const cycles = sum((result) => result.cycles);
const faulty = sum((result) => result.faulty);
console.log(`\n${cycles} cycles, ${faulty} of them faulty, in ${seconds} s: ${broken} broken`);
process.exitCode = broken > 0 ? 1 : 0;
