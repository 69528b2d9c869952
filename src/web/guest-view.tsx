import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Account } from '../core/report/account.ts';
import type { ContainerRow } from '../core/report/status.ts';
import { coresWords, memoryWords, percentWords, twoDigits, withArrows } from './amounts.ts';
import { Bar } from './bar.tsx';
import { DecisionSteps } from './decision-steps.tsx';
import { type ActingProps, GuestActions } from './guest-actions.tsx';
import { coresLimit, NowWords } from './guest-table.tsx';
import { HistoryList } from './history-list.tsx';
import { type HistoryAnswer, linesOf } from './history-view.tsx';
import { Icon } from './icons.tsx';
import { isMade, type JournalLine } from './journal-line.ts';
import { AskedView, Empty } from './state-notes.tsx';
import { UsagePlot } from './usage-plot.tsx';
import { seriesOf, type UsageAnswer } from './usage-series.ts';
import { useAnswer } from './use-answer.ts';

/** One guest: what it has, why, how it went, and what can be done. */

export interface GuestViewProps extends ActingProps {
  readonly row: ContainerRow;
  readonly today: string;
  readonly version: number;
  readonly theme: string;
}

export function GuestView({ row, today, version, theme, ...acting }: GuestViewProps) {
  const { api } = acting;
  const { vmid, name, state, now } = row;
  const account = useAnswer<Account>(api, `guests/${vmid}/explain`, version);
  const past = useAnswer<HistoryAnswer>(api, `history?guest=${vmid}&limit=200`, version);
  const lines = useMemo(() => (past.value === undefined ? [] : linesOf(past.value)), [past.value]);
  useBackByEscape();
  return (
    <article aria-labelledby="guest-title">
      <a class="back" href="#/guests">
        <Icon name="left" /> All guests
      </a>
      <header class="guest-head">
        <h1 id="guest-title">
          <span class="muted number">{vmid}</span> {name}
        </h1>
        {row.kind === 'qemu' && <span class="tag">VM</span>}
        <span class="tag">{state}</span>
        <span class="muted">{row.why}</span>
        <GuestActions row={row} {...acting} />
      </header>
      <p class="guest-now">
        <NowWords row={row} />
      </p>
      <p class="muted guest-says">{withArrows(now.says)}</p>
      <Amounts row={row} />
      <UsageSection row={row} lines={lines} version={version} theme={theme} api={api} />
      <section class="card" aria-labelledby="why-title">
        <h2 id="why-title">Why</h2>
        <AskedView asked={account} what="Reading the last decision">
          {(value) => <DecisionSteps account={value} />}
        </AskedView>
      </section>
      <section class="card" aria-labelledby="past-title">
        <h2 id="past-title">History</h2>
        <AskedView asked={past} what="Reading the history">
          {() =>
            lines.length === 0 ? (
              <Empty>Nothing was logged of this guest.</Empty>
            ) : (
              <HistoryList {...acting} lines={lines} today={today} ofOne />
            )
          }
        </AskedView>
      </section>
    </article>
  );
}

/** Escape leads back to the table, unless it closes a dialog or empties a field. */
function useBackByEscape(): void {
  useEffect(() => {
    const hear = ({ key }: KeyboardEvent): void => {
      const isElsewhere = document.querySelector('dialog[open]') !== null;
      if (key === 'Escape' && !isElsewhere) location.hash = '#/guests';
    };
    document.addEventListener('keydown', hear);
    return () => document.removeEventListener('keydown', hear);
  }, []);
}

