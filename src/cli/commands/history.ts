import type { Command } from '../command.ts';
import { CONFIGURED, ONE_NODE, TABLE } from '../options.ts';

export const history: Command = {
  name: 'history',
  subject: 'container or none',
  summary: 'List what was done, from the JSON log, oldest first',
  help: 'Rotated logs are read as well (.1 to .9).',
  examples: {
    'history --since yesterday': 'from midnight on',
    "history nextcloud --since '2026-11-21 22:04'": 'one container, from a time on',
  },
  options: {
    ...CONFIGURED,
    ...ONE_NODE,
    since:
      "From then on: today, yesterday, 03:00, 2026-11-21, '2026-11-21 22:04', or 2h30m, 7d ago",
    json: 'Print the lines as they were logged',
    all: 'Also the lines on cores that have taken effect since a change',
    ...TABLE,
  },
  requires: 'answers and a configuration',
  run: async (given, context) => (await import('../history.ts')).history(given, context),
};
