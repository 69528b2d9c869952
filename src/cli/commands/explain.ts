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
    'explain nextcloud --at 03:00': 'what was changed last at that time, and why',
    'explain web': 'a group',
  },
  options: {
    ...CONFIGURED,
    ...JSON_OUTPUT,
    ...ONE_NODE,
    at: "What the JSON log says of a container at that time: 03:00, '2026-11-21 22:04', 2h ago",
  },
  run: async (given, context) => (await import('../explain.ts')).explain(given, context),
};
