import { setTimeout as wait } from 'node:timers/promises';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { firstOf } from '../core/first-of.ts';
import { plainText } from '../core/plain-text.ts';
import { allocatedWords } from '../core/report/allocated-words.ts';
import type { ContainerRow, HostRow, StatusReport } from '../core/report/status.ts';
import { type Tone, toneOf } from '../core/report/tone.ts';
import { observingWords } from '../core/report/would.ts';
import type { Vmid } from '../core/units.ts';
import { clip } from '../output/text-width.ts';
import type { Arguments } from './arguments.ts';
import { ask } from './ask.ts';
import type { CommandContext } from './command.ts';
import { onEndKeys } from './end-keys.ts';
import { groupSummary } from './group-lines.ts';
import { type GuestLack, lackLines, MOST_IDS } from './lack-lines.ts';
import { whyUnseen } from './machine-here.ts';
import {
  type Colour,
  type Column,
  fitted,
  folded,
  hanging,
  type Paint,
  terminalWidth,
  type View,
  viewOf,
} from './view.ts';

/** `status`: the host and all containers in a table, or as JSON. Changes nothing. */
export async function status(given: Arguments, context: CommandContext): Promise<ExitCode> {
  const once = (): Promise<ExitCode> => show(given, context);
  return given.view.watch ? watch(once, context, viewOf(given, context).isTerminal) : once();
}

/** Shows it again and again, until q or a signal comes, or nobody reads on, as after `| head`. */
export async function watch(
  once: () => Promise<ExitCode>,
  { signals, stdin, stdout }: Pick<CommandContext, 'signals' | 'stdin' | 'stdout'>,
  isTerminal: boolean,
): Promise<ExitCode> {
  const over = new AbortController();
  const end = (): void => over.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) signals.on(signal, end);
  stdout.on('error', end);
  const letGo = isTerminal ? onEndKeys(stdin, end) : () => {};
  const ended = new Promise<undefined>((resolve) => {
    over.signal.addEventListener('abort', () => resolve(undefined));
  });
  let code: ExitCode = EXIT.fine;
  try {
    while (!over.signal.aborted) {
      if (isTerminal) stdout.write(CLEAR);
      code = (await Promise.race([once(), ended])) ?? code;
      await wait(WATCH_MS, undefined, { signal: over.signal }).catch(() => {});
    }
  } finally {
    letGo();
  }
  return code;
}

const spaced = (sentences: readonly string[], width: number | undefined): readonly string[] =>
  sentences.flatMap((one) => ['', ...hanging([plainText(one)], width)]);

const CLEAR = '\x1b[H\x1b[J';
const WATCH_MS = 2000;

async function show(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const report = await ask<StatusReport>({ command: 'status' }, 'report', given, context);
  if (typeof report === 'number') return report;
  const one = oneOf(report, given.vmid);
  if (one === undefined) {
    const nobody = `Guest ${given.vmid} is not on this node. List them: lxc-autoscale status`;
    context.stderr.write(`${whyUnseen(given, context) ?? nobody}\n`);
    return EXIT.failure;
  }
  const reasons = given.vmid === undefined ? [] : one.containers.map(({ now }) => now.says);
  const view = viewOf(given, context);
  const shown = { ...one, containers: sorted(one.containers, given.view.sort) };
  const lines = [...statusLines(shown, view), ...spaced(reasons, terminalWidth(context))];
  const text = given.json ? JSON.stringify(one, null, 2) : lines.join('\n');
  context.stdout.write(`${text}\n`);
  return EXIT.fine;
}

/** The report on one container alone; undefined if it is not there. */
function oneOf(report: StatusReport, vmid: Vmid | undefined): StatusReport | undefined {
  if (vmid === undefined) return report;
  const containers = report.containers.filter((row) => row.vmid === vmid);
  return containers.length === 0 ? undefined : { ...report, containers, groups: [] };
}

const LONGEST_NAME = 14;
/** What would be done must be whole in a line of 120 columns. */
const LONGEST_POLICY = 12;
/** Beside the policy; the first line says it if all of them are observed. */
const OBSERVED = ', obs';
const BOOSTED = ', boost';

