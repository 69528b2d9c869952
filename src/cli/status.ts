import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { plainText } from '../core/plain-text.ts';
import type { ContainerRow, HostRow, StatusReport } from '../core/report/status.ts';
import { observingWords } from '../core/report/would.ts';
import type { Vmid } from '../core/units.ts';
import { table } from '../output/table.ts';
import type { Arguments } from './arguments.ts';
import { ask } from './ask.ts';
import { groupSummary } from './group-lines.ts';

/** `status`: the host and all containers in a table, or as JSON. Changes nothing. */
export async function status(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const report = await ask<StatusReport>({ command: 'status' }, 'report', given, context);
  if (typeof report === 'number') return report;
  const one = oneOf(report, given.vmid);
  if (one === undefined) {
    const remedy = 'List them: lxc-autoscale status';
    context.stderr.write(`Container ${given.vmid} is not on this node. ${remedy}\n`);
    return EXIT.failure;
  }
  const reasons = given.vmid === undefined ? [] : one.containers.map(({ now }) => now.says);
  const lines = [...statusLines(one), ...reasons.map((says) => `\n${plainText(says)}`)];
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

/** What a terminal shows in one line. */
const COLUMNS = 120;
const LONGEST_NAME = 14;
const LONGEST_POLICY = 12;

export function statusLines(report: StatusReport): readonly string[] {
  const { cycle, time, from, dryRun, host, containers } = report;
  const dry = dryRun ? ', a dry run' : '';
  const when = from === 'daemon' ? `Cycle ${cycle} at ${time}${dry}.` : `As of ${time}.`;
  const rows = containers.map((row) => cells(row, time));
  const lines = [
    ...(report.observing === null ? [] : [headline(report.observing)]),
    `${when} ${hostWords(host)}`,
    budgetWords(host),
    ...(host.paused === null ? [] : [`PAUSED, nothing is changed: ${host.paused}.`]),
    ...(host.overdue === null ? [] : [`NOT ACTIVE: ${host.overdue}.`]),
    ...refusalLines(host),
    ...host.missing.map((why) => `Not known: ${why}`),
    '',
    ...(rows.length === 0
      ? ['There are no containers on this node.']
      : table([HEAD, ...rows]).map((line) => clip(line, COLUMNS))),
    ...groupSummary(report.groups ?? []).map((line) => clip(line, COLUMNS)),
    ...otherLines(report),
  ];
  return lines.map((line) => plainText(line));
}

/** A daemon may look after several nodes; the table is of one. */
function otherLines({ node, others = [] }: StatusReport): readonly string[] {
  if (node === undefined) return [];
  const words = others.map(({ node: name, cycle, guests, paused }) => {
    const seen = cycle === null ? 'not seen yet' : `${guests ?? 0} guests, cycle ${cycle}`;
    return `${name} (${seen}${paused === null ? '' : `; paused: ${paused}`})`;
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

const HEAD = [
  ...['VMID', 'NAME', 'POLICY', 'CPU', 'MEMORY MB', 'NEED', 'WAITS %', 'LAST CHANGE', 'NOW'],
];

function cells(row: ContainerRow, time: string): string[] {
  const { vmid, name, policy, mode, scaling, need, pressure, now } = row;
  const special = mode === 'observe' ? 'observe' : scaling === 'boost' ? 'boost' : '';
  const called = (policy ?? '-').replace(/^TIER_/, '');
  return [
    `${vmid}`,
    clip(plainText(name), LONGEST_NAME),
    clip(plainText(special === '' ? called : `${called}, ${special}`), LONGEST_POLICY),
    cpuCell(row),
    memoryCell(row),
    need.cores === null && need.memoryMib === null
      ? '-'
      : `${orDash(need.cores)}, ${need.memoryMib === null ? '-' : Math.ceil(need.memoryMib)}`,
    pressureCell(pressure),
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

const WENT_WELL: ReadonlySet<string> = new Set(['confirmed', 'pending']);

/** `02:48 mem 1024>1536`: the time of today, the day of another one. */
function changeCell(last: ContainerRow['lastChange'], time: string): string {
  if (last === null) return '-';
  const today = last.time.slice(0, 10) === time.slice(0, 10);
  const when = today ? last.time.slice(11, 16) : last.time.slice(5, 10);
  const [, resource, before, after] = /^(\w+) (\S+) -> (\S+)/.exec(last.what) ?? [];
  const step =
    resource === undefined ? '' : ` ${resource === 'cores' ? 'cpu' : 'mem'} ${before}>${after}`;
  const failed = WENT_WELL.has(last.status) ? '' : ` ${last.status}`;
  return `${when}${step}${failed}`;
}

const orDash = (value: number | null): string => (value === null ? '-' : `${value}`);

function clip(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, width - 3).join('')}...`;
}
