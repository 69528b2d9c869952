import type { Command } from '../command.ts';
import { CONFIGURED } from '../options.ts';

export const history: Command = {
  name: 'history',
  subject: 'container or none',
  summary: 'List what was done, from the JSON log, oldest first',
  help: 'Rotated logs are read as well (.1 to .9).',
  examples: {
    'history --since 7d': 'the last week',
    "history nextcloud --since '2026-11-21 22:04'": 'one container, from a time on',
  },
  options: {
    ...CONFIGURED,
    since: "Only from then on: 2026-11-21, '2026-11-21 22:04', or 90s, 30m, 1h30m, 7d, 4w ago",
    json: 'Print the lines as they were logged',
  },
  requires: 'answers and a configuration',
  run: async (given, context) => (await import('../history.ts')).history(given, context),
};