export function statusLines(report: StatusReport, view: View): readonly string[] {
  const { paint } = view;
  const { cycle, time, from, dryRun, host, containers, configuration, connection, found } = report;
  const dry = dryRun ? ', a dry run' : '';
  const when = from === 'daemon' ? `Cycle ${cycle} at ${time}${dry}.` : `As of ${time}.`;
  const areAllObserved = report.observing?.scope === 'all';
  const rows = containers.map((row) => cells(row, time, areAllObserved));
  const urgent = [
    ...(host.paused === null ? [] : [`PAUSED, nothing is changed: ${host.paused}.`]),
    ...(host.overdue === null ? [] : [`NOT ACTIVE: ${host.overdue}.`]),
  ];
  const said = (text: string, colour?: Colour): readonly string[] =>
    folded(plainText(text), view.width).map((line) => (colour ? paint(colour, line) : line));
  return [
    ...(report.observing === null ? [] : said(headline(report.observing), 'amber')),
    ...said(`${when} ${hostWords(host)}`),
    ...said(allocatedWords(host)),
    ...said(budgetWords(host)),
    ...urgent.flatMap((text) => said(text, 'red')),
    ...refusalLines(host).flatMap((text) => said(text)),
    ...(connection === undefined ? [] : said(`The node is reached ${connection.says}.`)),
    ...(found === undefined ? [] : said(`The node was ${found.says}.`)),
    ...host.missing.flatMap((why) => said(`Not known: ${why}`)),
    ...(configuration === undefined ? [] : said(`The cluster shares ${configuration}.`)),
    '',
    ...(rows.length === 0
      ? ['There are no containers on this node.']
      : fitted(COLUMNS, rows, view, (row, text) => tinted(paint, containers[row], text))),
    ...lackLines(lacksOf(containers)).flatMap((text) => said(text)),
    ...guardLine(containers).flatMap((text) => said(text)),
    ...groupSummary(report.groups ?? []).map((line) => clip(plainText(line), view.width)),
    ...otherLines(report).flatMap((text) => said(text)),
  ];
}

const lacksOf = (containers: readonly ContainerRow[]): readonly GuestLack[] =>
  containers.flatMap(({ vmid, memory }) =>
    'lack' in memory && memory.lack !== undefined ? [[vmid, memory.lack] as const] : [],
  );

function guardLine(containers: readonly ContainerRow[]): readonly string[] {
  const guarded = containers.filter(({ memory }) => 'guardMib' in memory);
  if (guarded.length === 0) return [];
  const ids = firstOf(
    guarded.map(({ vmid }) => vmid),
    MOST_IDS,
  );
  return [`${ids}: memory_guard holds memory.high below the limit; explain says where.`];
}

/** The order of the rows; each column that has a number begins with the largest. */
const ORDERS: Readonly<Partial<Record<string, (row: ContainerRow) => number | string>>> = {
  vmid: ({ vmid }) => vmid,
  name: ({ name }) => name.toLowerCase(),
  policy: ({ policy }) => policy ?? '',
  cpu: ({ cpu }) => ('missing' in cpu ? 0 : -cpu.usedCores),
  memory: ({ memory }) => ('missing' in memory ? 0 : -memory.usedMib),
  need: ({ need }) => -(need.memoryMib ?? 0),
  waits: ({ pressure }) => -Math.max(pressure.cpuPercent ?? 0, pressure.memoryPercent ?? 0),
  oom: ({ shortages }) => -(shortages?.oomKills ?? 0),
  change: ({ lastChange }) => (lastChange === null ? 0 : -Date.parse(lastChange.at)),
  now: ({ now }) => now.brief,
};

function sorted(rows: readonly ContainerRow[], key: string | undefined): readonly ContainerRow[] {
  const order = ORDERS[key ?? 'vmid'];
  if (order === undefined) return rows;
  return [...rows].sort((one, other) => {
    const [a, b] = [order(one), order(other)];
    return a < b ? -1 : a > b ? 1 : one.vmid - other.vmid;
  });
}

const COLOURS: Readonly<Record<Tone, Colour>> = {
  bad: 'red',
  busy: 'amber',
  calm: 'green',
  idle: 'dim',
};

const tinted = (paint: Paint, row: ContainerRow | undefined, text: string): string =>
  row === undefined ? text : paint(COLOURS[toneOf(row)], text);

/** A daemon may look after several nodes; the table is of one. */
function otherLines({ node, others = [] }: StatusReport): readonly string[] {
  if (node === undefined) return [];
  const words = others.map(({ node: name, cycle, guests, paused, connection, found }) => {
    const seen = cycle === null ? 'not seen yet' : `${guests ?? 0} guests, cycle ${cycle}`;
    const how = connection === undefined || connection.why === null ? '' : `; ${connection.says}`;
    const whence = found === undefined ? '' : `; ${found.says}`;
    return `${name} (${seen}${how}${whence}${paused === null ? '' : `; paused: ${paused}`})`;
  });
  const show = 'Show one: lxc-autoscale status --node NAME';
  return ['', `This is ${node}. Other nodes: ${words.join(', ')}. ${show}`];
}

function headline(seen: NonNullable<StatusReport['observing']>): string {
  const { measuring, observed, firstCpuAt } = seen;
  if (measuring === 0) return observingWords(seen);
  const whose = measuring < observed ? ` of ${measuring} containers` : '';
  const at = firstCpuAt === null ? 'need a daemon, which compares two cycles' : `at ${firstCpuAt}`;
  return `${observingWords(seen)} First CPU figures${whose} ${at}.`;
}

function hostWords({ cpus, busyPercent, memoryMib, availableMib }: HostRow): string {
  const busy = busyPercent === null ? '' : `, ${busyPercent} % busy`;
  const free = `${orDash(availableMib)} of ${orDash(memoryMib)} MB free`;
  return `Host: ${orDash(cpus)} CPUs${busy}; ${free}.`;
}

