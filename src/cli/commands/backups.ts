import type { Command } from '../command.ts';
import { CONFIGURED, JSON_OUTPUT, ONE_NODE } from '../options.ts';

export const backups: Command = {
  name: 'backups',
  subject: 'container or none',
  summary: 'List the copies that are made before each change, newest first',
  examples: {
    backups: 'of all containers',
    'backups nextcloud': 'of one',
  },
  options: { ...CONFIGURED, ...ONE_NODE, ...JSON_OUTPUT },
  requires: 'answers and a configuration',
  run: async (given, context) => (await import('../backups.ts')).backups(given, context),
};
