import type { Writable } from 'node:stream';
import { journalLabel } from '../core/journal-words.ts';
import { plainText } from '../core/plain-text.ts';
import type { SimulatedNode } from '../sim/node.ts';
import { unreclaimableBytes } from '../sim/plant-memory.ts';
import type { JournalLine } from './journal-tail.ts';

/** What a spectator of the demo sees: a live table on a terminal, plain lines elsewhere. */
export interface View {
  show(news: readonly JournalLine[]): void;
  finish(): void;
}

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;
const CLEAR = '\x1b[H\x1b[J';
const NEWS_LINES = 8;
/** Lines beside the table: title, heading, news. */
const FRAME_LINES = NEWS_LINES + 6;

export function createView(node: SimulatedNode, out: Writable, startMs: number): View {
  const size = out as Partial<NodeJS.WriteStream>;
  return size.isTTY === true ? tableView(node, out, size, startMs) : lineView(node, out);
}

/** `day 1 06:48`, on the demand's clock. */
export function clockTime(demandMs: number): string {
  const minutes = Math.floor(demandMs / 60_000);
  const day = Math.floor(minutes / 1440) + 1;
  const two = (value: number): string => String(value).padStart(2, '0');
  return `day ${day} ${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}`;
}

export function newsLine(demandMs: number, event: JournalLine): string {
  const { container_id: id, before, after } = event;
  const action = journalLabel({ ...event });
  const unit = action.includes('Memory') ? ' MB' : '';
  const step = before === undefined ? `${after}` : `${before} -> ${after}${unit}`;
  const who = `${id} ${event.name ?? ''}`.trim();
  const why = event.reason === undefined ? '' : `: ${event.reason}`;
  return plainText(`${clockTime(demandMs)}  ${action} of ${who} ${step}${why}`, 200);
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
    `${Math.round(used)} of ${Math.round(memory)} MB given to the containers`
  );
}

function tableView(
  node: SimulatedNode,
  out: Writable,
  size: Partial<NodeJS.WriteStream>,
  startMs: number,
): View {
  const recent: string[] = [];
  return {
    show(news) {
      const { demandMs } = node.machine.plant;
      for (const event of news) {
        if (event.event !== 'confirmed') recent.push(newsLine(demandMs, event));
      }
      recent.splice(0, recent.length - NEWS_LINES);
      const width = size.columns ?? 100;
      const rows = tableRows(node).slice(0, Math.max(5, (size.rows ?? 40) - FRAME_LINES));
      const passed = ((demandMs - startMs) / HOUR_MS).toFixed(1);
      const lines = [
        `lxc-autoscale demo   ${clockTime(demandMs)}   ${passed} h have passed   Ctrl-C ends it`,
        totals(node),
        '',
        HEADING,
        ...rows,
        '',
        ...recent,
      ];
      out.write(`${CLEAR}${lines.map((line) => line.slice(0, width)).join('\n')}\n`);
    },
    finish() {
      out.write('\n');
    },
  };
}

const HEADING = [
  'ID'.padEnd(5),
  'NAME'.padEnd(14),
  'CPU'.padEnd(18),
  'of cores'.padEnd(9),
  'MEMORY'.padEnd(18),
  'of MB'.padEnd(12),
  'OOM kills',
].join(' ');

function tableRows(node: SimulatedNode): string[] {
  return [...node.machine.plant.containers()].map(({ vmid, cpu, limits, memory }) => {
    const name = plainText(node.machine.conf(vmid)?.main.values.get('hostname') ?? '', 14);
    const cpus = limits.cpus.length;
    const limitMib = limits.memoryMaxBytes / MIB;
    const usedMib = unreclaimableBytes(memory) / MIB;
    return [
      String(vmid).padEnd(5),
      name.padEnd(14),
      bar(cpu.usedCores / cpus),
      `${cpu.usedCores.toFixed(1)}/${cpus}`.padEnd(9),
      bar(usedMib / limitMib),
      `${Math.round(usedMib)}/${Math.round(limitMib)}`.padEnd(12),
      String(node.oomKills(vmid)),
    ].join(' ');
  });
}

const BAR_WIDTH = 16;

function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
  return `[${'#'.repeat(full)}${'.'.repeat(BAR_WIDTH - full)}]`;
}
