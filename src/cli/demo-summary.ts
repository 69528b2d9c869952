import { join } from 'node:path';
import { withUnit } from '../core/explain.ts';
import { firstOf } from '../core/first-of.ts';
import { journalLabel } from '../core/journal-words.ts';
import { plainText } from '../core/plain-text.ts';
import type { Milliseconds } from '../core/units.ts';
import type { LimitsView, SimulatedNode } from '../sim/node.ts';
import type { JournalLine } from './journal-tail.ts';
import { hanging } from './view.ts';

/** What the demo ends with: what was changed and why, what it saved, where the logs lie. */

export interface SummaryInput {
  readonly node: SimulatedNode;
  /** What each container had at the beginning. */
  readonly first: ReadonlyMap<number, LimitsView | undefined>;
  readonly events: readonly JournalLine[];
  /** Lines of the text log on containers that were skipped, without their time. */
  readonly leftAlone: readonly string[];
  readonly directory: string;
  readonly ran: Milliseconds;
  /** Of the terminal; undefined: nothing is folded. */
  readonly width?: number | undefined;
}

const HOUR_MS = 3_600_000;
const MIB_PER_GB = 1024;
const MOST_ROWS = 20;
const MOST_NAMES = 6;

export function summary(input: SummaryInput): string {
  const { node, first, events, leftAlone, directory, ran, width } = input;
  const log = join(directory, 'node/var/log/lxc_autoscale.log');
  const json = join(directory, 'node/var/log/lxc_autoscale.json');
  const oomKills = node.events.filter(({ what }) => what === 'oom-kill').length;
  const sets = node.calls.filter(({ argv }) => argv[0] === 'pct' && argv[1] === 'set').length;
  const failed = events.filter(({ status }) => status === 'failed' || status === 'rolled-back');
  return [
    '',
    `Summary of ${Math.round(ran / 1000)} s`,
    '',
    ...changeTable(node, [...first.keys()], events),
    ...hanging([...leftAlone, '', ...savings(node, first)], width),
    `Commands: ${node.calls.length}, of which ${sets} pct set; failed changes: ${failed.length}`,
    `Out-of-memory kills: ${oomKills}`,
    '',
    `Log:      ${log}`,
    `JSON log: ${json}`,
    `  jq -r '[.timestamp,.container_id,.action,.change,.reason]|@tsv' ${json}`,
    `Remove it all: rm -r ${directory}`,
    '',
  ].join('\n');
}

interface Own {
  readonly vmid: number;
  readonly name: string;
  readonly events: readonly JournalLine[];
}

function changeTable(
  node: SimulatedNode,
  ids: readonly number[],
  events: readonly JournalLine[],
): string[] {
  const own = ids.map((vmid): Own => {
    const conf = node.machine.conf(vmid)?.main.values;
    const changes = events.filter(
      ({ container_id: id, event }) => id === String(vmid) && event !== 'confirmed',
    );
    return { vmid, name: plainText(conf?.get('hostname') ?? '', 16), events: changes };
  });
  const changed = own.filter((one) => one.events.length > 0);
  const rows = changed.slice(0, MOST_ROWS).flatMap((one) => changeRows(node, one));
  if (changed.length > MOST_ROWS) {
    rows.push(`... and changes of ${changed.length - MOST_ROWS} containers more, see the logs`);
  }
  const unchanged = own.filter((one) => one.events.length === 0);
  if (unchanged.length === 0) return rows;
  const names = unchanged.map(({ vmid, name }) => `${vmid} ${name}`);
  return [...rows, `Unchanged: ${firstOf(names, MOST_NAMES)}`];
}

function changeRows(node: SimulatedNode, { vmid, name, events }: Own): string[] {
  const limits = node.limits(vmid);
  const cores = limits?.cores === undefined ? 'all cores' : withUnit('cores', limits.cores);
  const now = `now ${cores}, ${limits?.memoryMib} MB`;
  const rows = [`${vmid} ${name.padEnd(16)} ${countWords(events).padEnd(38)} ${now}`];
  const last = events.at(-1);
  if (last !== undefined) {
    const what = `${journalLabel({ ...last })} by ${last.by ?? last.change}`;
    rows.push(`    last: ${plainText(`${what}, ${last.reason}`, 180)}`);
  }
  return rows;
}

function countWords(events: readonly JournalLine[]): string {
  const count = (action: string): number =>
    events.filter((event) => event.action === action).length;
  return (
    `cores +${count('Increase Cores')} -${count('Decrease Cores')}, ` +
    `memory +${count('Increase Memory')} -${count('Decrease Memory')}`
  );
}

/** What was given to the containers so far, and what they would have had without any change. */
function givenSoFar(node: SimulatedNode, first: SummaryInput['first']) {
  let gbHours = 0;
  let gbHoursAtFirst = 0;
  let coreHours = 0;
  let coreHoursAtFirst = 0;
  let hours = 0;
  for (const [vmid, before] of first) {
    const ledger = node.ledger(vmid);
    const ownHours = ledger.demandMs / HOUR_MS;
    hours = Math.max(hours, ownHours);
    gbHours += ledger.allocatedMibMs / MIB_PER_GB / HOUR_MS;
    coreHours += ledger.allocatedCoreMs / HOUR_MS;
    gbHoursAtFirst += ((before?.memoryMib ?? 0) / MIB_PER_GB) * ownHours;
    coreHoursAtFirst += (before?.cores ?? 0) * ownHours;
  }
  return { hours, gbHours, gbHoursAtFirst, coreHours, coreHoursAtFirst };
}

/** `memory 27 %, CPU 3 %`: of what they had at the beginning, over the demand's time. */
export function savedWords(node: SimulatedNode, first: SummaryInput['first']): string {
  const { gbHours, gbHoursAtFirst, coreHours, coreHoursAtFirst } = givenSoFar(node, first);
  const share = (now: number, before: number): number =>
    before > 0 ? Math.round((1 - now / before) * 100) : 0;
  return `memory ${share(gbHours, gbHoursAtFirst)} %, CPU ${share(coreHours, coreHoursAtFirst)} %`;
}

/** Against what the containers had at the beginning, over the demand's time. */
function savings(node: SimulatedNode, first: SummaryInput['first']): string[] {
  const given = givenSoFar(node, first);
  const { hours, gbHours, gbHoursAtFirst, coreHours, coreHoursAtFirst } = given;
  return [
    `In ${hours.toFixed(1)} h of demand, against leaving everything as it was at first:`,
    `  memory ${against(gbHours, gbHoursAtFirst, 'GB-hours')}`,
    `  CPU    ${against(coreHours, coreHoursAtFirst, 'core-hours')}`,
  ];
}

function against(now: number, before: number, unit: string): string {
  const saved = before - now;
  const share = before > 0 ? Math.round((Math.abs(saved) / before) * 100) : 0;
  const word = saved >= 0 ? 'saved' : 'more';
  const amount = Math.round(Math.abs(saved));
  return `${amount} ${unit} ${word} (${share} % of ${Math.round(before)})`;
}
