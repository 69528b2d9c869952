import type { Command } from '../command.ts';

export const setupToken: Command = {
  name: 'setup-token',
  subject: 'none',
  summary: 'Print the commands that make an API token for another node, with least privileges',
  help: 'Nothing is run. The token may see guests, and change their CPU and memory.',
  examples: { 'setup-token': 'what to run there, and what to write here' },
  options: {},
  run: async (_given, context) => (await import('../setup-token.ts')).setupToken(context),
};
