import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { CONFIGURED, DRY_RUN } from '../options.ts';

export const activate: Command = {
  name: 'activate',
  subject: 'tier or container or none',
  summary: 'Leave observe mode: everything, a tier, or one container',
  help:
    'The configuration is edited in place: comments stay, a copy is kept, and the difference is ' +
    'shown. It is checked first, and the daemon reloads it. A tier that says ' +
    'scaling_mode: observe itself stays as it is until it is named.',
  examples: {
    'activate --dry-run': 'show the difference only',
    activate: 'everything',
    'activate TIER_web': 'one tier first',
    'activate nextcloud': 'one container first',
  },
  options: { ...CONFIGURED, ...DRY_RUN },
  requires: 'answers and a configuration',
  run: (given, context) => runLabCommand('activate', given, context),
};
