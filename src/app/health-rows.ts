import type { Pause } from '../core/pause.ts';
import { plainText } from '../core/plain-text.ts';
import { type HealthRow, row } from '../core/report/health.ts';
import { findExecutable, searchPath } from '../os/executable-files.ts';
import type { World } from '../ports.ts';

/** Checks shared by the daemon and `health-check`: could a change be made now? */
export function changeRows(
  { backups, journal }: Pick<World, 'backups' | 'journal'>,
  env: Readonly<Record<string, string | undefined>>,
  isAway = false,
): readonly HealthRow[] {
  const pct = findExecutable('pct', env);
  const notFound = `pct was not found in ${searchPath(env)}`;
  const rows = [
    row('backups', backups.problem?.(), 'a backup could be written'),
    row('logs', journal.problem?.(), 'the JSON log could be written'),
    ...(isAway ? [] : [row('pct', pct === undefined ? notFound : undefined, `it is ${pct ?? ''}`)]),
  ];
  return rows.map((one) => ({ ...one, says: plainText(one.says) }));
}

/** Who waits for another program to end is as well as can be. */
export function quorumRow(pause: Pause | undefined): HealthRow {
  if (pause?.kind === 'elsewhere') return row('quorum', undefined, plainText(pause.why));
  const why = pause === undefined ? undefined : plainText(pause.why);
  return row('quorum', why, '/etc/pve takes changes');
}

/** A check of one node among several that count alike. */
export interface RowOfNode {
  readonly node: string;
  readonly row: HealthRow;
  /** Whether the node was seen not long ago. If not, that nothing is wrong proves nothing. */
  readonly isKnown: boolean;
}

/** The same check of all nodes as one. If some are not well, only those are named. */
export function rowOfAll(all: readonly RowOfNode[]): readonly HealthRow[] {
  const ill = all.filter(({ row: { ok } }) => !ok);
  const shown = ill.length > 0 ? ill : all;
  const [first] = shown;
  if (first === undefined || !shown.some(({ row: { ok }, isKnown }) => isKnown || !ok)) return [];
  const saidOf = new Map<string, string[]>();
  for (const { node, row, isKnown } of shown) {
    const says = row.ok && !isKnown ? 'nothing is known now' : row.says;
    saidOf.set(says, [...(saidOf.get(says) ?? []), node]);
  }
  const says = [...saidOf].map(([one, nodes]) => `${nodes.join(', ')}: ${one}`).join('; ');
  return [{ ...first.row, says: plainText(says) }];
}
