import type { Command } from '../command.ts';
import { JSON_OUTPUT, SYSROOT } from '../options.ts';

export const members: Command = {
  name: 'members',
  subject: 'none',
  summary: 'List the clones that groups have made, from their ledgers',
  help: 'The ledgers of all nodes are read. The daemon need not run.',
  examples: {
    members: 'the clones of all groups',
  },
  options: { ...SYSROOT, ...JSON_OUTPUT },
  run: async (given, context) => (await import('../members.ts')).members(given, context),
};
