import type { Command } from '../command.ts';
import { CONFIGURED, JSON_OUTPUT, ONE_NODE } from '../options.ts';

export const members: Command = {
  name: 'members',
  subject: 'none',
  summary: 'List the clones that groups have made, from their ledgers',
  help:
    'The ledgers of this cluster are read; with --node those of the cluster of that node, by ' +
    'SSH. The daemon need not run.',
  examples: {
    members: 'the clones of all groups',
    'members --node pve3': 'those of the cluster of a node that is reached by SSH',
  },
  options: { ...CONFIGURED, ...ONE_NODE, ...JSON_OUTPUT },
  run: async (given, context) => (await import('../members.ts')).members(given, context),
};
