import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import {
  type SshSettings,
  sshArguments,
  sshEnvironment,
} from '../../../src/node/ssh/ssh-command.ts';
import { findExecutable } from '../../../src/os/executable-files.ts';

/** What the client itself makes of the arguments. */

const NO_SSH = findExecutable('ssh', process.env) === undefined;
const SETTINGS: SshSettings = {
  ...{ host: 'old.example', port: 2222, user: 'me', jump: undefined },
  ...{ identityFile: undefined, knownHosts: undefined },
};

function understood(settings: Partial<SshSettings>): ReadonlyMap<string, string> {
  const args = sshArguments({ ...SETTINGS, ...settings });
  const said = execFileSync('ssh', ['-F', 'none', '-G', ...args], {
    ...{ encoding: 'utf8', env: sshEnvironment(process.env) },
  });
  return new Map(said.split('\n').map((line) => line.split(/ (.*)/s, 2) as [string, string]));
}

it.skipIf(NO_SSH)('nobody is asked, and nothing is believed that is not known', () => {
  const options = understood({});
  expect(Object.fromEntries(options)).toMatchObject({
    ...{ hostname: 'old.example', port: '2222', user: 'me', batchmode: 'yes' },
    ...{ stricthostkeychecking: 'true', clearallforwardings: 'yes', requesttty: 'false' },
  });
  expect(options.get('globalknownhostsfile')).toMatch(/^\/etc\/ssh\//);
});

it.skipIf(NO_SSH)('with known_hosts no key counts that is not there', () => {
  expect(Object.fromEntries(understood({ knownHosts: '/etc/a b/known %h "x"' }))).toMatchObject({
    ...{ globalknownhostsfile: '/dev/null', verifyhostkeydns: 'false' },
    userknownhostsfile: expect.stringContaining('/etc/a b/known %'),
  });
});

it.skipIf(NO_SSH)('neither for the host in between', () => {
  const proxy = understood({ knownHosts: '/known', jump: 'a@b:23' }).get('proxycommand') ?? '';
  expect(proxy).toContain('GlobalKnownHostsFile=/dev/null');
  expect(proxy).toContain('UserKnownHostsFile="/known"');
});
