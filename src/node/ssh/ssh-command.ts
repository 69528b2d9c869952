import { searchPath } from '../../os/executable-files.ts';
import { shellWord } from '../../os/shell-quote.ts';
import { FAR_READER } from './far-reader.ts';

/** How the system's own OpenSSH client is started. */

export interface SshSettings {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Paths of files of this host; undefined: what ssh itself takes, also that of the whole host. */
  readonly identityFile: string | undefined;
  readonly knownHosts: string | undefined;
  /** `[user@]host[:port]` of a host in between. */
  readonly jump: string | undefined;
}

/**
 * Nobody is asked anything, no host is believed that is not known already, nothing but the one
 * program is started, and a connection that is dead is noticed.
 */
const OPTIONS = [
  'BatchMode=yes',
  'StrictHostKeyChecking=yes',
  'UpdateHostKeys=no',
  'LogLevel=ERROR',
  'ControlMaster=no',
  'ControlPath=none',
  'ClearAllForwardings=yes',
  'ForwardAgent=no',
  'PermitLocalCommand=no',
  'RequestTTY=no',
  'EscapeChar=none',
  'Compression=no',
  'ConnectTimeout=10',
  'ServerAliveInterval=5',
  'ServerAliveCountMax=3',
  'VerifyHostKeyDNS=no',
];

/** The arguments of `ssh` that start the far reader. */
export function sshArguments(settings: SshSettings): readonly string[] {
  const { host, port, user, jump } = settings;
  const between = jump === undefined ? [] : ['-o', `ProxyCommand=${throughJump(jump, settings)}`];
  const login = ['-p', String(port), '-l', user];
  const command = `exec perl -e ${shellWord(FAR_READER)}`;
  return ['-T', ...optionsOf(settings), ...between, ...login, '--', host, command];
}

/** As `-J`, which hands none of these options on to the host in between. */
function throughJump(jump: string, settings: SshSettings): string {
  const [, user, host = '', port] = /^(?:([^@]*)@)?(.*?)(?::([0-9]+))?$/.exec(jump) ?? [];
  const login = [...(user ? ['-l', user] : []), ...(port ? ['-p', port] : [])];
  const words = ['ssh', ...optionsOf(settings), ...login].map(shellWord).join(' ');
  // `%` begins what ssh fills in.
  return `${words.replaceAll('%', '%%')} -W '[%h]:%p' -- ${shellWord(host)}`;
}

function optionsOf({ identityFile, knownHosts }: SshSettings): readonly string[] {
  const files = [
    ...(identityFile === undefined ? [] : [`IdentityFile=${asValue(identityFile)}`]),
    ...(identityFile === undefined ? [] : ['IdentitiesOnly=yes']),
    ...(knownHosts === undefined ? [] : onlyKnownIn(knownHosts)),
  ];
  return [...OPTIONS, ...files].flatMap((option) => ['-o', option]);
}

/** No file counts but this one. A `KnownHostsCommand` of ssh_config(5) still does. */
const onlyKnownIn = (path: string): readonly string[] => [
  `UserKnownHostsFile=${asValue(path)}`,
  'GlobalKnownHostsFile=/dev/null',
];

/** A path as a value of ssh_config(5): there `%` begins what ssh fills in, and a space ends it. */
const asValue = (path: string): string =>
  `"${path.replaceAll('%', '%%').replaceAll(/["\\]/g, '\\$&')}"`;

/** No secret of ours goes to it. It asks nobody: there is no terminal and no helper. */
export function sshEnvironment(
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const env: Record<string, string> = { PATH: searchPath(own), LC_ALL: 'C' };
  for (const name of ['HOME', 'SSH_AUTH_SOCK']) {
    const value = own[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}
