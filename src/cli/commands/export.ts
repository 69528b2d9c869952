import type { Command } from '../command.ts';
import { CONFIGURED } from '../options.ts';

export const exportUsage: Command = {
  name: 'export',
  subject: 'container or none',
  summary: 'Write the usage history as CSV: time_s,container,cpu_cores,memory_mb',
  examples: {
    'export --since 7d --out usage.csv': 'the last week',
    'export nextcloud': 'one container, to standard output',
  },
  options: {
    ...CONFIGURED,
    since:
      "From then on: today, yesterday, 03:00, 2026-11-21, '2026-11-21 22:04', or 2h30m, 7d ago",
    out: 'Write to this file, which is replaced, instead of standard output',
  },
  requires: 'answers and a configuration',
  run: async (given, context) => (await import('../export.ts')).exportUsage(given, context),
};
