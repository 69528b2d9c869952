import { daemon as mode } from '../../app/daemon.ts';
import { run } from '../../app/run.ts';
import type { Command } from '../command.ts';
import { CONFIGURED, DRY_RUN, OVERRIDES } from '../options.ts';

export const daemon: Command = {
  name: 'daemon',
  subject: 'none',
  summary: 'Scale all containers, cycle by cycle, until SIGTERM or SIGINT',
  help:
    'SIGHUP reloads the configuration. The change in hand is finished before the daemon stops. ' +
    'Only one instance runs on a node.',
  examples: {
    'daemon --dry-run --debug': 'decide and log, change nothing',
    'daemon --poll-interval 1m': 'a cycle each minute',
  },
  options: { ...CONFIGURED, ...DRY_RUN, ...OVERRIDES },
  run: (given, context) => run(mode, given, context, context.signals),
};
