import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { SYSROOT } from '../options.ts';

export const migrateConfig: Command = {
  name: 'migrate-config',
  subject: 'file',
  summary: 'Convert the configuration of an earlier program (INI, or older YAML)',
  help:
    'The report has a line for every key. The old file stays. The result goes to standard ' +
    'output, or with --out to a file.',
  examples: {
    'migrate-config lxc_autoscale.conf --out new.yaml': 'the INI file of the Python daemon',
  },
  options: {
    ...SYSROOT,
    out: 'Write it to this file; an existing one is backed up',
  },
  run: (given, context) => runLabCommand('migrate-config', given, context),
};
