import type { GroupReport, MemberReport } from '../core/groups/group-report.ts';
import { plainText } from '../core/plain-text.ts';
import { table } from './table.ts';

/** Groups as `status` and `explain` show them. */

/** One line for each group; none where there is none. */
export function groupSummary(groups: readonly GroupReport[]): readonly string[] {
  if (groups.length === 0) return [];
  const head = ['GROUP', 'SOURCE', 'IN SERVICE', 'WANTED', 'MIN-MAX', 'SCALE IN', 'NOW'];
  const rows = groups.map((group) => [
    ...[group.label, `${group.source}`, `${group.inService}`, `${group.wanted ?? '-'}`],
    ...[`${group.min}-${group.max}`, group.scaleIn],
    plainText(group.underWay[0] ?? group.notes[0] ?? '-', 60),
  ]);
  return ['', ...table([head, ...rows])];
}

/** All that there is to say of one group. */
export function groupLines(group: GroupReport): readonly string[] {
  const head = ['VMID', 'NAME', 'ROLE', 'MADE BY', 'ADDRESS', 'CPU %', 'MEMORY %', 'SAYS'];
  const failures = group.failures.map(
    ({ what, count, retryInS }) => `${what}: failed ${count} times, next try in ${retryInS} s`,
  );
  return [
    `Group ${group.label}, ${group.min} to ${group.max} members, made of ${group.source}:`,
    `${group.standing}.`,
    '',
    ...table([head, ...group.members.map(memberCells)]),
    ...section('Under way', group.underWay),
    ...section('To know', group.notes),
    ...section('Failed', failures),
  ].map((line) => plainText(line));
}

const memberCells = (member: MemberReport): string[] => [
  ...[`${member.vmid}`, plainText(member.name, 24), member.role],
  member.ours ? 'this program' : 'others',
  ...[member.address, member.cpuPercent, member.memoryPercent].map((value) => `${value ?? '-'}`),
  plainText(member.says, 80),
];

const section = (title: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];
