import type { GroupReport, MemberReport } from '../core/groups/group-report.ts';
import { plainText } from '../core/plain-text.ts';
import { table } from '../output/table.ts';

/** Groups as `status` and `explain` show them. */

/** The last column, so it need not be narrow: a remedy cut off helps nobody. */
const LONGEST_NOW = 140;

/** One line for each group; none if there is none. */
export function groupSummary(groups: readonly GroupReport[]): readonly string[] {
  if (groups.length === 0) return [];
  const isAnyFar = groups.some(({ node }) => node !== undefined);
  const head = [
    'GROUP',
    ...(isAnyFar ? ['NODE'] : []),
    'SOURCE',
    'IN SERVICE',
    'WANTED',
    'MIN-MAX',
    'SCALE IN',
    'NOW',
  ];
  const rows = groups.map((group) => [
    group.label,
    ...(isAnyFar ? [plainText(group.node ?? '-', 24)] : []),
    `${group.source}`,
    `${group.inService}`,
    `${group.wanted ?? '-'}`,
    `${group.min}-${group.max}`,
    group.scaleIn,
    plainText(nowOf(group), LONGEST_NOW),
  ]);
  return ['', ...table([head, ...rows])];
}

/** The most pressing; `explain` has all of it. */
function nowOf({ underWay, notes, failures }: GroupReport): string {
  const failed = failures.map(({ what }) => `${what} failed, see explain`);
  return underWay[0] ?? failed[0] ?? notes[0] ?? '-';
}

/** All that there is to say of one group. */
export function groupLines(group: GroupReport): readonly string[] {
  const head = ['VMID', 'NAME', 'ROLE', 'MADE BY', 'ADDRESS', 'CPU %', 'MEMORY %', 'SAYS'];
  const overloaded = group.members.some(({ cpuPercent }) => (cpuPercent ?? 0) > 100);
  const where = group.node === undefined ? '' : ` on ${group.node}`;
  const over = 'More than 100 % CPU: what a member waits for is counted as well.';
  return [
    `Group ${group.label}${where}, ${group.min} to ${group.max} members, made of ${group.source}:`,
    `${group.standing}.`,
    '',
    ...table([head, ...group.members.map(memberCells)]),
    ...(overloaded ? ['', over] : []),
    ...section('Under way', group.underWay),
    ...section('To know', group.notes),
    ...section('Failed', group.failures.map(failureWords)),
  ].map((line) => plainText(line));
}

function failureWords({ what, count, retryInS, message }: GroupReport['failures'][number]): string {
  const often = count === 1 ? 'once' : `${count} times in a row`;
  const next = retryInS === 0 ? 'it is tried again when due' : `next try in ${retryInS} s`;
  return `${what} failed ${often}, ${next}${message === '' ? '' : `: ${message}`}`;
}

const memberCells = (member: MemberReport): string[] => [
  `${member.vmid}`,
  plainText(member.name, 24),
  member.role,
  member.ours ? 'this program' : 'others',
  ...[member.address, member.cpuPercent, member.memoryPercent].map((value) => `${value ?? '-'}`),
  plainText(member.says, 80),
];

const section = (title: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];
