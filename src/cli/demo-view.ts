import type { Writable } from 'node:stream';
import { journalLabel } from '../core/journal-words.ts';
import { plainText } from '../core/plain-text.ts';
import { clip } from '../output/text-width.ts';
import type { SimulatedNode } from '../sim/node.ts';
import { unreclaimableBytes } from '../sim/plant-memory.ts';
import { type SummaryInput, savedWords } from './demo-summary.ts';
import type { JournalLine } from './journal-tail.ts';

/** What a spectator of the demo sees: a live table on a terminal, plain lines elsewhere. */
export interface View {
  show(news: readonly JournalLine[]): void;
  finish(): void;
}

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;
const CLEAR = '\x1b[H\x1b[J';
/** More than any screen has lines. */
const MOST_NEWS = 200;
/** A reason is whole in a file; a screen cuts it at its edge. */
const LONGEST_LINE = 1000;
const LEAST_NEWS = 2;
/** On a very low screen. */
const LEAST_ROWS = 3;
/** Lines beside rows and news: title, sums, heading, blank ones, the cursor. */
const FRAME_LINES = 7;

export interface ViewOptions {
  /** The demand's clock at the beginning. */
  readonly startMs: number;
  /** What each container had then. */
  readonly first: SummaryInput['first'];
  /** How to look at the node by commands; shown where it fits whole. */
  readonly hint: string;
}

export function createView(node: SimulatedNode, out: Writable, options: ViewOptions): View {
  const size = out as Partial<NodeJS.WriteStream>;
  return size.isTTY === true ? tableView(node, out, size, options) : lineView(node, out);
}

/** `day 1 06:48`, on the demand's clock. */
function clockTime(demandMs: number): string {
  const minutes = Math.floor(demandMs / 60_000);
  const day = Math.floor(minutes / 1440) + 1;
  const two = (value: number): string => String(value).padStart(2, '0');
  return `day ${day} ${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}`;
}

function newsLine(demandMs: number, event: JournalLine): string {
  const { container_id: id, before, after } = event;
  const action = journalLabel({ ...event });
  const unit = action.includes('Memory') ? ' MB' : '';
  const step = before === undefined ? `${after}` : `${before} -> ${after}${unit}`;
  const who = `${id} ${event.name ?? ''}`.trim();
  const why = event.reason === undefined ? '' : `: ${event.reason}`;
  return plainText(`${clockTime(demandMs)}  ${action} of ${who} ${step}${why}`, LONGEST_LINE);
}

/** Numbers of all containers now and then, and every change when it comes. */
function lineView(node: SimulatedNode, out: Writable): View {
  let lastHour = -1;
  return {
    show(news) {
      const { demandMs } = node.machine.plant;
      for (const event of news) {
        if (event.event !== 'confirmed') out.write(`${newsLine(demandMs, event)}\n`);
      }
      const hour = Math.floor(demandMs / HOUR_MS / 3);
      if (hour === lastHour) return;
      lastHour = hour;
      out.write(`${clockTime(demandMs)}  ${totals(node)}\n`);
    },
    finish() {},
  };
}

function totals(node: SimulatedNode): string {
  let cores = 0;
  let usedCores = 0;
  let memory = 0;
  let used = 0;
  for (const container of node.machine.plant.containers()) {
    cores += container.limits.cpus.length;
    usedCores += container.cpu.usedCores;
    memory += container.limits.memoryMaxBytes / MIB;
    used += unreclaimableBytes(container.memory) / MIB;
  }
  return (
    `in use ${usedCores.toFixed(1)} of ${cores} cores, ` +
    `${Math.round(used)} of ${Math.round(memory)} MB given`
  );
}

function tableView(
  node: SimulatedNode,
  out: Writable,
  size: Partial<NodeJS.WriteStream>,
  { startMs, first, hint }: ViewOptions,
): View {
  const recent: string[] = [];
  return {
    show(news) {
      const { demandMs } = node.machine.plant;
      for (const event of news) {
        if (event.event !== 'confirmed') recent.push(newsLine(demandMs, event));
      }
      recent.splice(0, recent.length - MOST_NEWS);
      const width = size.columns || 100;
      const height = size.rows || 40;
      const room = Math.max(LEAST_ROWS, height - FRAME_LINES - LEAST_NEWS);
      const rows = tableRows(node, barWidth(width)).slice(0, room);
      const hints = hint.length <= width && rows.length < room ? [hint] : [];
      const left = Math.max(LEAST_NEWS, height - FRAME_LINES - rows.length - hints.length);
      const passed = ((demandMs - startMs) / HOUR_MS).toFixed(1);
      const lines = [
        `lxc-autoscale demo (q ends it)  ${clockTime(demandMs)}  ${passed} h passed`,
        totals(node),
        `saved so far: ${savedWords(node, first)}`,
        ...hints,
        '',
        heading(barWidth(width)),
        ...rows,
        '',
        ...recent.slice(-left),
      ];
      out.write(`${CLEAR}${lines.map((line) => clip(line, width)).join('\n')}\n`);
    },
    finish() {
      out.write('\n');
    },
  };
}

/** Beside the bars a row has so many columns. */
const ROW_COLUMNS = 46;
const LONGEST_BAR = 32;

const barWidth = (columns: number): number =>
  Math.max(3, Math.min(LONGEST_BAR, Math.floor((columns - ROW_COLUMNS) / 2) - 2));

const heading = (bar: number): string =>
  [
    'ID'.padEnd(4),
    'NAME'.padEnd(12),
    'CPU'.padEnd(bar + 2),
    'of cores'.padEnd(8),
    'MEMORY'.padEnd(bar + 2),
    'of MB'.padEnd(11),
    'OOM',
  ].join(' ');

function tableRows(node: SimulatedNode, width: number): string[] {
  return [...node.machine.plant.containers()].map(({ vmid, cpu, limits, memory }) => {
    const name = plainText(node.machine.conf(vmid)?.main.values.get('hostname') ?? '', 12);
    const cpus = limits.cpus.length;
    const limitMib = limits.memoryMaxBytes / MIB;
    const usedMib = unreclaimableBytes(memory) / MIB;
    return [
      String(vmid).padEnd(4),
      name.padEnd(12),
      bar(cpu.usedCores / cpus, width),
      `${cpu.usedCores.toFixed(1)}/${cpus}`.padEnd(8),
      bar(usedMib / limitMib, width),
      `${Math.round(usedMib)}/${Math.round(limitMib)}`.padEnd(11),
      String(node.oomKills(vmid)),
    ].join(' ');
  });
}

function bar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}]`;
}
