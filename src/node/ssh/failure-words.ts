import { plainText } from '../../core/plain-text.ts';

/** Why there is no connection, in the words of `ssh`, and what to do about it. */

const LONGEST = 200;

const KNOWN: readonly [RegExp, string][] = [
  [
    /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    'its host key is another one than the known one. If nobody has changed it, somebody else ' +
      'answers in its place; else put the new key into known_hosts',
  ],
  [
    /host key is known for|Host key verification failed/,
    'its host key is not known here. Put the key that is there in ' +
      '/etc/ssh/ssh_host_ed25519_key.pub into known_hosts, behind the `host` of this entry: as ' +
      '`[host]:port` if the port is not 22. With `jump`, that host must be known as well',
  ],
  [
    /Permission denied|Too many authentication failures/,
    'it refuses the login. The public key of identity_file must be in authorized_keys there, and ' +
      'the private key must have no passphrase',
  ],
  [
    /perl: (?:command )?not found|perl: No such file/,
    'it has no perl, so it is no Proxmox VE node',
  ],
];

/** @param stderr what `ssh` said, some of which the far side may have written */
export function whyNoConnection(stderr: string): string {
  const known = KNOWN.find(([pattern]) => pattern.test(stderr))?.[1];
  if (known !== undefined) return known;
  const last = stderr.trim().split('\n').at(-1)?.trim() ?? '';
  return last === '' ? 'the connection has ended' : `ssh says: ${plainText(last, LONGEST)}`;
}
