import { writeFileSync } from 'node:fs';
import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import type { Config } from '../config/model.ts';
import { unknownWord } from '../config/suggest.ts';
import { type Bounds, coldDays, type Demand } from '../lab/demand.ts';
import { halvesOf } from '../lab/halves.ts';
import { type Interval, intervals } from '../lab/interval.ts';
import { reportPage } from '../lab/report-page.ts';
import type { Figures } from '../lab/score.ts';
import { type Trial, trial } from '../lab/trial.ts';
import { verdictOf } from '../lab/verdict.ts';
import { describeError } from '../os/os-error.ts';
import { table } from '../output/table.ts';
import type { Arguments } from './arguments.ts';
import { readDemands } from './demands.ts';
import { contestOf, POLICY_NAMES } from './lab-policies.ts';
import { createProgress } from './progress.ts';
import { hanging, terminalWidth } from './view.ts';

/** `backtest`: what policies would have done with a recorded demand. Changes nothing. */
export async function backtest(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { stdout, stderr } = context;
  const unknown = given.policies.find((name) => !POLICY_NAMES.includes(name));
  if (unknown !== undefined) {
    stderr.write(`backtest: ${unknownWord('policy', unknown, POLICY_NAMES)}\n`);
    return EXIT.usage;
  }
  const config = configurationOf(given, context);
  if (config === 'broken') return EXIT.configuration;
  const read = await readDemands(given, context);
  if (!read.ok) {
    for (const problem of read.problems) stderr.write(`${problem}\n`);
    return EXIT.failure;
  }
  const { leftOut } = read;
  const demands = chosen(read.demands, given);
  if (demands.length === 0) {
    stderr.write('backtest: no container is left to replay; leave out --split or --cold\n');
    return EXIT.failure;
  }
  const { policies, bounds } = contestOf(config, given.policies);
  const steps = demands.reduce((total, { cpu }) => total + cpu.length, 0);
  const progress = createProgress(stderr, steps * policies.length, context.clock);
  const trials = policies.map((policy) =>
    trial(demands, policy, bounds, (done) => progress.advance(done, policy.name), given.afterDays),
  );
  progress.finish();
  if (given.htmlFile !== undefined) {
    const failure = writePage(given.htmlFile, { demands, trials, bounds, policies });
    if (failure !== undefined) {
      stderr.write(`${failure}\n`);
      return EXIT.failure;
    }
  }
  stdout.write(
    given.json ? asJson(trials) : asText(trials, demands, bounds, leftOut, terminalWidth(context)),
  );
  if (given.htmlFile !== undefined) {
    const what = 'a page that needs nothing else; open it in a browser';
    (given.json ? stderr : stdout).write(`Written: ${given.htmlFile}, ${what}.\n`);
  }
  return EXIT.fine;
}

/** The half that is asked for, in days if each is to begin anew. */
function chosen(demands: readonly Demand[], { half, cold }: Arguments): readonly Demand[] {
  const halves = half === undefined ? undefined : halvesOf(demands);
  const names = half === 1 ? halves?.one : halves?.other;
  const some = demands.filter(({ name }) => names?.has(name) ?? true);
  return cold ? some.flatMap(coldDays) : some;
}

/** Only a configuration that is named counts: a trace is of some other place. */
export function configurationOf(
  given: Arguments,
  context: ProcessContext,
): Config | undefined | 'broken' {
  if (given.configFile === undefined && given.traceFile !== undefined) return undefined;
  const loaded = readConfiguration(given, context);
  if (loaded.ok) return loaded.config;
  context.stderr.write(renderProblems(loaded));
  return 'broken';
}

function writePage(file: string, input: Parameters<typeof reportPage>[0]): string | undefined {
  try {
    writeFileSync(file, reportPage(input));
    return undefined;
  } catch (error) {
    return `The report cannot be written: ${describeError(error)}`;
  }
}

const round = (value: number): number => Number(value.toPrecision(6));

const bothRound = ([low, high]: Interval): readonly number[] => [round(low), round(high)];

/** Slack and short steps of one resource, as nine of ten draws of the containers have them. */
function spreadOf({ containers }: Trial, resource: 'cpu' | 'memory') {
  const [slack = NO_INTERVAL, short = NO_INTERVAL] = intervals(containers, (totals) => {
    const figures = totals[resource];
    return figures === undefined ? [] : [figures.slack, figures.short];
  });
  return { slack, short };
}

const NO_INTERVAL: Interval = [0, 0];