function budgetWords({ budget, reserve }: HostRow): string {
  const { cores, memoryMib } = budget;
  const most = `at most ${orDash(cores)} cores a container, ${orDash(memoryMib)} MB in all`;
  const kept = `${reserve.cpuPercent} % of the CPUs and ${reserve.memoryMib} MB are kept`;
  return `It can give ${most}; ${kept}.`;
}

function refusalLines({ refused }: HostRow): string[] {
  const say = (what: string, why: string | null): string[] =>
    why === null ? [] : [`No ${what} is given now: ${why.replaceAll('-', ' ')}.`];
  return [...say('more CPU', refused.cores), ...say('more memory', refused.memory)];
}

const COLUMNS: readonly Column[] = [
  { key: 'vmid', head: 'VMID', rank: 0 },
  { key: 'name', head: 'NAME', rank: 0, mayBeCut: true },
  { key: 'policy', head: 'POLICY', rank: 5 },
  { key: 'cpu', head: 'CPU', rank: 2 },
  { key: 'memory', head: 'MEMORY MB', rank: 1 },
  { key: 'need', head: 'NEED', rank: 4 },
  { key: 'waits', head: 'WAITS %', rank: 6 },
  { key: 'oom', head: 'OOM', rank: 7 },
  { key: 'change', head: 'LAST CHANGE', rank: 3 },
  { key: 'now', head: 'NOW', rank: 0 },
];

function cells(row: ContainerRow, time: string, areAllObserved: boolean): string[] {
  const { vmid, name, policy, mode, scaling, need, pressure, now } = row;
  const isOne = mode === 'observe' && !areAllObserved;
  const special = isOne ? OBSERVED : scaling === 'boost' ? BOOSTED : '';
  const called = plainText((policy ?? '-').replace(/^TIER_/, ''));
  return [
    row.kind === 'qemu' ? `${vmid} VM` : `${vmid}`,
    clip(plainText(name), LONGEST_NAME),
    clip(called, LONGEST_POLICY - special.length) + special,
    cpuCell(row),
    memoryCell(row),
    need.cores === null && need.memoryMib === null
      ? '-'
      : `${orDash(need.cores)}, ${need.memoryMib === null ? '-' : Math.ceil(need.memoryMib)}`,
    pressureCell(pressure),
    oomCell(row.shortages, time),
    changeCell(row.lastChange, time),
    row.mode === 'ignored' ? 'ignored' : now.brief,
  ];
}

function cpuCell({ cpu, allocation, unit }: ContainerRow): string {
  const cores = allocation?.cores ?? 'all';
  const has = unit === 'cpulimit' ? (allocation?.cpuLimit ?? cores) : cores;
  const of = allocation === null ? '-' : `${has}`;
  if ('missing' in cpu) return `-/${of}`;
  return `${cpu.usedCores}/${of} ${Math.round(cpu.percent)}%`;
}

function memoryCell({ memory, allocation }: ContainerRow): string {
  const of = allocation === null ? '-' : `${allocation.memoryMib}`;
  if ('missing' in memory) return `-/${of}`;
  return `${Math.round(memory.usedMib)}/${of} ${Math.round(memory.percent)}%`;
}

function pressureCell({ cpuPercent, memoryPercent }: ContainerRow['pressure']): string {
  if (cpuPercent === null && memoryPercent === null) return '-';
  const whole = (value: number | null): string => (value === null ? '-' : `${Math.round(value)}`);
  return `${whole(cpuPercent)}/${whole(memoryPercent)}`;
}

/** `2, 02:48`: kills, and when the last one was seen. */
function oomCell(seen: ContainerRow['shortages'], time: string): string {
  if (seen === null) return '-';
  const { oomKills, lastKillTime } = seen;
  return lastKillTime === null ? `${oomKills}` : `${oomKills}, ${whenShort(lastKillTime, time)}`;
}

/** The time of today, the day of another one. */
const whenShort = (then: string, now: string): string =>
  then.slice(0, 10) === now.slice(0, 10) ? then.slice(11, 16) : then.slice(5, 10);

const WENT_WELL: ReadonlySet<string> = new Set(['confirmed', 'pending']);

/** `02:48 mem 1024>1536`. */
function changeCell(last: ContainerRow['lastChange'], time: string): string {
  if (last === null) return '-';
  const when = whenShort(last.time, time);
  const [, resource, before, after] = /^(\w+) (\S+) -> (\S+)/.exec(last.what) ?? [];
  const step =
    resource === undefined ? '' : ` ${resource === 'cores' ? 'cpu' : 'mem'} ${before}>${after}`;
  const failed = WENT_WELL.has(last.status) ? '' : ` ${last.status}`;
  return `${when}${step}${failed}`;
}

const orDash = (value: number | null): string => (value === null ? '-' : `${value}`);
