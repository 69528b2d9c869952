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

export const quorumRow = (pause: Pause | undefined): HealthRow =>
  row('quorum', pause === undefined ? undefined : plainText(pause.why), '/etc/pve takes changes');
