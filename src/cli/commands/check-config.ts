import type { Command } from '../command.ts';
import { CONFIGURED, OVERRIDES } from '../options.ts';

export const checkConfig: Command = {
  name: 'check-config',
  subject: 'none',
  summary: 'Print the problems of the configuration, or what each container gets',
  help: 'Exit code 78 if the configuration has problems.',
  examples: {
    'check-config': 'the configuration in use',
    'check-config --config new.yaml': 'another file, before it is put in place',
  },
  options: { ...CONFIGURED, ...OVERRIDES },
  requires: 'answers',
  run: async (given, context) => (await import('../check-config.ts')).checkNode(given, context),
};
