import type { Command } from '../command.ts';
import { CONFIGURED } from '../options.ts';

export const report: Command = {
  name: 'report',
  subject: 'none',
  summary: 'Print the weekly report as it would be now',
  help:
    'With `report: weekly` the daemon counts changes, failures and shortages, and sends this ' +
    'once a week. Without it there is only how it stands now.',
  examples: { report: 'what has come about since the last report, and what is saved' },
  options: CONFIGURED,
  run: async (given, context) => (await import('../report.ts')).report(given, context),
};
