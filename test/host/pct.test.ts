import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mib, milliseconds } from '../../src/core/units.ts';
import { complaintIn, createProxmox, outcomeOf, setArguments } from '../../src/host/pct.ts';
import type { SetRequest } from '../../src/node/port.ts';
import { plant, RECORDED_COMMANDS, temporaryDirectory, vmid } from './world.ts';

const DIGEST = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';
const request: SetRequest = { vmid: vmid(101), cores: 3, memoryMib: mib(768), digest: DIGEST };
const never = new AbortController().signal;

describe('the arguments of pct set', () => {
  it.each<[Partial<SetRequest>, string]>([
    [{ cores: 3, memoryMib: mib(768) }, 'set 101 --cores 3 --memory 768'],
    [{ cores: 3 }, 'set 101 --cores 3'],
    [{ memoryMib: mib(768) }, 'set 101 --memory 768'],
    [{ cores: null }, 'set 101 --delete cores'],
    [{ cores: null, memoryMib: mib(16) }, 'set 101 --delete cores --memory 16'],
    [{ cpuLimit: 0.5 }, 'set 101 --cpulimit 0.5'],
    [{ cpuLimit: 2, cores: 3 }, 'set 101 --cores 3 --cpulimit 2'],
    [{ cpuLimit: 0.1 + 0.2 }, 'set 101 --cpulimit 0.3'],
    [{ cpuLimit: 8191.999 }, 'set 101 --cpulimit 8192'],
    [{ cpuLimit: 0.0061 }, 'set 101 --cpulimit 0.01'],
    [{ cpuLimit: null }, 'set 101 --delete cpulimit'],
    [{ cpuLimit: null, cores: null }, 'set 101 --delete cores,cpulimit'],
    [{ cpuLimit: null, cores: 2 }, 'set 101 --delete cpulimit --cores 2'],
    [{ cpuLimit: 0.25, cores: null }, 'set 101 --delete cores --cpulimit 0.25'],
  ])('for %j', (change, expected) => {
    const args = setArguments({ vmid: vmid(101), digest: DIGEST, ...change });
    expect(args.join(' ')).toBe(`${expected} --digest ${DIGEST}`);
  });
});

/** A pct of our own in a directory that becomes the PATH. */
function withPct(script: string, options = {}) {
  const directory = temporaryDirectory();
  plant(directory, { 'bin/pct': `#!/bin/bash\ncd "${directory}"\n${script}\n` });
  chmodSync(join(directory, 'bin/pct'), 0o755);
  const PATH = `${directory}/bin:/usr/bin:/bin`;
  const environment = { PATH, HOME: '/nowhere', GOTIFY_TOKEN: 'secret' };
  return { directory, proxmox: createProxmox({ environment, ...options }) };
}

