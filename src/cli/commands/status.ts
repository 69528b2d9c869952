import type { Command } from '../command.ts';
import { CONFIGURED, JSON_OUTPUT, ONE_NODE } from '../options.ts';

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
    'status --json': 'for scripts',
  },
  options: { ...CONFIGURED, ...JSON_OUTPUT, ...ONE_NODE },
  run: async (given, context) => (await import('../status.ts')).status(given, context),
};
