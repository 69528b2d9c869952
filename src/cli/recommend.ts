import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import type { Config } from '../config/model.ts';
import { parseVmid } from '../core/units.ts';
import { type Advice, type Recommendation, recommendationOf } from '../lab/recommend.ts';
import type { MachineAdvice } from '../node/guests/qemu-advice.ts';
import { whyHanging } from '../os/answering-files.ts';
import { table } from '../output/table.ts';
import type { Arguments } from './arguments.ts';
import { configurationOf } from './backtest.ts';
import { type Had, readDemands } from './demands.ts';
import { contestOf } from './lab-policies.ts';
import { adviceLines, machinesHere } from './machine-advice.ts';
import { hoursWords } from './recorded-basis.ts';

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
  const { bounds } = contestOf(config, []);
  const rows = read.demands.map((demand) => {
    const advice = recommendationOf(demand, bounds);
    return { advice, had: read.had.get(demand.name), tier: tierOf(advice) };
  });
  if (given.json) stdout.write(asJson(rows));
  else if (given.yaml) stdout.write(asYaml(rows, config));
  else {
    const lines = adviceLines(await machinesOf(rows, context));
    stdout.write([asTable(rows), ...lines.map((line) => `${line}\n`)].join(''));
  }
  return EXIT.fine;
}

/** The virtual machines of this node that the record has; none on a host that is no node. */
async function machinesOf(
  rows: readonly Row[],
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

interface Row {
  readonly advice: Recommendation;
  readonly had: Had | undefined;
  readonly tier: Tier;
}

/** Containers of about one size share a tier: to the next power of two. */
interface Tier {
  readonly name: string;
  readonly cores: number;
  readonly memoryMib: number | undefined;
}

const powerOfTwo = (value: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, value)));

function tierOf({ cores, memory }: Recommendation): Tier {
  const size = powerOfTwo(cores.amount);
  const mib = memory && powerOfTwo(memory.amount);
  const name = mib === undefined ? `TIER_${size}_cores` : `TIER_${size}_cores_${mib}_mb`;
  return { name, cores: size, memoryMib: mib };
}

const saved = (had: number | undefined, advice: Advice | undefined): number | undefined =>
  had === undefined || advice === undefined ? undefined : had - advice.amount;

const shown = (value: number | undefined, unit: string): string =>
  value === undefined ? '-' : `${Math.round(value * 100) / 100}${unit}`;

function asTable(rows: readonly Row[]): string {
  const heads = ['CONTAINER', 'CORES', 'PEAK', 'MEMORY', 'PEAK', 'SAVES', 'SURE', 'TIER'];
  const lines = table([
    heads,
    ...rows.map(({ advice: { name, cores, memory, sure, hours }, had, tier }) => [
      ...[name, String(cores.amount), shown(cores.peak, '')],
      ...[shown(memory?.amount, ' MB'), shown(memory && Math.round(memory.peak), ' MB')],
      savesWords(saved(had?.cores, cores), saved(had?.memoryMib, memory)),
      ...[`${sure}, ${hoursWords(hours)}`, tier.name],
    ]),
  ]);
  const note =
    'Saves: what it had at the end of the record, less this; a minus sign says that it needs more.';
  return `${[...lines, '', note, ...rows.flatMap(shortWords)].join('\n')}\n`;
}

/** Less than this share of the time at a limit is what any peak has. */
const OFTEN = 0.01;

/** A record cannot show what a limit held back. */
function shortWords({ advice: { name }, had }: Row): readonly string[] {
  const said = [
    ['cores', had?.coresShort ?? 0],
    ['memory', had?.memoryShort ?? 0],
  ] as const;
  return said
    .filter(([, share]) => share >= OFTEN)
    .map(
      ([what, share]) =>
        `${name}: all of its ${what} was in use ${Math.round(share * 100)} % of the time; it may ` +
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

const round = (value: number): number => Number(value.toPrecision(6));

function adviceJson(advice: Advice, had: number | undefined, atLimit: number | undefined) {
  const { amount, peak, shortShare, slack } = advice;
  return {
    ...{ recommended: amount, peak: round(peak), short: round(shortShare), slack: round(slack) },
    ...{ had: had ?? null, saves: saved(had, advice) ?? null },
    at_limit: atLimit === undefined ? null : round(atLimit),
  };
}

function asJson(rows: readonly Row[]): string {
  const containers = rows.map(({ advice: { name, hours, cores, memory, sure }, had, tier }) => ({
    ...{ container: name, hours: round(hours), sure, tier: tier.name },
    cores: adviceJson(cores, had?.cores, had?.coresShort),
    memory_mb: memory === undefined ? null : adviceJson(memory, had?.memoryMib, had?.memoryShort),
  }));
  return `${JSON.stringify({ containers }, null, 2)}\n`;
}

/** Tiers as the configuration takes them, with room to grow for what scales within them. */
function asYaml(rows: readonly Row[], config: Config | undefined): string {
  const tiers = new Map<string, { readonly tier: Tier; readonly names: string[] }>();
  for (const { advice, tier } of rows) {
    const entry = tiers.get(tier.name) ?? { tier, names: [] };
    entry.names.push(advice.name);
    tiers.set(tier.name, entry);
  }
  const taken = new Set(config?.tiers.map(({ name }) => name));
  const lines = [...tiers.values()].flatMap(({ tier, names }) => [
    `${taken.has(tier.name) ? `${tier.name}_2` : tier.name}:`,
    `  lxc_containers: [${names.filter(isId).join(', ')}]`,
    ...names.filter((name) => !isId(name)).map((name) => `  # the id of ${name} belongs there too`),
    '  scaling_mode: adaptive',
    `  max_cores: ${tier.cores * ROOM}`,
    ...(tier.memoryMib === undefined ? [] : [`  max_memory: ${tier.memoryMib * ROOM}`]),
  ]);
  return `${lines.join('\n')}\n`;
}

const ROOM = 2;
/** The containers of a trace may have other names than ids. */
const isId = (name: string): boolean => parseVmid(name) !== undefined;
