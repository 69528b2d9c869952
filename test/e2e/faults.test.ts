import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Fault } from '../../src/sim/faults.ts';
import {
  BUNDLE,
  calm,
  type Ended,
  guest,
  hungry,
  isAlive,
  NodeUnderTest,
} from './node-under-test.ts';

/** What goes wrong outside: `pct` in all its moods, files and cgroups that come and go. */

interface Row {
  readonly what: string;
  readonly fault: Fault;
  /** What the log must say of it. */
  readonly says: RegExp;
  readonly status: string;
  /** The memory that the container has afterwards, by configuration and by the kernel. */
  readonly memoryMib: number;
}

const rows: readonly Row[] = [
  {
    what: 'fails',
    fault: { kind: 'fail', exit: 255, stderr: 'CT is locked (backup)\n' },
    says: /FAILED\..*Nothing was changed: pct exited with 255.*locked/,
    status: 'failed',
    memoryMib: 1024,
  },
  {
    what: 'fails after megabytes of noise',
    fault: { kind: 'fail', exit: 4, stderr: `${'x'.repeat(99)}\r\n`.repeat(50_000) },
    says: /FAILED\..*Nothing was changed: pct exited with 4/,
    status: 'failed',
    memoryMib: 1024,
  },
  {
    what: 'says that all is well and does nothing',
    fault: { kind: 'no-effect' },
    says: /FAILED\..*success was reported, and nothing has changed/,
    status: 'failed',
    memoryMib: 1024,
  },
  {
    what: 'does its work and says that it failed',
    fault: { kind: 'answer', make: () => ({ exit: 1, stdout: '', stderr: 'oh no\n' }) },
    says: /Confirmed\. It is active, though pct exited with 1: oh no/,
    status: 'confirmed',
    memoryMib: 1536,
  },
  {
    what: 'does its work and prints garbage',
    fault: {
      kind: 'answer',
      make: () => ({ exit: 0, stdout: '\u0000\u001b[2J\r\n'.repeat(9999), stderr: '\u{fffd}' }),
    },
    says: /Confirmed\./,
    status: 'confirmed',
    memoryMib: 1536,
  },
  {
    what: 'is killed when only what is live is changed',
    fault: { kind: 'killed', done: 'live-only' },
    says: /ROLLED BACK\..*The previous values are active again.*ended by SIGKILL/,
    status: 'rolled-back',
    memoryMib: 1024,
  },
];

describe('a pct that', () => {
  it.each(rows)('$what', async ({ fault, says, status, memoryMib }) => {
    const under = await NodeUnderTest.create([hungry(101)]);
    under.node.onCommand(() => (under.node.calls.length === 1 ? fault : undefined));
    const { code, stderr } = await under.run(['once']);
    expect(under.log()).toMatch(says);
    expect(code).toBe(status === 'confirmed' ? 0 : 1);
    expect(stderr).toBe('');
    expect(under.journal()).toMatchObject([{ container_id: '101', status }]);
    expect(under.node.limits(101)).toMatchObject({ memoryMib, live: { memoryMib } });
  });

  it('is missing', async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    const { code } = await under.run(['once'], '/nowhere');
    expect(code).toBe(1);
    expect(under.log()).toMatch(
      /FAILED\..*pct could not be started: the program pct was not found/,
    );
    expect(under.journal()).toMatchObject([
      { action: 'None', event: 'failed', resource: 'memory' },
    ]);
  });

  it('hangs past its time limit is ended with all that it started', {
    timeout: 240_000,
  }, async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    under.node.onCommand(() => ({ kind: 'hang', ignoreSigterm: true, child: true }));
    const { code } = await under.run(['once']);
    expect(code).toBe(1);
    expect(under.log()).toMatch(/FAILED\..*pct set 101 took longer than 40 s and was ended/);
    expect(isAlive(under.node.calls[0]?.childPid)).toBe(false);
  });

  it('fails is not called again at once', async () => {
    const under = await NodeUnderTest.create([hungry(101), calm(102)]);
    under.node.onCommand(() => ({ kind: 'fail', exit: 255, stderr: 'no\n' }));
    const daemon = under.start(['daemon']);
    await daemon.saying(/(Resource allocation process completed[\s\S]*){4}/);
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(under.node.calls).toHaveLength(1);
    expect(under.log()).toMatch(/Container 101 \(ct101\) is skipped: .*failed/);
  });
});

it('an admin who changes the configuration in between wins, and that is no failure', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  under.node.onCommand(() => {
    under.node.editConfig(101, (text) => text.replace('cores: 2', 'cores: 3'));
    return undefined;
  });
  const { code } = await under.run(['once']);
  expect(code).toBe(0);
  expect(under.log()).toContain('Container 101 was not changed: its configuration was changed');
  expect(under.conf(101)).toMatch(/cores: 3\n[\s\S]*memory: 1024\n/);
  expect(under.journal()).toEqual([]);
});

it('a container that is destroyed while the cycle runs stops no other', async () => {
  const under = await NodeUnderTest.create([hungry(101), hungry(102)]);
  under.configure('DEFAULT: {poll_interval: 1, max_concurrent_operations: 1}\n');
  under.node.onCommand(() => {
    if (under.node.calls.length === 1) under.node.destroyContainer(102);
    return undefined;
  });
  const daemon = under.start(['daemon']);
  await daemon.saying(/(Resource allocation process completed[\s\S]*){2}/);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  expect(under.log()).toContain('Container 102 was not changed');
  expect(under.node.limits(101)?.memoryMib).toBe(1536);
  expect(under.sets()).toHaveLength(1);
});