function Amounts({ row }: { readonly row: ContainerRow }) {
  const { cpu, memory, allocation, need, pressure, unit } = row;
  const cores = 'missing' in cpu ? undefined : cpu;
  const mib = 'missing' in memory ? undefined : memory;
  const limit = coresLimit(allocation, unit);
  return (
    <div class="amounts">
      <AmountCard
        title="CPU"
        bar={{
          used: cores?.usedCores,
          need: need.cores ?? undefined,
          limit,
          whole: cores?.allowedCores,
        }}
        facts={[
          ['used', 'missing' in cpu ? cpu.missing : `${twoDigits(cpu.usedCores)} cores`],
          ['need', need.cores === null ? 'not known' : coresWords(need.cores)],
          ['limit', limit === undefined ? 'all cores' : coresWords(limit)],
          ['waits', waitsWords(pressure.cpuPercent)],
        ]}
      />
      <AmountCard
        title="Memory"
        bar={{
          used: mib?.usedMib,
          need: need.memoryMib ?? undefined,
          limit: allocation?.memoryMib,
        }}
        facts={[
          ['used', 'missing' in memory ? memory.missing : memoryWords(memory.usedMib)],
          ['need', need.memoryMib === null ? 'not known' : memoryWords(need.memoryMib)],
          ['limit', allocation === null ? 'not known' : memoryWords(allocation.memoryMib)],
          ['waits', waitsWords(pressure.memoryPercent)],
          ...(mib === undefined
            ? []
            : ([
                ['cache', memoryWords(mib.cacheMib)],
                ['swap', memoryWords(mib.swapMib)],
              ] as const)),
        ]}
      />
    </div>
  );
}

const waitsWords = (percent: number | null): string =>
  percent === null ? 'not known' : percentWords(percent);

interface AmountCardProps {
  readonly title: string;
  readonly bar: Parameters<typeof Bar>[0];
  readonly facts: readonly (readonly [what: string, says: string])[];
}

const AmountCard = ({ title, bar, facts }: AmountCardProps) => (
  <section class="card amount">
    <h2>{title}</h2>
    <Bar {...bar} />
    <dl>
      {facts.map(([what, says]) => (
        <div key={what}>
          <dt>{what}</dt>
          <dd class="number">{says}</dd>
        </div>
      ))}
    </dl>
  </section>
);

const CORE_STEPS = [0.1, 0.2, 0.5, 1, 2, 4, 8, 16, 32, 64];
const MIB_STEPS = Array.from({ length: 16 }, (_, power) => 64 * 2 ** power);

const SPANS = [
  { hours: 6, label: '6 h' },
  { hours: 24, label: '24 h' },
  { hours: 168, label: '7 days' },
] as const;

interface UsageSectionProps extends Pick<GuestViewProps, 'row' | 'version' | 'theme' | 'api'> {
  readonly lines: readonly JournalLine[];
}

function UsageSection({ row: { vmid }, lines, version, theme, api }: UsageSectionProps) {
  const [hours, setHours] = useState(24);
  const asked = useAnswer<UsageAnswer>(api, `guests/${vmid}/usage?hours=${hours}`, version);
  const marksOf = (what: 'cores' | 'memory') =>
    lines.flatMap((line) => {
      const { atS, isUp } = line;
      return line.what === what && atS !== undefined && isMade(line) ? [{ atS, isUp }] : [];
    });
  const shared = { group: `guest-${vmid}`, theme };
  return (
    <section class="card" aria-labelledby="usage-title">
      <header class="card-head">
        <h2 id="usage-title">Usage</h2>
        <fieldset class="segments">
          <legend class="unseen">Time span</legend>
          {SPANS.map(({ hours: value, label }) => (
            <label key={value}>
              <input
                type="radio"
                name="span"
                checked={hours === value}
                onChange={() => setHours(value)}
              />
              <span>{label}</span>
            </label>
          ))}
        </fieldset>
      </header>
      <AskedView asked={asked} what="Reading the usage">
        {(answer) =>
          answer.rows.length < 2 ? (
            <Empty>No usage is recorded yet: see usage_history in the configuration.</Empty>
          ) : (
            <div class="plots">
              <figure>
                <figcaption>CPU</figcaption>
                <UsagePlot
                  {...shared}
                  title="CPU"
                  series={seriesOf(answer, 'cores')}
                  marks={marksOf('cores')}
                  words={twoDigits}
                  steps={CORE_STEPS}
                />
              </figure>
              <figure>
                <figcaption>Memory</figcaption>
                <UsagePlot
                  {...shared}
                  title="Memory"
                  series={seriesOf(answer, 'memory')}
                  marks={marksOf('memory')}
                  words={memoryWords}
                  steps={MIB_STEPS}
                />
              </figure>
            </div>
          )
        }
      </AskedView>
    </section>
  );
}
