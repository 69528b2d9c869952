import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { DEFAULT_MEASURE_SECONDS, SYSROOT } from '../options.ts';

export const configure: Command = {
  name: 'configure',
  subject: 'none',
  summary: 'Measure the running containers, propose a configuration, and write it',
  help:
    'It asks a few questions on a terminal. An existing configuration is backed up. The proposed ' +
    'one only observes at first.',
  examples: {
    configure: 'measure for a minute, then ask',
    'configure --for 5m --yes --out new.yaml': 'longer, without questions, into a file of its own',
  },
  options: {
    ...SYSROOT,
    out: 'Write it to this file instead of the usual configuration; an existing one is backed up',
    for: `Seconds to measure, or 5m (default ${DEFAULT_MEASURE_SECONDS})`,
    yes: 'Take every proposal without asking',
  },
  requires: 'answers',
  run: (given, context) => runLabCommand('configure', given, context),
};
