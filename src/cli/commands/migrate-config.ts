import type { Command } from '../command.ts';
import { runLabCommand } from '../lab.ts';
import { SYSROOT } from '../options.ts';

export const migrateConfig: Command = {
  name: 'migrate-config',
  subject: 'file',
  summary: 'Convert the configuration of an earlier program, or of another autoscaler',
  help:
    'It takes files of the Python daemon (INI or YAML, also for another node), of lxc-autoscaler ' +
    'and of Proxmox VM Autoscale. The report has a line for every key. The old file stays. The ' +
    'result goes to standard output, or with --out to a file. Secrets of other tools are not ' +
    'copied: the result names a variable for each.',
  examples: {
    'migrate-config lxc_autoscale.conf --out new.yaml': 'the INI file of the Python daemon',
    'migrate-config config.yaml --env-file .env --node pve1,pve2': 'of a tool that uses the API',
  },
  options: {
    ...SYSROOT,
    'env-file': 'Variables that the old file names, NAME=VALUE lines; nobody else may read it',
    node: 'The node that the guests are on, if the file does not say; several with commas',
    out: 'Write it to this file; an existing one is backed up',
  },
  run: (given, context) => runLabCommand('migrate-config', given, context),
};
