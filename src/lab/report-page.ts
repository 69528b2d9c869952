import type { Bounds, Demand } from './demand.ts';
import { escapeHtml } from './escape-html.ts';
import { SCRIPT, STYLE } from './page-parts.ts';
import { type LabPolicy, type Played, replay } from './replay.ts';
import { type Figures, figuresOf } from './score.ts';
import { tradeOff } from './trade-off.ts';
import type { Trial } from './trial.ts';
import { verdictOf } from './verdict.ts';

/** The report of a backtest as one HTML file that needs nothing else: no network, no library. */

export interface PageInput {
  readonly demands: readonly Demand[];
  readonly trials: readonly Trial[];
  readonly policies: readonly LabPolicy[];
  readonly bounds: Bounds;
}

export function reportPage(input: PageInput): string {
  const { demands, trials } = input;
  const days = demands.reduce((sum, { cpu, stepS }) => sum + (cpu.length * stepS) / 86_400, 0);
  const hasMemory = trials.some(({ memory }) => memory !== undefined);
  const sections = [
    `<h1>Backtest</h1><p>${demands.length} containers, ${days.toFixed(1)} container-days.
     Each policy is replayed against the same recorded demand. Slack is what was allocated and not
     used; starved are the steps in which more was wanted than was there.</p>`,
    ...verdictOf(trials).map((sentence) => `<p class="verdict">${escapeHtml(sentence)}</p>`),
    '<h2>All policies</h2>',
    totals(trials, 'cpu', 'CPU', 'starved'),
    hasMemory ? totals(trials, 'memory', 'Memory', 'out of memory') : '',
    '<h2>Trade-off: waste (x) against shortage (y)</h2><p>Lower left is better.</p>',
    `<div class="plots">${tradeOff('CPU', pointsOf(trials, 'cpu'))}
     ${hasMemory ? tradeOff('Memory', pointsOf(trials, 'memory')) : ''}</div>`,
    '<h2>Usage and allocation over time</h2>',
    `<div class="controls"><label>Container <select id="container"></select></label>
     <fieldset id="shown"><legend>Policies</legend></fieldset></div>
     <figure id="over-time"></figure>`,
    '<h2>Container by container</h2>',
    containers(trials),
  ];
  const data = JSON.stringify(chosenSeries(input)).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>lxc-autoscale backtest</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>${STYLE}</style></head><body><main>
${sections.join('\n')}
</main><script type="application/json" id="data">${data}</script><script>${SCRIPT}</script>
</body></html>
`;
}

const percent = (share: number, digits: number): string =>
  `${(share * 100).toFixed(digits)}&nbsp;%`;

const cells = ({ slack, short, unmet, resizesPerDay }: Figures): string =>
  [percent(slack, 1), percent(short, 3), percent(unmet, 3), resizesPerDay.toFixed(1)]
    .map((text) => `<td>${text}</td>`)
    .join('');

function totals(
  trials: readonly Trial[],
  resource: 'cpu' | 'memory',
  title: string,
  short: string,
): string {
  const rows = trials.flatMap((one) => {
    const figures = one[resource];
    return figures ? `<tr><th>${escapeHtml(one.policy)}</th>${cells(figures)}</tr>` : [];
  });
  return `<div class="wide"><table><thead><tr><th>${title}</th><th>slack</th><th>${short}</th>
<th>unmet</th><th>resizes a day</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

const pointsOf = (trials: readonly Trial[], resource: 'cpu' | 'memory') =>
  trials.flatMap(({ policy, ...one }) => {
    const figures = one[resource];
    return figures ? [{ policy, slack: figures.slack, short: figures.short }] : [];
  });

const MOST_ROWS = 300;

function containers(trials: readonly Trial[]): string {
  const last = trials.at(-1);
  if (last === undefined) return '';
  const heads = trials.map(({ policy }) => `<th colspan="2">${escapeHtml(policy)}</th>`).join('');
  const under = trials.map(() => '<th>slack</th><th>short</th>').join('');
  const rows = last.containers.slice(0, MOST_ROWS).map((played, index) => {
    const own = trials.map(({ containers: all }) => twoCells(all[index])).join('');
    return `<tr><th>${escapeHtml(played.name)}</th>${own}</tr>`;
  });
  return `<p>CPU, or CPU / memory where the trace has both.</p><div class="wide"><table>
<thead><tr><th></th>${heads}</tr><tr><th></th>${under}</tr></thead>
<tbody>${rows.join('\n')}</tbody></table></div>`;
}

function twoCells(played: Played | undefined): string {
  if (played === undefined) return '<td></td><td></td>';
  const cpu = figuresOf(played.cpu);
  const memory = played.memory && figuresOf(played.memory);
  const both = (of: (figures: Figures) => number, digits: number): string =>
    memory === undefined
      ? percent(of(cpu), digits)
      : `${(of(cpu) * 100).toFixed(digits)} / ${percent(of(memory), digits)}`;
  return `<td>${both(({ slack }) => slack, 0)}</td><td>${both(({ short }) => short, 2)}</td>`;
}

const MOST_SHOWN = 12;
const MOST_POINTS = 600;

/** Of some containers, the most starved ones first, what every policy gave over time. */
function chosenSeries({ demands, trials, policies, bounds }: PageInput) {
  const shortOf = (index: number): number =>
    trials.reduce((sum, { containers: all }) => {
      const played = all[index];
      return sum + (played?.cpu.shortSteps ?? 0) + (played?.memory?.shortSteps ?? 0);
    }, 0);
  const ranked = demands.map((_, index) => index).sort((a, b) => shortOf(b) - shortOf(a));
  const half = MOST_SHOWN / 2;
  const evenly = ranked.filter((_, place) => place % Math.ceil(ranked.length / half) === 0);
  const chosen = [...new Set([...ranked.slice(0, half), ...evenly])].slice(0, MOST_SHOWN);
  return chosen.flatMap((index) => {
    const demand = demands[index];
    return demand === undefined ? [] : [seriesOf(demand, policies, bounds)];
  });
}

function seriesOf(demand: Demand, policies: readonly LabPolicy[], bounds: Bounds) {
  const { name, cpu, memory, stepS } = demand;
  const every = Math.max(1, Math.ceil(cpu.length / MOST_POINTS));
  const given = policies.map((policy) => {
    const cores = new Float64Array(cpu.length);
    const mib = new Float64Array(cpu.length);
    replay(demand, policy, bounds, (index, has) => {
      cores[index] = has.cores;
      mib[index] = has.memoryMib;
    });
    return { policy: policy.name, cpu: thin(cores, every), memory: thin(mib, every) };
  });
  return {
    name,
    stepS: stepS * every,
    cpu: thin(cpu, every),
    given,
    memory: memory === undefined ? null : thin(memory, every),
  };
}

/** The largest of so many values each: a peak must not get lost. */
function thin(values: Float64Array, every: number): number[] {
  const thinned: number[] = [];
  for (let from = 0; from < values.length; from += every) {
    let most = 0;
    for (let index = from; index < Math.min(values.length, from + every); index += 1) {
      most = Math.max(most, values[index] ?? 0);
    }
    thinned.push(Number(most.toPrecision(4)));
  }
  return thinned;
}
