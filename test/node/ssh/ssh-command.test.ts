import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  type SshSettings,
  sshArguments,
  sshEnvironment,
} from '../../../src/node/ssh/ssh-command.ts';
import { findExecutable } from '../../../src/os/executable-files.ts';
import { temporaryDirectory } from '../local/world.ts';

/** What the client itself makes of the arguments. */

const NO_SSH = findExecutable('ssh', process.env) === undefined;
const SETTINGS: SshSettings = {
  host: 'old.example',
  port: 2222,
  user: 'me',
  jump: undefined,
  identityFile: undefined,
  knownHosts: undefined,
};

/** @param file ssh_config(5) */
function understood(settings: Partial<SshSettings>, file = 'none'): ReadonlyMap<string, string> {
  const args = sshArguments({ ...SETTINGS, ...settings });
  const said = execFileSync('ssh', ['-F', file, '-G', ...args], {
    encoding: 'utf8',
    env: sshEnvironment(process.env),
  });
  return new Map(said.split('\n').map((line) => line.split(/ (.*)/s, 2) as [string, string]));
}

it.skipIf(NO_SSH)('nobody is asked, and nothing is believed that is not known', () => {
  const options = understood({});
  expect(Object.fromEntries(options)).toMatchObject({
    hostname: 'old.example',
    port: '2222',
    user: 'me',
    batchmode: 'yes',
    stricthostkeychecking: 'true',
    clearallforwardings: 'yes',
    requesttty: 'false',
  });
  expect(options.get('globalknownhostsfile')).toMatch(/^\/etc\/ssh\//);
});

it.skipIf(NO_SSH)('no key of DNS is believed, whatever the client is set up to', () => {
  const file = join(temporaryDirectory(), 'config');
  writeFileSync(file, 'VerifyHostKeyDNS yes\nStrictHostKeyChecking no\n');
  expect(Object.fromEntries(understood({}, file))).toMatchObject({
    verifyhostkeydns: 'false',
    stricthostkeychecking: 'true',
  });
});

it.skipIf(NO_SSH)('with known_hosts no key counts that is not there', () => {
  expect(Object.fromEntries(understood({ knownHosts: '/etc/a b/known %h "x"' }))).toMatchObject({
    globalknownhostsfile: '/dev/null',
    userknownhostsfile: expect.stringContaining('/etc/a b/known %'),
  });
});

it.skipIf(NO_SSH)('neither for the host in between', () => {
  const proxy = understood({ knownHosts: '/known', jump: 'a@b:23' }).get('proxycommand') ?? '';
  expect(proxy).toContain('GlobalKnownHostsFile=/dev/null');
  expect(proxy).toContain('UserKnownHostsFile="/known"');
});
