import type { Command } from '../command.ts';
import { CONFIGURED, DRY_RUN, ONE_NODE } from '../options.ts';

export const rollback: Command = {
  name: 'rollback',
  subject: 'container or all',
  summary: 'Restore the CPU and memory of before the last change, or of a time',
  help: 'Afterwards the daemon does not touch the container for an hour.',
  examples: {
    'rollback nextcloud': 'to before the last change',
    'rollback 104 --to yesterday': 'to what was active when yesterday began',
    "rollback 104 --to '2026-11-21 22:04'": 'to what was active then',
    'rollback --all --to first --dry-run': 'what would be done to undo everything',
  },
  options: {
    ...CONFIGURED,
    ...ONE_NODE,
    ...DRY_RUN,
    all: 'Roll back every container that has backups, each from its own newest one',
    to:
      "Restore what was active at TIME, in local time: 2026-11-21, '2026-11-21 22:04', " +
      '2026-11-21T22:04:45, yesterday (its midnight), 03:00, 2h30m, or the id of a backup. A ' +
      'copy that a rollback made is taken only by its id. --to first: what was there before the ' +
      'first change of the container. --to own: what an administrator set last; what an ' +
      'administrator has set since the last change stays, and so do containers that are ignored',
    'other-guest': 'With GUEST: also if the backups are of another guest that had this id',
  },
  requires: 'answers and a configuration',
  run: async (given, context) =>
    (await import('../rollback.ts')).rollback(given, context, context.signals),
};
