import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { until } from '../patience.ts';
import { calm, hungry, isAlive, NodeUnderTest } from './node-under-test.ts';

/** The program as a process: commands, exit codes, signals, the lock, a host that is none. */

it('ends with 64 and one sentence for a wrong command line', async () => {
  const under = await NodeUnderTest.create([]);
  const { code, stderr, stdout } = await under.run(['onse']);
  expect(code).toBe(64);
  expect(stdout).toBe('');
  expect(stderr).toContain("unknown command 'onse'. Did you mean 'once'?\n");
});

it('ends with 78 and all problems for a wrong configuration', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  under.configure('DEFAULT:\n  poll_intervall: 5\n  min_cores: 0\n');
  for (const command of ['once', 'daemon']) {
    const { code, stderr } = await under.run([command]);
    expect(code).toBe(78);
    expect(stderr).toMatch(/lxc_autoscale\.yaml:2: .*poll_intervall.*poll_interval/);
    expect(stderr).toMatch(/lxc_autoscale\.yaml:3: .*min_cores/);
    expect(stderr).not.toContain('    at ');
  }
  const checked = await under.run(['check-config']);
  expect(checked.code).toBe(78);
  expect(checked.stdout).toMatch(/lxc_autoscale\.yaml:3: .*min_cores/);
});

it('check-config shows what each container gets', async () => {
  const under = await NodeUnderTest.create([calm(101), calm(102), calm(103)]);
  under.configure(
    'DEFAULT: {ignore_lxc: 103}\nTIER_big:\n  lxc_containers: ["102"]\n  max_cores: 16\n',
  );
  const { code, stdout } = await under.run(['check-config']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/101 +ct101 +DEFAULT/);
  expect(stdout).toMatch(/102 +ct102 +TIER_big/);
  expect(stdout).toMatch(/103 +ct103 .*ignore/);
  expect(under.node.calls).toEqual([]);
});

it('ends with 75 while another one runs, and names it', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  const first = under.start(['daemon']);
  await first.saying('Next run in');
  const second = await under.run(['once']);
  expect(second.code).toBe(75);
  expect(second.stderr).toContain(`already running (process ${first.child.pid})`);
  first.signal('SIGTERM');
  expect((await first.ended).code).toBe(0);
  expect((await under.run(['once'])).code).toBe(0);
});

it('starts again after a kill -9, which leaves the lock behind', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  const first = under.start(['daemon']);
  await first.saying('Next run in');
  first.signal('SIGKILL');
  await first.ended;
  expect((await under.run(['once'])).code).toBe(0);
});

it.each(['SIGTERM', 'SIGINT'] as const)(
  '%s ends it at once with 0, and gives the lock back',
  async (name) => {
    const under = await NodeUnderTest.create([calm(101)]);
    under.configure('DEFAULT: {poll_interval: 300}\n');
    const daemon = under.start(['daemon']);
    await daemon.saying('Next run in 300 seconds.');
    daemon.signal(name);
    expect((await daemon.ended).code).toBe(0);
    expect(under.log()).toMatch(/Stopped\.\n$/);
    expect(existsSync(join(under.root, 'var/lock/lxc_autoscale.lock'))).toBe(false);
  },
);

it('SIGTERM lets the change in hand finish, and begins no other', async () => {
  const under = await NodeUnderTest.create([hungry(101), hungry(102)]);
  under.configure('DEFAULT: {poll_interval: 1, max_concurrent_operations: 1}\n');
  under.node.onCommand(() => ({ kind: 'slow', delayMs: 1500 }));
  const daemon = under.start(['daemon']);
  await until(() => under.sets().length > 0);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  expect(under.sets()).toHaveLength(1);
  expect(under.journal()).toMatchObject([{ action: 'Increase Memory', status: 'confirmed' }]);
});

it('SIGTERM ends a pct that hangs, with all that it started, within ten seconds', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  under.node.onCommand(() => ({ kind: 'hang', ignoreSigterm: true, child: true }));
  const daemon = under.start(['daemon']);
  await until(() => under.node.calls[0]?.childPid !== undefined);
  const startMs = performance.now();
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(10_000);
  expect(under.log()).toMatch(/FAILED\. Container 101/);
  expect(isAlive(under.node.calls[0]?.childPid)).toBe(false);
});

