import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { setupCommands } from '../node/api/privileges.ts';

/** `setup-token`: what to run and to write so that another node can be scaled by its API. */

const USER = 'lxc-autoscale@pve';
const TOKEN = 'scaler';

export function setupToken({ stdout }: Pick<ProcessContext, 'stdout'>): ExitCode {
  const lines = [
    '# As root on any node of the cluster that is to be scaled:',
    ...setupCommands(USER, TOKEN),
    '',
    '# The fourth command prints the secret of the token, once. On this node, write it into the',
    '# file /etc/lxc_autoscale/environment, which only root may read (chmod 600). The name is',
    '# yours; each token needs one of its own:',
    'NODE_TOKEN=...',
    '',
    '# And into the configuration. The fingerprint is that of: pvenode cert info',
    'NODES:',
    '  NAME-OF-THE-NODE:',
    '    host: ADDRESS',
    `    token_id: ${USER}!${TOKEN}`,
    `    token_secret: $\{NODE_TOKEN}`,
    '    fingerprint: ...',
  ];
  stdout.write(`${lines.join('\n')}\n`);
  return EXIT.fine;
}
