import { join } from 'node:path';
import { type Demand, TRACE_BOUNDS } from '../../src/lab/demand.ts';
import type { Figures } from '../../src/lab/score.ts';
import { trial } from '../../src/lab/trial.ts';
import type { Rows } from './logistic.ts';
import { coresPolicy, type Fitted, fittedTo, rowsOf, TODAY, together } from './risk-fit.ts';
import { readDemands } from './traces.ts';

/**
 * `npm run test:fit DIRECTORY`: do the coefficients of the CPU forecast carry over to demand that
 * they were not fitted to? They are fitted on all recordings but those that are left out, and
 * replayed on these. Prints the table of docs/adaptive.md, and the coefficients.
 *
 * A fifth of the containers of google-2011 are in google-long too, as google-long-whole has all of
 * them. So all of Google is left out together as well.
 */

const ALL = ['google-2011', 'google-long', 'planetlab-2011', 'ec2-2014'] as const;
const GOOGLE = ['google-2011', 'google-long', 'google-long-whole'];
const TRIED: readonly {
  readonly without: readonly string[];
  readonly played: readonly string[];
}[] = [
  { without: ['google-2011'], played: ['google-2011'] },
  { without: ['google-long'], played: ['google-long', 'google-long-whole'] },
  { without: ['planetlab-2011'], played: ['planetlab-2011'] },
  { without: ['ec2-2014'], played: ['ec2-2014'] },
  { without: GOOGLE, played: GOOGLE },
];

/** At these prices each is replayed; between two of them lies the same share of starved steps. */
const PRICES = Array.from({ length: 13 }, (_, at) => 2 ** ((at - 6) / 4));

const replayed = (demands: readonly Demand[], fitted: Fitted, price: number): Figures =>
  trial(demands, coresPolicy(fitted, price), TRACE_BOUNDS).cpu;

/** The slack at the price at which so many steps are starved, between those that were tried. */
function slackAt(starved: number, tried: readonly Figures[]): number | undefined {
  for (const [at, cheap] of tried.entries()) {
    const dear = tried[at + 1];
    if (dear === undefined || cheap.short < starved || dear.short > starved) continue;
    if (cheap.short === dear.short) return cheap.slack;
    const share = (cheap.short - starved) / (cheap.short - dear.short);
    return cheap.slack + (dear.slack - cheap.slack) * share;
  }
  return undefined;
}

const percent = (share: number, digits: number): string => (share * 100).toFixed(digits);
const pair = ({ slack, short }: Figures): string =>
  `${percent(slack, 1)} / ${percent(short, 3).replace(/^0\./, '.')}`;

/** Slack and starved at the usual price, and the slack with as many starved steps as today. */
function cell(demands: readonly Demand[], fitted: Fitted, today: Figures): string {
  const tried = PRICES.map((price) => replayed(demands, fitted, price));
  const same = slackAt(today.short, tried);
  const found = same === undefined ? 'not reached' : percent(same, 1);
  return `${pair(replayed(demands, fitted, 1))} (${found})`;
}

const shown = (name: string, { weights, more }: Fitted): string => {
  const list = [...Object.values(weights).flat(), ...more].map((one: number) => one.toFixed(3));
  return `${name}: ${list.join(' ')}\n`;
};

const say = (text: string): void => void process.stdout.write(text);

async function main(directory: string | undefined): Promise<void> {
  if (directory === undefined) throw new Error('name the directory with the recordings');
  const recorded = (name: string): Promise<readonly Demand[]> =>
    readDemands(join(directory, `${name}.csv`));
  const rows = new Map<string, { readonly plain: Rows; readonly more: Rows }>();
  for (const name of ALL) {
    const demands = await recorded(name);
    rows.set(name, { plain: rowsOf(demands, false), more: rowsOf(demands, true) });
  }
  const fitWithout = (without: readonly string[], how: 'plain' | 'more'): Fitted => {
    const names = ALL.filter((name) => !without.includes(name));
    const fitted = fittedTo(together(names.flatMap((name) => rows.get(name)?.[how] ?? [])));
    say(
      shown(`without ${without.join(', ') || 'none'}${how === 'more' ? ', two more' : ''}`, fitted),
    );
    return fitted;
  };
  say(shown('today', TODAY));
  const [all, allMore] = [fitWithout([], 'plain'), fitWithout([], 'more')];
  for (const { without, played } of TRIED) {
    const sets = [all, fitWithout(without, 'plain'), allMore, fitWithout(without, 'more')];
    for (const name of played) {
      const demands = await recorded(name);
      const today = replayed(demands, TODAY, 1);
      const cells = sets.map((one) => cell(demands, one, today));
      const row = without === GOOGLE ? `${name}, all of Google left out` : name;
      say(`| ${row} | ${pair(today)} | ${cells.join(' | ')} |\n`);
    }
  }
}

void main(process.argv[2]);
