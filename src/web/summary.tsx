import type { ComponentChildren } from 'preact';
import type { HealthReport } from '../core/report/health.ts';
import type { HostRow, StatusReport } from '../core/report/status.ts';
import { observingWords } from '../core/report/would.ts';
import { coresWords, memoryWords, percentWords, signed, twoDigits } from './amounts.ts';
import { Bar } from './bar.tsx';
import { Icon } from './icons.tsx';
import { hrefOf } from './route.ts';
import { isRefused } from './state-notes.tsx';
import type { Asked } from './use-answer.ts';

/** The node in six figures, and what a person must know first. */

export interface SummaryProps {
  readonly report: StatusReport;
  readonly health: Asked<HealthReport>;
}

export function Summary({ report, health }: SummaryProps) {
  const { host } = report;
  return (
    <>
      <Notices report={report} />
      <dl class="figures">
        <CpuFigure host={host} />
        <MemoryFigure host={host} />
        <BudgetFigure host={host} />
        <SavedFigure host={host} />
        <OomFigure host={host} />
        <HealthFigure asked={health} />
      </dl>
    </>
  );
}

interface FigureProps {
  readonly title: string;
  readonly value: ComponentChildren;
  readonly note: ComponentChildren;
  readonly children?: ComponentChildren;
}

const Figure = ({ title, value, note, children }: FigureProps) => (
  <div class="figure">
    <dt>{title}</dt>
    <dd class="figure-value number">{value}</dd>
    {children !== undefined && <dd class="figure-bar">{children}</dd>}
    <dd class="figure-note">{note}</dd>
  </div>
);

const share = (part: number, whole: number | null): string =>
  whole === null || whole === 0 ? '' : ` (${Math.round((part / whole) * 100)} %)`;

function CpuFigure({ host: { cpus, busyPercent, allocated, reserve } }: { host: HostRow }) {
  const busy = busyPercent === null || cpus === null ? undefined : (busyPercent / 100) * cpus;
  const most = cpus === null ? undefined : cpus * (1 - reserve.cpuPercent / 100);
  const given = `${twoDigits(allocated.cores)} of ${cpus ?? '–'} CPUs given`;
  return (
    <Figure
      title="CPU of the node"
      value={busyPercent === null ? 'not known' : `${percentWords(busyPercent)} busy`}
      note={given + share(allocated.cores, cpus)}
    >
      <Bar used={busy} need={most} limit={cpus ?? undefined} />
    </Figure>
  );
}

function MemoryFigure({ host }: { host: HostRow }) {
  const { memoryMib, availableMib, allocated, reserve } = host;
  const used = memoryMib === null || availableMib === null ? undefined : memoryMib - availableMib;
  const most = memoryMib === null ? undefined : memoryMib - reserve.memoryMib;
  const whole = memoryMib === null ? '–' : memoryWords(memoryMib);
  const given = `${memoryWords(allocated.memoryMib)} of ${whole} given`;
  return (
    <Figure
      title="Memory of the node"
      value={used === undefined ? 'not known' : `${memoryWords(used)} used`}
      note={given + share(allocated.memoryMib, memoryMib)}
    >
      <Bar used={used} need={most} limit={memoryMib ?? undefined} />
    </Figure>
  );
}

function BudgetFigure({ host: { budget, reserve, refused } }: { host: HostRow }) {
  const words = [
    ...(budget.cores === null ? [] : [coresWords(budget.cores)]),
    ...(budget.memoryMib === null ? [] : [memoryWords(budget.memoryMib)]),
  ];
  const why = [
    ...(refused.cores === null ? [] : [`no more CPU: ${refused.cores.replaceAll('-', ' ')}`]),
    ...(refused.memory === null ? [] : [`no more memory: ${refused.memory.replaceAll('-', ' ')}`]),
  ];
  const kept = `${reserve.cpuPercent} % CPU and ${memoryWords(reserve.memoryMib)} stay free`;
  return (
    <Figure
      title="Can be given"
      value={words.length === 0 ? 'not known' : words.join(' · ')}
      note={why.length === 0 ? kept : <span class="warn">{why.join('; ')}</span>}
    />
  );
}

function SavedFigure({ host: { allocated } }: { host: HostRow }) {
  const { savedCores, savedMemoryMib } = allocated;
  const isNothing = savedCores === 0 && savedMemoryMib === 0;
  const words = `${signed(-savedCores, coresWords)} · ${signed(-savedMemoryMib, memoryWords)}`;
  return (
    <Figure
      title="Saved so far"
      value={isNothing ? 'nothing yet' : words}
      note="against what the guests were given"
    />
  );
}

function OomFigure({ host: { oomKilled } }: { host: HostRow }) {
  const count = oomKilled.length;
  return (
    <Figure
      title="OOM kills at their limit"
      value={
        count === 0 ? (
          'none'
        ) : (
          <span class="bad">{count === 1 ? '1 guest' : `${count} guests`}</span>
        )
      }
      note={
        <>
          in the last 24 hours{' '}
          {oomKilled.slice(0, MOST_NAMED).map((vmid) => (
            <a key={vmid} class="named" href={hrefOf({ view: 'guest', vmid })}>
              {vmid}
            </a>
          ))}
        </>
      }
    />
  );
}

const MOST_NAMED = 4;

function HealthFigure({ asked }: { readonly asked: Asked<HealthReport> }) {
  const health = isRefused(asked) ? undefined : asked.value;
  const failing = health?.checks.filter(({ ok }) => !ok) ?? [];
  const value = health === undefined ? '…' : failing.length === 0 ? 'Healthy' : failing.length;
  const words = failing.length === 1 ? ' check fails' : ' checks fail';
  return (
    <Figure
      title="Health"
      value={
        <span class={health === undefined ? 'muted' : failing.length > 0 ? 'bad' : 'good'}>
          {health !== undefined && <Icon name={failing.length > 0 ? 'alert' : 'check'} />} {value}
          {failing.length > 0 && words}
        </span>
      }
      note={<a href="#/health">{failing.map(({ name }) => name).join(', ') || 'All checks'}</a>}
    />
  );
}

/** Observe mode, a pause of the whole node, and what is not known. */
function Notices({ report: { observing, host } }: { readonly report: StatusReport }) {
  const { paused, overdue, missing } = host;
  return (
    <>
      {observing !== null && (
        <p class="notice" data-tone={observing.scope === 'some' ? 'partly' : 'observe'}>
          <Icon name="eye" />
          <span>
            {observingWords(observing)}
            {observing.measuring > 0 &&
              observing.firstCpuAt !== null &&
              ` First CPU figures at ${observing.firstCpuAt}.`}{' '}
            {observing.scope !== 'dry run' && (
              <>
                To switch on: <code>lxc-autoscale activate</code>
              </>
            )}
          </span>
        </p>
      )}
      {paused !== null && <Notice words={`Paused, nothing is changed: ${paused}.`} />}
      {overdue !== null && <Notice words={`Not active: ${overdue}.`} />}
      {missing.map((why) => (
        <Notice key={why} words={`Not known: ${why}.`} />
      ))}
    </>
  );
}

const Notice = ({ words }: { readonly words: string }) => (
  <p class="notice" data-tone="bad">
    <Icon name="alert" />
    <span>{words}</span>
  </p>
);
