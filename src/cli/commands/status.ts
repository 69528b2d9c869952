import type { Command } from '../command.ts';
import { CONFIGURED, JSON_OUTPUT, ONE_NODE, STATUS_COLUMNS, TABLE } from '../options.ts';

export const status: Command = {
  name: 'status',
  subject: 'container or none',
  summary: 'Show all containers, or one: policy, usage, allocation, need, last change',
  help:
    'It shows the last cycle of the daemon. If no daemon answers, it evaluates once, and changes ' +
    'nothing.',
  examples: {
    status: 'all containers',
    'status nextcloud': 'one, with the reason for its state',
    'status --sort memory --columns vmid,name,memory,now': 'the largest first',
    'status --json': 'for scripts',
  },
  options: {
    ...CONFIGURED,
    ...JSON_OUTPUT,
    ...ONE_NODE,
    ...TABLE,
    columns: `Only these, separated by commas: ${STATUS_COLUMNS.join(', ')}`,
    sort: `In the order of one column; of numbers the largest first: ${STATUS_COLUMNS.join(', ')}`,
    watch: 'Show it again every two seconds, until q or Ctrl-C',
  },
  run: async (given, context) => (await import('../status.ts')).status(given, context),
};