it('a configuration that cannot be read means no scaling of that container only', async () => {
  const under = await NodeUnderTest.create([hungry(101), hungry(102)]);
  under.node.editConfig(101, (text) => text.replace('memory: 1024', 'memory: lots'));
  expect((await under.run(['once'])).code).toBe(0);
  expect(under.log()).toMatch(/Container 101 .* is skipped: .*memory/);
  expect(under.sets().map(([, , vmid]) => vmid)).toEqual(['102']);
});

it.each(['memory.current', 'memory.stat', 'memory.events', 'memory.max', 'cpu.stat'])(
  'a container without %s is not shrunk',
  async (file) => {
    const idle = guest(101, { cores: 4, memoryMib: 8192 }, { cpuCores: 0, anonMib: 300 });
    const under = await NodeUnderTest.create([idle]);
    const path = join(under.root, 'sys/fs/cgroup/lxc/101', file);
    rmSync(path);
    const daemon = under.start(['daemon']);
    await daemon.saying(/(Resource allocation process completed[\s\S]*){3}/);
    daemon.signal('SIGTERM');
    await daemon.ended;
    const missing = file.startsWith('memory') ? '--memory' : '--cores';
    expect(under.sets().flat()).not.toContain(missing);
    expect(under.log()).toMatch(new RegExp(`WARNING - Container 101 .*${file}`));
  },
);

it('a restarted container begins anew: no rate over the restart', async () => {
  const idle = guest(101, { cores: 4, memoryMib: 1024 }, { cpuCores: 1.5, anonMib: 500 });
  const under = await NodeUnderTest.create([idle]);
  const daemon = under.start(['--debug', 'daemon']);
  await daemon.saying(/(Resource allocation process completed[\s\S]*){2}/);
  under.node.stopContainer(101);
  await daemon.saying('Container 101 is not running. Skipping adjustments.');
  under.node.startContainer(101);
  await daemon.saying(
    /Skipping adjustments[\s\S]*Container 101 \(ct101\), cores: [^\n]*no earlier sample/,
  );
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(under.sets()).toEqual([]);
});

it('pvestatd that is stopped leaves a change pending, and more is not piled upon it', async () => {
  const busy = guest(101, { cores: 2, memoryMib: 1024 }, { cpuCores: 6, anonMib: 500 });
  const under = await NodeUnderTest.create([busy]);
  under.node.setPvestatd(false);
  const daemon = under.start(['daemon']);
  await daemon.saying(/(Resource allocation process completed[\s\S]*){5}/);
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(under.sets()).toHaveLength(1);
  expect(under.journal().map(({ action, status }) => `${action} ${status}`)).toEqual([
    'Increase Cores pending',
  ]);
});

describe('what Perl says of a container that is stopping', () => {
  it('is no failure of a change that came about', async () => {
    const under = await NodeUnderTest.create([hungry(102)]);
    under.node.setStopping(102, true);
    expect((await under.run(['once'])).code).toBe(0);
    expect(under.node.calls[0]).toMatchObject({ exit: 0 });
    expect(under.journal()).toMatchObject([{ action: 'Increase Memory', status: 'confirmed' }]);
    expect(under.log()).not.toMatch(/uninitialized|command socket|FAILED/);
  });

  it('hides no failure', async () => {
    const under = await NodeUnderTest.create([hungry(102)]);
    const stderr =
      'Argument "" isn\'t numeric in addition (+) at /usr/share/perl5/PVE/LXC.pm line 312.\n' +
      'failed to read from command socket: Connection reset by peer\nCT is locked (backup)\n';
    under.node.onCommand(() => ({ kind: 'fail', exit: 255, stderr }));
    expect((await under.run(['once'])).code).toBe(1);
    expect(under.log()).toMatch(/FAILED.* pct exited with 255: another operation has locked the/);
    expect(under.log()).not.toMatch(/isn't numeric|command socket/);
  });
});

describe('half a configuration is never taken for a whole one', () => {
  const OUTSIDE = new URL('../faults/outside.cjs', import.meta.url).pathname;
  const FILE = 'etc/lxc_autoscale/lxc_autoscale.yaml';

  async function check(times?: number): Promise<Ended> {
    const under = await NodeUnderTest.create([calm(101)]);
    under.configure('DEFAULT:\n  poll_interval: 1\n  min_cores: 2\n');
    const plan = join(under.root, '../plan.json');
    const fault = { kind: 'read', path: FILE, truncate: 27, ...(times && { times }) };
    writeFileSync(plan, JSON.stringify({ root: under.root, faults: [fault] }));
    const argv = ['--require', OUTSIDE, BUNDLE, '--sysroot', under.root, 'check-config'];
    const env = { ...process.env, OUTSIDE: plan };
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { env, encoding: 'utf8' });
    return { code: status, stdout, stderr };
  }

  it('it is refused, though it reads well', async () => {
    const { code, stdout, stderr } = await check();
    expect(code).toBe(78);
    expect(`${stdout}${stderr}`).toMatch(
      /lxc_autoscale\.yaml: changes while it is read, or comes out shorter than it is; try again/,
    );
  });

  it('it is read again, and whole the second time', async () => {
    const { code, stdout } = await check(2);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^DEFAULT +threshold +2-8 /m);
  });
});