describe('pct set', () => {
  it('is started once, in a UTF-8 locale, and is handed no secret', async () => {
    const { directory, proxmox } = withPct('printf "%s\\n" "$@" >>args; env >env');
    expect(await proxmox.set(request, never)).toStrictEqual({ kind: 'done' });
    expect(readFileSync(join(directory, 'args'), 'utf8').split('\n')).toStrictEqual([
      ...['set', '101', '--cores', '3', '--memory', '768', '--digest', DIGEST, ''],
    ]);
    const env = readFileSync(join(directory, 'env'), 'utf8');
    expect(env).toContain('LC_ALL=C.UTF-8\n');
    expect(env).toContain('HOME=/nowhere\n');
    expect(env).not.toContain('secret');
  });

  it('has succeeded when it exits 0, whatever it says on stderr', async () => {
    const { proxmox } = withPct('echo "vm 103 - unable to parse config: nonsense" >&2');
    expect(await proxmox.set(request, never)).toStrictEqual({ kind: 'done' });
  });

  it('is missed when it is not installed', async () => {
    const proxmox = createProxmox({ environment: { PATH: '/nowhere' } });
    expect(await proxmox.set(request, never)).toStrictEqual({
      kind: 'not-started',
      message: expect.stringMatching(/^the program pct was not found in \/nowhere:.*\/usr\/sbin:/),
    });
  });

  it('is ended when it hangs', async () => {
    const { proxmox } = withPct('sleep 300', { timeLimitMs: milliseconds(300) });
    expect(await proxmox.set(request, never)).toStrictEqual({
      kind: 'timed-out',
      afterMs: 300,
      message: 'pct set 101 took longer than 0.3 s and was ended',
    });
  });

  it('may finish when the daemon stops, but not for ever', async () => {
    const { proxmox } = withPct('sleep 300', { stopGraceMs: milliseconds(100) });
    const stopping = new AbortController();
    setTimeout(() => stopping.abort(), 50);
    expect(await proxmox.set(request, stopping.signal)).toMatchObject({
      kind: 'killed',
      message: 'pct set 101 had not finished when the daemon stopped and was ended',
    });
  });

  it('that prints garbage leaves one bounded line', async () => {
    const { proxmox } = withPct('head -c 3000000 /dev/urandom >&2; exit 9');
    const outcome = await proxmox.set(request, never);
    expect(outcome).toMatchObject({ kind: 'failed', exitCode: 9 });
    const message = outcome.kind === 'failed' ? outcome.message : '';
    expect(message.length).toBeLessThanOrEqual(300);
    expect(message).toMatch(/^[^\p{Cc}]+$/u);
  });

  it.each<[string, Partial<SetRequest>]>([
    ['nothing to change', { cores: undefined as never, memoryMib: undefined as never }],
    ['a part of a core', { cores: 1.5 }],
    ['no number', { cores: Number.NaN }],
    ['no core', { cores: 0 }],
    ['no quota, which pct refuses of a running container', { cpuLimit: 0 }],
    ['a quota that would be rounded to none', { cpuLimit: 0.004 }],
    ['a negative quota', { cpuLimit: -1 }],
    ['a quota beyond what pct takes', { cpuLimit: 8192.1 }],
    ['an endless quota', { cpuLimit: Number.POSITIVE_INFINITY }],
    ['a quota that is no number', { cpuLimit: Number.NaN }],
    ['too little memory', { memoryMib: mib(15) }],
    ['a part of a MiB', { memoryMib: mib(512.5) }],
    ['a digest that could be an option', { digest: '--delete' }],
  ])('is not started for %s', async (_, change) => {
    const { directory, proxmox } = withPct('touch started');
    const outcome = await proxmox.set({ ...request, ...change }, never);
    expect(outcome).toMatchObject({ kind: 'not-started' });
    expect(existsSync(join(directory, 'started'))).toBe(false);
  });
});

