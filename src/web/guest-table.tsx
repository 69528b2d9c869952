import { Component, type ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { AllocationRow, ContainerRow } from '../core/report/status.ts';
import { toneOf, wentWrong } from '../core/report/tone.ts';
import {
  coresWords,
  memoryOf,
  memoryWords,
  percentWords,
  twoDigits,
  whenWords,
} from './amounts.ts';
import { Bar } from './bar.tsx';
import { BEGINS_DOWN, nowWords, type Order, type SortKey, sorted } from './guest-rows.ts';
import { Icon } from './icons.tsx';
import { hrefOf } from './route.ts';
import { Sparkline, type Sparks } from './sparkline.tsx';

/** All guests, a line each. */

interface Head {
  readonly key: SortKey;
  readonly label: string;
  /** The class says at which width the column is left out. */
  readonly className: string;
}

const HEADS: readonly Head[] = [
  { key: 'vmid', label: 'ID', className: 'col-id' },
  { key: 'name', label: 'Guest', className: 'col-name' },
  { key: 'cpu', label: 'CPU', className: 'col-cpu' },
  { key: 'memory', label: 'Memory', className: 'col-memory' },
  { key: 'waits', label: 'Waits', className: 'col-waits' },
  { key: 'policy', label: 'Policy', className: 'col-policy' },
  { key: 'change', label: 'Last change', className: 'col-change' },
  { key: 'now', label: 'Now', className: 'col-now' },
];

export interface GuestTableProps {
  readonly rows: readonly ContainerRow[];
  /** The local time of the report: what is of its day is shown by the time alone. */
  readonly today: string;
  /** undefined: no usage is recorded. */
  readonly sparks: Sparks | undefined;
}

export function GuestTable({ rows, today, sparks }: GuestTableProps) {
  const [order, setOrder] = useState<Order>({ key: 'vmid', down: false });
  const choose = (key: SortKey): void =>
    setOrder({ key, down: order.key === key ? !order.down : BEGINS_DOWN.has(key) });
  return (
    <table class="guests">
      <caption class="unseen">Guests of this node, with what they use, need and may use</caption>
      <thead>
        <tr>
          {HEADS.map((head) => (
            <SortHead key={head.key} head={head} order={order} onChoose={choose} />
          ))}
        </tr>
      </thead>
      <tbody>
        {sorted(rows, order).map((row) => (
          <GuestLine key={row.vmid} row={row} day={today.slice(0, 10)} spark={sparks?.[row.vmid]} />
        ))}
      </tbody>
    </table>
  );
}

interface SortHeadProps {
  readonly head: Head;
  readonly order: Order;
  readonly onChoose: (key: SortKey) => void;
}

function SortHead({ head: { key, label, className }, order, onChoose }: SortHeadProps) {
  const isSorted = order.key === key;
  const direction = order.down ? 'descending' : 'ascending';
  return (
    <th scope="col" class={className} aria-sort={isSorted ? direction : 'none'}>
      <button type="button" onClick={() => onChoose(key)}>
        {label}
        {isSorted && <Icon name={order.down ? 'down' : 'up'} />}
      </button>
    </th>
  );
}

interface LineProps {
  readonly row: ContainerRow;
  readonly day: string;
  readonly spark: Sparks[string] | undefined;
}

/** A row that says the same as before is not drawn again: see `keepingEqual`. */
class GuestLine extends Component<LineProps> {
  override shouldComponentUpdate(next: LineProps): boolean {
    const { row, day, spark } = this.props;
    return next.row !== row || next.day !== day || next.spark !== spark;
  }

  override render({ row, day, spark }: LineProps) {
    const { vmid, name, lastChange } = row;
    return (
      <tr data-tone={toneOf(row)}>
        <td class="col-id number">{vmid}</td>
        <th scope="row" class="col-name">
          <a class="whole-row" href={hrefOf({ view: 'guest', vmid })}>
            <span class="col-id-inline number">{vmid} </span>
            {name}
          </a>{' '}
          {row.kind === 'qemu' && <span class="tag">VM</span>}
          <span class="now-inline">
            <NowWords row={row} />
          </span>
        </th>
        <td class="col-cpu">
          <CpuCell row={row} shares={spark?.cpu} />
        </td>
        <td class="col-memory">
          <MemoryCell row={row} shares={spark?.memory} />
        </td>
        <td class="col-waits number">{waitsWords(row)}</td>
        <td class="col-policy">
          <PolicyCell row={row} />
        </td>
        <td class="col-change">
          {lastChange !== null && <time class="number">{whenWords(lastChange.time, day)} </time>}
          {lastChange !== null && <ChangeWords what={lastChange.what} />}
          {wentWrong(row) && <span class="bad"> {lastChange?.status}</span>}
        </td>
        <td class="col-now">
          <NowWords row={row} />
        </td>
      </tr>
    );
  }
}

interface CellProps {
  readonly row: ContainerRow;
  readonly shares: readonly (number | null)[] | undefined;
}

interface GaugeProps extends Pick<CellProps, 'shares'> {
  readonly words: string;
  readonly children: ComponentChildren;
}

function Gauge({ children, words, shares }: GaugeProps) {
  return (
    <span class="gauge">
      {children}
      <Sparkline shares={shares} />
      <span class="number">{words}</span>
    </span>
  );
}

/** How many cores a guest may use; undefined: all, or not known. */
export function coresLimit(
  allocation: AllocationRow | null,
  unit: ContainerRow['unit'],
): number | undefined {
  const limits = [allocation?.cores, unit === 'cores' ? undefined : allocation?.cpuLimit];
  const known = limits.filter((limit) => typeof limit === 'number');
  return known.length === 0 ? undefined : Math.min(...known);
}

function CpuCell({ row: { cpu, allocation, unit, need }, shares }: CellProps) {
  const used = 'missing' in cpu ? undefined : cpu.usedCores;
  const limit = coresLimit(allocation, unit);
  const whole = 'missing' in cpu ? undefined : cpu.allowedCores;
  const has = limit === undefined ? 'all' : twoDigits(limit);
  return (
    <Gauge words={`${used === undefined ? '–' : used.toFixed(2)} / ${has}`} shares={shares}>
      <Bar used={used} need={need.cores ?? undefined} limit={limit} whole={whole} />
    </Gauge>
  );
}

function MemoryCell({ row: { memory, allocation, need }, shares }: CellProps) {
  const used = 'missing' in memory ? undefined : memory.usedMib;
  const limit = allocation?.memoryMib;
  return (
    <Gauge words={limit === undefined ? '–' : memoryOf(used, limit)} shares={shares}>
      <Bar used={used} need={need.memoryMib ?? undefined} limit={limit} />
    </Gauge>
  );
}

/** The greater of both: which one it is is said by the view of the guest. */
function waitsWords({ pressure: { cpuPercent, memoryPercent } }: ContainerRow): string {
  if (cpuPercent === null && memoryPercent === null) return '–';
  return percentWords(Math.max(cpuPercent ?? 0, memoryPercent ?? 0));
}

function PolicyCell({ row: { policy, mode, scaling } }: { row: ContainerRow }) {
  if (policy === null) return <span class="muted">{mode}</span>;
  return (
    <>
      {policy.replace(/^TIER_/, '')}{' '}
      {mode === 'observe' && <span class="tag tag-observe">observe</span>}
      {scaling !== 'threshold' && scaling !== null && <span class="tag">{scaling}</span>}
    </>
  );
}

/** `cores 4 -> 8 cores, since ...` as `CPU 4 → 8`. */
function ChangeWords({ what }: { what: string }) {
  const [, resource, before, after] = /^(\w+) (\S+) -> (\S+)/.exec(what) ?? [];
  if (resource === undefined || before === undefined || after === undefined) return <>{what}</>;
  const [from, to] = [Number(before), Number(after)];
  const direction = Number.isNaN(from) || Number.isNaN(to) ? undefined : to > from;
  return (
    <StepWords
      label={resource === 'cores' ? 'CPU' : 'Mem'}
      from={resource === 'cores' || Number.isNaN(from) ? before : memoryWords(from)}
      to={resource === 'cores' || Number.isNaN(to) ? after : memoryWords(to)}
      isUp={direction}
    />
  );
}

interface StepProps {
  readonly label: string;
  readonly from: string;
  readonly to: string;
  readonly isUp: boolean | undefined;
}

export function StepWords({ label, from, to, isUp }: StepProps) {
  return (
    <span class="step">
      {isUp !== undefined && <Icon name={isUp ? 'up' : 'down'} />}
      {label} <span class="number">{from}</span> → <span class="number">{to}</span>
    </span>
  );
}

/** What would be done if it were not only observed, or what holds it. */
export function NowWords({ row }: { row: ContainerRow }) {
  const { would, mode } = row;
  if (mode === 'ignored') return <span class="muted">ignored</span>;
  if (would === null) return <span class="now">{nowWords(row)}</span>;
  const { cores, memoryMib } = would;
  return (
    <span class="now would">
      <span class="would-label">would </span>
      {cores !== null && (
        <StepWords
          label="CPU"
          from={twoDigits(cores.from)}
          to={coresWords(cores.to)}
          isUp={cores.to > cores.from}
        />
      )}
      {memoryMib !== null && (
        <StepWords
          label="Mem"
          from={memoryWords(memoryMib.from)}
          to={memoryWords(memoryMib.to)}
          isUp={memoryMib.to > memoryMib.from}
        />
      )}
    </span>
  );
}