const cpuJson = ({ slack, short, unmet, resizesPerDay }: Figures) => ({
  slack: round(slack),
  starved: round(short),
  unmet: round(unmet),
  resizes_per_day: round(resizesPerDay),
});

const memoryJson = (memory: Figures) => ({
  ...cpuJson(memory),
  oom_steps: round(memory.short),
  unavoidable_oom_steps: round(memory.unavoidable),
  killed_steps: round(memory.killed),
  oom_free_days: round(memory.freeDays),
});

/** Shares of one. */
function asJson(trials: readonly Trial[]): string {
  const policies = trials.map((one) => {
    const { policy, cpu, memory } = one;
    const cpuSpread = spreadOf(one, 'cpu');
    const spread = spreadOf(one, 'memory');
    return {
      policy,
      cpu: {
        ...cpuJson(cpu),
        interval_90: { slack: bothRound(cpuSpread.slack), starved: bothRound(cpuSpread.short) },
      },
      memory:
        memory === undefined
          ? null
          : {
              ...memoryJson(memory),
              interval_90: { slack: bothRound(spread.slack), oom_steps: bothRound(spread.short) },
            },
    };
  });
  return `${JSON.stringify({ policies }, null, 2)}\n`;
}

const percent = (share: number, digits: number): string => `${(share * 100).toFixed(digits)} %`;

const cells = ({ slack, short, unmet, resizesPerDay }: Figures): readonly string[] => [
  percent(slack, 1),
  percent(short, 3),
  percent(unmet, 3),
  resizesPerDay.toFixed(1),
];

/** What a kill would cost, and how far the figures may be off by chance. */
function moreCells(one: Trial, resource: 'cpu' | 'memory'): readonly string[] {
  const { slack, short } = spreadOf(one, resource);
  const range = ([low, high]: Interval, digits: number): string =>
    `${(low * 100).toFixed(digits)} to ${percent(high, digits)}`;
  return [range(slack, 1), range(short, 3)];
}

const CPU_HEADS = ['SLACK', 'STARVED', 'UNMET', 'RESIZES/DAY', 'SLACK, 90 %', 'STARVED, 90 %'];
const MEMORY_HEADS = ['SLACK', 'OOM STEPS', 'UNMET', 'RESIZES/DAY', 'SLACK, 90 %', 'OOM, 90 %'];
const HARM_HEADS = ['OOM STEPS', 'UNAVOIDABLE', 'KILLED STEPS', 'DAYS WITHOUT OOM'];

const harmCells = ({ short, unavoidable, killed, freeDays }: Figures): readonly string[] => [
  percent(short, 4),
  percent(unavoidable, 4),
  percent(killed, 4),
  percent(freeDays, 2),
];

function asText(
  trials: readonly Trial[],
  demands: readonly Demand[],
  { minCores, maxCores, minMib, maxMib }: Bounds,
  leftOut: number,
  width: number | undefined,
): string {
  const days = demands.reduce((sum, { cpu, stepS }) => sum + (cpu.length * stepS) / 86_400, 0);
  const without = leftOut === 0 ? '' : `, ${leftOut} more left out`;
  const cpu = trials.map((one) => [one.policy, ...cells(one.cpu), ...moreCells(one, 'cpu')]);
  const memory = trials.flatMap((one) =>
    one.memory === undefined
      ? []
      : [[one.policy, ...cells(one.memory), ...moreCells(one, 'memory')]],
  );
  const harm = trials.flatMap((one) =>
    one.memory === undefined ? [] : [[one.policy, ...harmCells(one.memory)]],
  );
  const lines = [
    `${demands.length} containers${without}, ${days.toFixed(1)} container-days; ` +
      `${minCores} to ${maxCores} cores, ${minMib} to ${maxMib} MB`,
    '',
    ...table([['CPU', ...CPU_HEADS], ...cpu]),
    ...(memory.length === 0 ? [] : ['', ...table([['MEMORY', ...MEMORY_HEADS], ...memory])]),
    ...(memory.length === 0 ? [] : ['', ...table([['HARM', ...HARM_HEADS], ...harm])]),
    '',
    ...verdictOf(trials).flatMap((sentence) => [sentence, '']),
    'Slack: allocated and not used. Starved, OOM: steps that wanted more than was there.',
    'Unavoidable: they wanted more than the maximum. Killed: the rise was too fast for growth and',
    '512 MB of swap. 90 %: the same figure on containers drawn again, nine times of ten.',
  ];
  return `${hanging(lines, width).join('\n')}\n`;
}
