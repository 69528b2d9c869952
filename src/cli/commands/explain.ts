import type { Command } from '../command.ts';
import { CONFIGURED, JSON_OUTPUT, ONE_NODE } from '../options.ts';

export const explain: Command = {
  name: 'explain',
  subject: 'container or group',
  summary: 'Explain the last decision on a container, or the state of a group',
  help:
    'For a container: every number, every guard, and what the plan made of it; also why nothing ' +
    'was done. For a horizontal group: its members, and what it waits for.',
  examples: {
    'explain 104': 'by its id',
    'explain nextcloud': 'by its name',
    'explain web': 'a group',
  },
  options: { ...CONFIGURED, ...JSON_OUTPUT, ...ONE_NODE },
  run: async (given, context) => (await import('../explain.ts')).explain(given, context),
};
