import { plainText } from '../core/plain-text.ts';
import type { HealthReport } from '../core/report/health.ts';
import { table } from '../output/table.ts';

/** The checks as a table, and a summary. */
export function healthLines({ checks }: HealthReport): readonly string[] {
  const failed = checks.filter(({ ok }) => !ok).length;
  const all = checks.length;
  const summary =
    failed === 0 ? `Healthy: all ${all} checks are well.` : `${failed} of ${all} checks failed.`;
  const rows = checks.map(({ name, ok, says }) => [ok ? 'ok' : 'FAILED', name, plainText(says)]);
  return [...table(rows), summary];
}
