import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { milliseconds } from '../../../../src/core/units.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { createGroupTools, groupArguments } from '../../../../src/node/local/pve/pct-groups.ts';
import { complaintIn } from '../../../../src/node/pct-words.ts';
import { isGroupAlive, runDetached } from '../../../../src/os/command.ts';
import { searchPath } from '../../../../src/os/executable-files.ts';
import { createHealthProbe } from '../../../../src/os/health-probe.ts';
import { vmid } from '../../../core/builders.ts';
import { until } from '../../../patience.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'group-tools-'));
  mkdirSync(join(root, 'run'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('groupArguments', () => {
  it('clones in the form that the tool was recorded with', () => {
    const command = {
      kind: 'clone' as const,
      vmid: vmid(120),
      source: vmid(101),
      snapshot: 's1',
      full: true,
      hostname: 'web-120',
      description: 'a\nb; rm -rf /',
    };
    expect(groupArguments(command)).toEqual([
      'clone',
      '101',
      '120',
      '--hostname',
      'web-120',
      '--description',
      'a\nb; rm -rf /',
      '--snapname',
      's1',
      '--full',
    ]);
    const linked = { ...command, snapshot: undefined, full: false };
    expect(groupArguments(linked)).not.toContain('--full');
  });

  it('sets everything by one command, with the digest', () => {
    const set = new Map([
      ['hostname', 'web'],
      ['net0', 'name=eth0,ip=dhcp'],
    ]);
    expect(
      groupArguments({
        kind: 'set',
        vmid: vmid(120),
        digest: 'd',
        set,
        remove: ['startup', 'swap'],
      }),
    ).toEqual([
      'set',
      '120',
      '--delete',
      'startup,swap',
      '--hostname',
      'web',
      '--net0',
      'name=eth0,ip=dhcp',
      '--digest',
      'd',
    ]);
  });
});

describe('runDetached', () => {
  const options = () => ({ timeLimitMs: 5000, env: { PATH: '/usr/bin:/bin' }, directory: root });

  it('gives the exit code and the end of the output, and leaves no file', async () => {
    const script = 'echo first; echo second >&2; exit 3';
    let last = (): string => '';
    const result = await runDetached('sh', ['-c', script], {
      ...options(),
      onStart: (_pid, lastLine) => {
        last = lastLine;
        expect(readdirSync(root)).toEqual(['run']);
      },
    });
    expect(result).toMatchObject({ kind: 'exited', exitCode: 3, stderr: 'first\nsecond\n' });
    expect(last).not.toBe('');
  });

  it('shows the last line while it runs, and knows whether it runs', async () => {
    let pid = 0;
    let said = (): string => '';
    const end = join(root, 'end');
    const script = 'echo 42 percent; until [ -e "$0" ]; do sleep 0.05; done';
    const done = runDetached('sh', ['-c', script, end], {
      ...options(),
      onStart: (id, lastLine) => {
        pid = id;
        said = lastLine;
      },
    });
    await until(() => said() === '42 percent');
    expect(isGroupAlive(pid)).toBe(true);
    writeFileSync(end, '');
    expect((await done).kind).toBe('exited');
    expect(isGroupAlive(pid)).toBe(false);
  });

  it('is ended at its limit, and says what is missing', async () => {
    const late = await runDetached('sleep', ['60'], { ...options(), timeLimitMs: 100 });
    expect(late).toMatchObject({ kind: 'timed-out', left: false });
    const absent = await runDetached('/no/such/program', [], options());
    expect(absent.kind).toBe('not-started');
  });
});

describe('what a failed command says', () => {
  const PROGRESS = `create full clone of mountpoint rootfs (local:109/vm-109-disk-0.raw)
Formatting '/var/lib/vz/images/140/vm-140-disk-0.raw', fmt=raw size=1073741824 preallocation=off
  WARNING: You have not turned on protection against thin pools running out of space.
Creating filesystem with 262144 4k blocks and 65536 inodes
Number of files: 290 (reg: 5, dir: 16, link: 269)
total size is 2,756,178  speedup is 1.00
`;

  it.each([
    [`${PROGRESS}clone failed: no space left`, 'clone failed: no space left'],
    [
      'Use of uninitialized value in subtraction (-) at /usr/share/perl5/PVE/LXC.pm line 310.\n' +
        'unable to destroy CT 120 - container is running\n' +
        'failed to read from command socket: Connection reset by peer',
      'unable to destroy CT 120 - container is running',
    ],
    [
      '400 Parameter verification failed.\nnewid: invalid format\n\npct clone <vmid> [OPTIONS]',
      'newid: invalid format',
    ],
    ['CT is locked (backup)', 'CT is locked (backup)'],
    ['400 not enough arguments', '400 not enough arguments'],
    ['', ''],
  ])('is the line that says why: %j', (output, expected) => {
    expect(complaintIn(output)).toBe(expected);
  });
});

it('a hook is run with its arguments as they are', async () => {
  const tools = createGroupTools({ paths: createPaths(root), environment: process.env });
  const limit = milliseconds(5000);
  expect(await tools.hook(['/usr/bin/test', '$(id) *', '=', '$(id) *'], limit)).toEqual({
    kind: 'done',
  });
  expect(await tools.hook(['/bin/false'], limit)).toMatchObject({ kind: 'failed', exitCode: 1 });
  expect(await tools.hook(['/bin/sleep', '9'], milliseconds(100))).toMatchObject({
    kind: 'timed-out',
  });
});

describe('where the commands of groups run', () => {
  /** Writes down its own name, its arguments and what of the environment it was given. */
  const RECORDER = `#!/bin/sh
printf '%s\\n' "$(basename "$0")" "$@" >"$(dirname "$0")/called"
env | sed 's/=.*//' | sort >"$(dirname "$0")/given"
exit 3
`;

  async function called(own: Readonly<Record<string, string>>, timeLimitMs?: number) {
    const bin = join(root, 'bin');
    mkdirSync(bin);
    for (const name of ['pct', 'systemd-run']) {
      writeFileSync(join(bin, name), RECORDER);
      chmodSync(join(bin, name), 0o755);
    }
    const environment = { PATH: `${bin}:/usr/bin:/bin`, HOME: '/nowhere', SECRET: 'x', ...own };
    const tools = createGroupTools({ paths: createPaths(root), environment });
    const command = { kind: 'destroy' as const, vmid: vmid(120) };
    const limit = timeLimitMs === undefined ? {} : { timeLimitMs: milliseconds(timeLimitMs) };
    const outcome = await tools.run(command, limit);
    const lines = (name: string) => readFileSync(join(bin, name), 'utf8').trim().split('\n');
    return { outcome, bin, argv: lines('called'), given: lines('given') };
  }

  it('is the daemon itself, where no service says otherwise', async () => {
    const { argv, outcome, given } = await called({});
    expect(argv).toEqual(['pct', 'destroy', '120', '--purge']);
    expect(outcome).toMatchObject({ kind: 'failed', exitCode: 3 });
    expect(given).not.toContain('SECRET');
  });

  it('is a unit of its own beside the service, with its limit and little environment', async () => {
    const { argv, bin, outcome } = await called({ LXC_AUTOSCALE_BESIDE: '1' }, 90_500);
    const variables = argv.filter((word) => word.startsWith('--setenv='));
    expect(argv).toEqual([
      'systemd-run',
      '--quiet',
      '--collect',
      '--wait',
      '--pipe',
      '--property=RuntimeMaxSec=91',
      ...variables,
      '--',
      'pct',
      'destroy',
      '120',
      '--purge',
    ]);
    expect(variables).toContain(`--setenv=PATH=${searchPath({ PATH: `${bin}:/usr/bin:/bin` })}`);
    expect(variables.join(' ')).not.toMatch(/SECRET|BESIDE/);
    expect(outcome).toMatchObject({ kind: 'failed', exitCode: 3 });
  });

  it('has the limit of its kind where none is given', async () => {
    const { argv } = await called({ LXC_AUTOSCALE_BESIDE: '1' });
    expect(argv).toContain('--property=RuntimeMaxSec=1800');
  });
});

describe('the health probe', () => {
  const check = { kind: 'http' as const, path: '/up', healthyCount: 1, unhealthyCount: 1 };

  it('asks for a page, and for a port', async () => {
    const server = createServer((request, response) => {
      response.statusCode = request.url === '/up' ? 204 : 500;
      if (request.url !== '/hang') response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const probe = createHealthProbe(200);
    const ask = (own: object) => probe.check('127.0.0.1', { ...check, port, ...own });
    expect(await ask({})).toBeUndefined();
    expect(await ask({ path: '/x' })).toBe(`http://127.0.0.1:${port}/x answered 500`);
    expect(await ask({ path: '/hang' })).toContain('did not answer within 0.2 s');
    expect(await ask({ kind: 'tcp' })).toBeUndefined();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await ask({ kind: 'tcp' })).toContain('ECONNREFUSED');
    expect(await ask({})).toContain('ECONNREFUSED');
  });
});
