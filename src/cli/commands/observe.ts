import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { CONFIGURED, DRY_RUN } from '../options.ts';

export const observe: Command = {
  name: 'observe',
  subject: 'tier or container or none',
  summary: 'Only decide and report from now on: everything, a tier, or one container',
  help:
    'The configuration is edited in place: comments stay, a copy is kept, and the difference is ' +
    'shown. It is checked first, and the daemon reloads it. The command activate takes it back.',
  examples: {
    observe: 'everything',
    'observe 104': 'one container',
  },
  options: { ...CONFIGURED, ...DRY_RUN },
  requires: 'answers and a configuration',
  run: (given, context) => runLabCommand('observe', given, context),
};
