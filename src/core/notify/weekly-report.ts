import { firstOf } from '../first-of.ts';
import { allocatedWords } from '../report/allocated-words.ts';
import { LEFT_BEHIND } from '../report/now.ts';
import type { ContainerRow, StatusReport } from '../report/status.ts';
import { observingWords } from '../report/would.ts';
import type { Milliseconds } from '../units.ts';
import { type NodeWeek, newNodeWeek, type Week } from './week.ts';

/** What a node has come to since the last report, and how it stands now: in lines. */

export interface NodeNow {
  /** What its lines begin with; empty if there is only one. */
  readonly label: string;
  readonly node: string;
  /** undefined: it has not been seen yet. */
  readonly report: StatusReport | undefined;
}

const MOST_NAMED = 8;
/** A cycle now and then is late; more than that is told. */
const ALL_SEEN = 0.95;

const HEAD = 'Weekly report';

/** @param localTime writes a time for people: `2026-11-21 22:04:45` */
export function weeklyReport(
  week: Week,
  nodes: readonly NodeNow[],
  nowMs: Milliseconds,
  localTime: (wallMs: Milliseconds) => string,
): readonly string[] {
  const from = localTime(week.sinceMs).slice(0, 16);
  const spanMs = Math.max(0, nowMs - week.sinceMs);
  const lines = nodes.flatMap((one) => {
    const counted = week.nodes.get(one.node) ?? newNodeWeek();
    const said = [...seenLines(counted, spanMs), ...nowLines(one), ...weekLines(counted, one)];
    return said.map((line) => labelled(one, line));
  });
  return [`${HEAD}, ${from} to ${localTime(nowMs).slice(0, 16)}.`, ...lines];
}

/** The same if no week is counted: how it stands. */
export const reportOfNow = (nodes: readonly NodeNow[]): readonly string[] =>
  nodes.flatMap((one) => nowLines(one).map((line) => labelled(one, line)));

const labelled = ({ label }: NodeNow, line: string): string =>
  label === '' ? line : `${label}: ${line}`;

function seenLines({ seenMs }: NodeWeek, spanMs: number): readonly string[] {
  if (seenMs >= spanMs * ALL_SEEN) return [];
  const times = `${timeWords(seenMs)} of ${timeWords(spanMs)}`;
  return [`The guests were seen for ${times}; what happened else is not in here.`];
}

function nowLines({ report }: NodeNow): readonly string[] {
  if (report === undefined) return ['It is not seen now, so there are no figures of it.'];
  const { host, containers, observing } = report;
  const unread = containers.filter(({ allocation }) => allocation === null);
  const ids = listOf(unread.map(({ vmid }) => `${vmid}`));
  return [
    allocatedWords(host),
    ...(unread.length === 0 ? [] : [`Not counted, since they cannot be read: ${ids}.`]),
    ...(observing === null ? [] : [observingWords(observing)]),
  ];
}

function weekLines(week: NodeWeek, { report }: NodeNow): readonly string[] {
  const containers = report?.containers ?? [];
  const { changes, failed, members } = week;
  const ways = ({ up, down }: { up: number; down: number }): string => `${up} up, ${down} down`;
  const clones = members.out + members.in;
  const moved = clones === 0 ? '' : ` Clones: ${members.out} more, ${members.in} fewer.`;
  const made = `CPU ${ways(changes.cores)}; memory ${ways(changes.memory)}`;
  return [
    `Changes: ${made}. Failed: ${failed}.${moved}`,
    ...(report === undefined ? [] : shortLines(week, containers)),
    `At their maximum: ${atMaximum(week, containers)}.`,
  ];
}

const STOPPED: ReadonlySet<string> = new Set(['stopped', LEFT_BEHIND]);

/** What a count has come to that may have begun anew with another guest. */
const grown = (now: number, before: number): number => (now >= before ? now - before : now);

function shortLines({ before }: NodeWeek, containers: readonly ContainerRow[]): readonly string[] {
  const told = containers.flatMap((row) => {
    const then = before.get(row.vmid);
    return row.shortages === null || then === undefined ? [] : [{ row, now: row.shortages, then }];
  });
  const kills = told.flatMap(({ row, now, then }) => {
    const count = grown(now.oomKills, then.kills);
    return count === 0 ? [] : [`${guest(row)} ${count}`];
  });
  const counted = told.flatMap(({ row, now: { limitHits }, then: { hits } }) =>
    limitHits === null || hits === undefined ? [] : [{ row, count: grown(limitHits, hits) }],
  );
  const hits = counted.flatMap(({ row, count }) => (count === 0 ? [] : [`${guest(row)} ${count}`]));
  const running = containers.filter(({ state }) => !STOPPED.has(state));
  const untold = (known: readonly { readonly row: ContainerRow }[]): string => {
    const rows = new Set(known.map(({ row }) => row));
    const count = running.filter((row) => !rows.has(row)).length;
    return count === 0 ? '' : ` (not known of ${count})`;
  };
  return [
    `OOM kills: ${listOf(kills)}${untold(told)}.`,
    `Memory limits met: ${listOf(hits)}${untold(counted)}.`,
  ];
}

function atMaximum({ atMaximumMs }: NodeWeek, containers: readonly ContainerRow[]): string {
  const rows = new Map(containers.map((row) => [`${row.vmid}`, row]));
  const longest = [...atMaximumMs].filter(([, ms]) => ms > 0).sort(([, a], [, b]) => b - a);
  const said = longest.map(([key, ms]) => {
    const [id = '', resource] = key.split('/');
    const row = rows.get(id);
    const what = resource === 'cores' ? 'CPU' : 'memory';
    return `${row === undefined ? id : guest(row)} ${what} for ${timeWords(ms)}`;
  });
  return listOf(said);
}

const guest = ({ vmid, name }: ContainerRow): string => `${vmid} (${name})`;

const listOf = (all: readonly string[]): string =>
  all.length === 0 ? 'none' : firstOf(all, MOST_NAMED);

/** `40 min`, `5.2 h`, `6.9 days`. */
function timeWords(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes < 90) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  return hours < 36 ? `${tenths(hours)} h` : `${tenths(hours / 24)} days`;
}

const tenths = (value: number): number => Math.round(value * 10) / 10;
