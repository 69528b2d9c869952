import { writeFileSync } from 'node:fs';
import { NODE_VERSIONS, nodeBinary } from '../node-versions.ts';
import { type LongRunOptions, longRun } from './long-run.ts';
import { verdict } from './verdict.ts';

/**
 * `npm run test:long [-- --days N --containers N --machines N --poll S --sample S --step MS
 * --everything --node VERSION --csv FILE]`: a month of a hundred containers in a fraction of
 * an hour, and whether anything grew. `npm run test:hundred-days` has virtual machines and a
 * group besides, and people who use the page and the API.
 */

const DEFAULTS = { days: 30, containers: 100, machines: 0, poll: 300, sample: 150, step: 5000 };
const BOUNDS = { mbPerDay: 0.05, cycleDrift: 1.25, descriptors: 5 };

function numberOf(name: keyof typeof DEFAULTS): number {
  const value = textOf(name);
  return value === undefined ? DEFAULTS[name] : Number(value);
}

function textOf(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
}

async function execPath(): Promise<string | undefined> {
  const version = NODE_VERSIONS.find((each) => each === textOf('node'));
  if (version === undefined) return undefined;
  const node = await nodeBinary(version);
  if (!node.ok) throw new Error(node.reason);
  return node.path;
}

async function main(): Promise<void> {
  const path = await execPath();
  const days = numberOf('days');
  const options: LongRunOptions = {
    days,
    containers: numberOf('containers'),
    pollS: numberOf('poll'),
    sampleS: numberOf('sample'),
    machines: numberOf('machines'),
    stepMs: numberOf('step'),
    everythingOn: process.argv.includes('--everything'),
    exchangeEveryMs: 6 * 3_600_000,
    measureEveryMs: 2 * 3_600_000,
    home: process.cwd(),
    ...(path !== undefined && { execPath: path }),
    onProgress: (day) => process.stderr.write(`day ${day.toFixed(1)} of ${days}\n`),
  };
  const run = await longRun(options);
  const csv = textOf('csv');
  if (csv !== undefined) {
    const rows = run.measured.map((each) => Object.values(each).join(','));
    writeFileSync(csv, `${Object.keys(run.measured[0] ?? {}).join(',')}\n${rows.join('\n')}\n`);
  }
  const { lines, faults } = verdict(run, BOUNDS);
  process.stdout.write(`Node ${textOf('node') ?? process.versions.node}\n`);
  for (const line of lines) process.stdout.write(`  ${line}\n`);
  for (const fault of faults) process.stdout.write(`  NOT AS IT SHOULD BE: ${fault}\n`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}

void main();
