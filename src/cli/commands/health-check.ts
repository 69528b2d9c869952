import type { Command } from '../command.ts';
import { CONFIGURED, JSON_OUTPUT } from '../options.ts';

export const healthCheck: Command = {
  name: 'health-check',
  subject: 'none',
  summary: 'Check whether the daemon does its work; exit code 1 if a check failed',
  examples: {
    'health-check': 'for people',
    'health-check --json': 'for a monitoring system',
  },
  options: { ...CONFIGURED, ...JSON_OUTPUT, format: 'text, or json (the same as --json)' },
  run: async (given, context) => (await import('../health-check.ts')).healthCheck(given, context),
};