describe('what pct says', () => {
  it.each([
    [255, 'CT is locked (backup)\n', 'locked the container: CT is locked (backup)'],
    [
      4,
      'trying to acquire lock...\n' +
        "can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout\n",
      "holds the lock of its configuration: can't lock file",
    ],
    [
      255,
      'detected modified configuration - file changed by other user? Try again.\n',
      'changed by someone else meanwhile: detected modified configuration',
    ],
    [2, "Configuration file 'nodes/pve1/lxc/999.conf' does not exist\n", 'no longer on this node'],
    [
      22,
      '400 Parameter verification failed.\ncpulimit: unable to hotplug cpulimit: closing file\n\n' +
        'pct set <vmid> [OPTIONS]\n',
      'did not take the change: cpulimit: unable to hotplug',
    ],
    [
      255,
      '400 Parameter verification failed.\ncores: value must have a minimum value of 1\n' +
        'pct set <vmid> [OPTIONS]\n',
      'cores: value must have a minimum value of 1',
    ],
    [255, 'vm 103 - unable to parse config: x\nCT is locked (x)\n', 'CT is locked (x)'],
    [255, '400 not enough arguments\npct set <vmid>\n', '400 not enough arguments'],
    [9, ' \n', 'pct gave no reason (exit code 9)'],
  ])('with exit code %d and %j is told as one line', (exitCode, stderr, expected) => {
    const result = { kind: 'exited', exitCode, stdout: '', stderr } as const;
    const outcome = outcomeOf(result, 'pct set 101', milliseconds(1000));
    expect(outcome).toMatchObject({ kind: 'failed', exitCode });
    expect(outcome.kind === 'failed' ? outcome.message : '').toContain(expected);
  });

  it.skipIf(!existsSync(RECORDED_COMMANDS))('is told in every recorded failure', () => {
    const names = ['20-set', '21-set-cores', '30-locked', '90-memory-below-usage'];
    const recorded = names
      .flatMap((name) => readFileSync(join(RECORDED_COMMANDS, `${name}.jsonl`), 'utf8').split('\n'))
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { argv: string[]; exit: number; stderr: string })
      .filter(({ argv, exit }) => argv[0] === 'pct' && argv[1] === 'set' && exit !== 0);
    expect(recorded.length).toBeGreaterThan(15);
    for (const { exit, stderr } of recorded) {
      const result = { kind: 'exited', exitCode: exit, stdout: '', stderr } as const;
      const outcome = outcomeOf(result, 'pct set 101', milliseconds(1000));
      const message = outcome.kind === 'failed' ? outcome.message : '';
      expect(message).not.toMatch(/^400|<vmid>|trying to acquire|gave no reason/);
      expect(message.length).toBeGreaterThan(10);
    }
  });

  it.each([
    [2, "unable to open file '/etc/pve/nodes/pve1/lxc/101.conf.tmp.1' - Permission denied\n"],
    [255, "unable to create directory '/etc/pve/priv/lock' - Permission denied\n"],
    [255, 'cluster not ready - no quorum?\n'],
    [
      111,
      'ipcc_send_rec[1] failed: Connection refused\n' +
        'Unable to load access control list: Connection refused\n',
    ],
  ])('exit code %i: %j is nothing of the container', (exitCode, stderr) => {
    const result = { kind: 'exited', exitCode, stdout: '', stderr } as const;
    const outcome = outcomeOf(result, 'pct set 101', milliseconds(1000));
    expect(outcome).toMatchObject({ kind: 'failed', unwritable: true });
  });

  it('tells what went wrong, and not what Perl says of a container that is stopping', () => {
    const stderr =
      'Use of uninitialized value in subtraction (-) at /usr/share/perl5/PVE/LXC.pm line 310.\n' +
      'failed to read from command socket: Connection reset by peer\n' +
      'CT 101 not running\n';
    const result = { kind: 'exited', exitCode: 255, stdout: '', stderr } as const;
    const outcome = outcomeOf(result, 'pct set 101', milliseconds(1000));
    expect(outcome).toMatchObject({ kind: 'failed', message: 'CT 101 not running' });
  });

  it.each([
    'Argument "" isn\'t numeric in addition (+) at /usr/share/perl5/PVE/LXC.pm line 312.',
    'Use of uninitialized value $pid in numeric eq (==) at /usr/share/perl5/PVE/LXC.pm line 9.',
    'readline() on closed filehandle $fh at /usr/share/perl5/PVE/Tools.pm line 211, <$fh> line 3.',
    'Wide character in print at /usr/share/perl5/PVE/CLIHandler.pm line 80.',
  ])('%j is a warning, before and after what went wrong, and alone it is told', (warning) => {
    const told = (stderr: string) => {
      const result = { kind: 'exited', exitCode: 255, stdout: '', stderr } as const;
      return outcomeOf(result, 'pct set 101', milliseconds(1000));
    };
    const failed = { kind: 'failed', exitCode: 255 };
    const died =
      'Can\'t call method "x" on an undefined value at /usr/share/perl5/PVE/LXC.pm line 9.';
    for (const failure of ['CT 101 not running', died]) {
      expect(told(`${warning}\n${failure}\n`)).toEqual({ ...failed, message: failure });
      expect(complaintIn(`progress\n${failure}\n${warning}\n`)).toBe(failure);
    }
    expect(told(`${warning}\n`)).toEqual({ ...failed, message: warning });
  });

  it('a refusal of another kind is not taken for that', () => {
    const stderr = "unable to open '/sys/fs/cgroup/lxc/101/memory.max' - Permission denied\n";
    const result = { kind: 'exited', exitCode: 2, stdout: '', stderr } as const;
    const outcome = outcomeOf(result, 'pct set 101', milliseconds(1000));
    expect(outcome).not.toHaveProperty('unwritable');
  });

  it.each([
    [{ kind: 'killed', signal: 'SIGKILL', stdout: '', stderr: '' }, 'ended by SIGKILL'],
    [{ kind: 'timed-out', left: true, stdout: '', stderr: '' }, 'could not be ended'],
  ] as const)('%j', (result, expected) => {
    const outcome = outcomeOf(result, 'pct set 101', milliseconds(1000));
    expect('message' in outcome && outcome.message).toContain(expected);
  });
});
