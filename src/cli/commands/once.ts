import { once as mode } from '../../app/once.ts';
import { run } from '../../app/run.ts';
import type { Command } from '../command.ts';
import { CONFIGURED, DRY_RUN, OVERRIDES } from '../options.ts';

export const once: Command = {
  name: 'once',
  subject: 'none',
  summary: 'Run one cycle, then exit',
  help:
    'CPU usage is measured since the last run. The first run, and a run more than an hour after ' +
    'the last one, scale memory only.',
  examples: {
    'once --dry-run': 'one cycle that changes nothing',
  },
  options: { ...CONFIGURED, ...DRY_RUN, ...OVERRIDES },
  run: (given, context) => run(mode, given, context, context.signals),
};