it('SIGHUP takes a good configuration in, and refuses a bad one', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  under.configure('DEFAULT: {poll_interval: 300, ignore_lxc: 101}\n');
  const daemon = under.start(['daemon']);
  await daemon.saying('Next run in 300 seconds.');
  under.configure('DEFAULT:\n  poll_interval: often\n');
  daemon.signal('SIGHUP');
  await daemon.saying(/ERROR - .*yaml:2: .*poll_interval/);
  await daemon.saying('NOT reloaded');
  expect(under.node.calls).toEqual([]);
  under.configure('DEFAULT: {poll_interval: 1}\n');
  daemon.signal('SIGHUP');
  await daemon.saying('The configuration was reloaded.');
  await daemon.saying('Increasing memory for container 101 by 512MB...');
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});

it('SIGHUP says that further nodes are read at the start only', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  under.configure('DEFAULT: {}\n');
  const daemon = under.start(['daemon']);
  await daemon.saying(/Next run in \d+ seconds/);
  const node =
    '{host: 127.0.0.1, token_id: a@pve!b, token_secret: 00000000-0000, verify_tls: False}';
  under.configure(`NODES:\n  lab: ${node}\n`);
  daemon.signal('SIGHUP');
  await daemon.saying(/NODES has changed: .* restart the daemon/);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});

it('the flags of existing installations are accepted', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  under.configure('DEFAULT: {}\n');
  const daemon = under.start(['--poll_interval', '2', '--energy_mode', '--debug', 'daemon']);
  await daemon.saying('Next run in 2 seconds.');
  expect(under.log()).toContain(' - DEBUG - ');
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});

it('a host without /etc/pve is no Proxmox VE node', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  rmSync(join(under.root, 'etc/pve'), { recursive: true });
  const { code, stderr } = await under.run(['once']);
  expect(code).toBe(1);
  expect(stderr).toContain('This is not a Proxmox VE node');
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
});

const NO_NODE =
  /this is not a Proxmox VE node, .*: there is no \S+\. On a node, look at: systemctl status pve-/i;
const NEED_A_NODE = [
  'daemon',
  'once',
  'status',
  'explain 101',
  'configure --yes',
  'members',
].concat(...['members --json', 'rollback 101', 'rollback --all', 'health-check']);

it('is told so by each command that needs one, and what to do', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  rmSync(join(under.root, 'etc/pve'), { recursive: true });
  for (const command of NEED_A_NODE) {
    const { code, stdout, stderr } = await under.run(command.split(' '));
    expect({ command, code, said: stdout + stderr }).toEqual({
      command,
      code: 1,
      said: expect.stringMatching(NO_NODE),
    });
  }
});

it('is told so first where there is no configuration either', async () => {
  const under = await NodeUnderTest.create([]);
  for (const part of ['etc/pve', 'etc/lxc_autoscale']) {
    rmSync(join(under.root, part), { recursive: true });
  }
  for (const command of [...NEED_A_NODE, 'history', 'backups', 'export']) {
    const { code, stdout, stderr } = await under.run(command.split(' '));
    expect({ command, code, said: stdout + stderr }).toEqual({
      command,
      code: 1,
      said: expect.stringMatching(NO_NODE),
    });
  }
});

it('a host with cgroup v1 gets a clear sentence', async () => {
  const under = await NodeUnderTest.create([calm(101)]);
  rmSync(join(under.root, 'sys/fs/cgroup/cgroup.controllers'));
  mkdirSync(join(under.root, 'sys/fs/cgroup/memory'));
  const { code, stderr } = await under.run(['once']);
  expect(code).toBe(1);
  expect(stderr).toContain('cgroup v1');
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
});

it('goes on when /etc/pve goes away for a while, and scales nothing meanwhile', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  under.configure('DEFAULT: {poll_interval: 1, ignore_lxc: 101}\n');
  const daemon = under.start(['daemon']);
  await daemon.saying('Next run in');
  renameSync(join(under.root, 'etc/pve'), join(under.root, 'etc/pve-gone'));
  await daemon.saying('The containers cannot be seen, so nothing is scaled');
  renameSync(join(under.root, 'etc/pve-gone'), join(under.root, 'etc/pve'));
  under.configure('DEFAULT: {poll_interval: 1}\n');
  daemon.signal('SIGHUP');
  await daemon.saying('Increasing memory for container 101');
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});

it('--config names a file outside of the sysroot too', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  const file = join(under.root, '..', 'mine.yaml');
  writeFileSync(file, 'DEFAULT: {ignore_lxc: 101}\n');
  expect((await under.run(['--config', file, 'once'])).code).toBe(0);
  expect(under.node.calls).toEqual([]);
  expect(readFileSync(file, 'utf8')).toContain('ignore_lxc');
});
