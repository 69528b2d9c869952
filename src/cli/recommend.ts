import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import type { Config } from '../config/model.ts';
import { plainText } from '../core/plain-text.ts';
import { type Advised, advised, advisedJson, saved, tierLines } from '../lab/advised.ts';
import { type Bounds, boundsOfHost } from '../lab/demand.ts';
import { recommendationOf } from '../lab/recommend.ts';
import type { MachineAdvice } from '../node/guests/qemu-advice.ts';
import { whyHanging } from '../os/answering-files.ts';
import { table } from '../output/table.ts';
import type { Arguments } from './arguments.ts';
import { configurationOf } from './backtest.ts';
import { readDemands } from './demands.ts';
import { contestOf } from './lab-policies.ts';
import { adviceLines, hostHere, machinesHere } from './machine-advice.ts';
import { createProgress } from './progress.ts';
import { hoursWords } from './recorded-basis.ts';
import { hanging, terminalWidth } from './view.ts';

/** `recommend [GUEST]`: what each container should have, by recorded demand. Changes nothing. */
export async function recommend(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { stdout, stderr } = context;
  const config = configurationOf(given, context);
  if (config === 'broken') return EXIT.configuration;
  const read = await readDemands(given, context);
  if (!read.ok) {
    for (const problem of read.problems) stderr.write(`${problem}\n`);
    return EXIT.failure;
  }
  const bounds = boundsFor(given, config, context);
  const progress = createProgress(stderr, read.demands.length, context.clock);
  const rows = read.demands.map((demand) => {
    const row = advised(recommendationOf(demand, bounds), read.had.get(demand.name));
    progress.advance(1, plainText(demand.name, 40));
    return row;
  });
  progress.finish();
  if (given.json) stdout.write(asJson(rows));
  else if (given.yaml) stdout.write(asYaml(rows, config));
  else {
    const lines = [...asTable(rows), ...adviceLines(await machinesOf(rows, context))];
    stdout.write(`${hanging(lines, terminalWidth(context)).join('\n')}\n`);
  }
  return EXIT.fine;
}

/**
 * What was recorded on a node is bound by its host, as on the page. Elsewhere, and if a
 * configuration is named, its bounds count; without one they are as for traces.
 */
function boundsFor(given: Arguments, config: Config | undefined, context: ProcessContext): Bounds {
  const ofConfig = contestOf(config, []).bounds;
  if (given.configFile !== undefined || given.traceFile !== undefined) return ofConfig;
  const host = hostHere(context);
  return host === undefined ? ofConfig : boundsOfHost(host.cpus, host.memoryMib);
}

/** The virtual machines of this node that the record has; none on a host that is no node. */
async function machinesOf(
  rows: readonly Advised[],
  context: ProcessContext,
): Promise<readonly MachineAdvice[]> {
  const cluster = context.paths.pveDir;
  if ((await whyHanging({ cluster, others: [] })) !== undefined) return [];
  const wanted = new Map(
    rows.map(({ advice: { name, cores, memory } }) => [
      name,
      { cores: cores.amount, memoryMib: memory?.amount },
    ]),
  );
  const known = machinesHere(context, (vmid) => wanted.get(String(vmid)));
  return known.filter(({ vmid }) => wanted.has(String(vmid)));
}

const shown = (value: number | undefined, unit: string): string =>
  value === undefined ? '-' : `${Math.round(value * 100) / 100}${unit}`;

function asTable(rows: readonly Advised[]): readonly string[] {
  const heads = ['CONTAINER', 'CORES', 'PEAK', 'MEMORY', 'PEAK', 'SAVES', 'SURE', 'TIER'];
  const lines = table([
    heads,
    ...rows.map(({ advice: { name, cores, memory, sure, hours }, had, tier }) => [
      name,
      String(cores.amount),
      shown(cores.peak, ''),
      shown(memory?.amount, ' MB'),
      shown(memory && Math.round(memory.peak), ' MB'),
      savesWords(saved(had?.cores, cores), saved(had?.memoryMib, memory)),
      `${sure}, ${hoursWords(hours)}`,
      tier.name,
    ]),
  ]);
  const note =
    'Saves: what it had at the end of the record, less this; a minus sign says that it needs more.';
  const remarks = [...rows.flatMap(belowPeak), ...rows.flatMap(shortWords)];
  return [...lines, '', note, SURE, ...remarks];
}

const SURE =
  'Sure: low, less than a day is recorded; fair, less than a week, or demand that jumps; ' +
  'high, a calm week or more.';

/** A container that is advised less than the most that it has ever wanted, and why. */
function belowPeak({ advice: { name, cores } }: Advised): readonly string[] {
  if (cores.amount >= cores.peak) return [];
  const core = cores.amount === 1 ? '1 core is' : `${cores.amount} cores are`;
  return [
    `${name}: its peak of ${shown(cores.peak, '')} is short: ${core} enough in ` +
      `${enough(cores.shortShare)} % of the time.`,
  ];
}

/** Never as 100: that would be always. */
const enough = (short: number): string => Math.min(99.9, (1 - short) * 100).toFixed(1);

/** Less than this share of the time at a limit is what any peak has. */
const OFTEN = 0.01;

/** A record cannot show what a limit held back. */
function shortWords({ advice: { name }, had }: Advised): readonly string[] {
  const said = [
    ['cores were', had?.coresShort ?? 0],
    ['memory was', had?.memoryShort ?? 0],
  ] as const;
  return said
    .filter(([, share]) => share >= OFTEN)
    .map(
      ([what, share]) =>
        `${name}: all of its ${what} in use ${Math.round(share * 100)} % of the time; it may ` +
        'want more than the record shows.',
    );
}

function savesWords(cores: number | undefined, mib: number | undefined): string {
  if (cores === undefined && mib === undefined) return '-';
  return [
    ...(cores === undefined ? [] : [`${shown(cores, '')} cores`]),
    ...(mib === undefined ? [] : [`${Math.round(mib)} MB`]),
  ].join(', ');
}

function asJson(rows: readonly Advised[]): string {
  return `${JSON.stringify({ containers: rows.map(advisedJson) }, null, 2)}\n`;
}

function asYaml(rows: readonly Advised[], config: Config | undefined): string {
  const taken = new Set(config?.tiers.map(({ name }) => name));
  return `${tierLines(rows, taken).join('\n')}\n`;
}
