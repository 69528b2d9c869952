import { once } from 'node:events';
import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { calm, guest, hungry, NodeUnderTest } from './node-under-test.ts';

/** status, explain and history: with the daemon, without it, and against what the log says. */

const SOCKET = 'run/lxc_autoscale/control.sock';
const LOG = 'var/log/lxc_autoscale.json';
const STATE = 'var/lib/lxc_autoscale/state.json';

const locked = (vmid: number) =>
  guest(vmid, { cores: 1, memoryMib: 512, lock: 'backup' }, { cpuCores: 0.1, anonMib: 200 });

const YAML = 'DEFAULT: {poll_interval: 1, ignore_lxc: 104}\nTIER_web:\n  lxc_containers: [102]\n';

interface Row {
  readonly vmid: number;
  readonly policy: string | null;
  readonly allocation: { readonly memoryMib: number };
  readonly lastChange: { readonly time: string; readonly what: string; readonly status: string };
  readonly now: { readonly brief: string };
}

/** A node of which the daemon has raised the memory of 102, and that daemon. */
async function running() {
  const under = await NodeUnderTest.create([calm(101), hungry(102), locked(103), calm(104)]);
  under.configure(YAML);
  const daemon = under.start(['daemon']);
  await daemon.saying('Confirmed.');
  await daemon.saying(/Confirmed\.(.*\n)*.*Next run in(.*\n)*.*Next run in/);
  return { under, daemon };
}

const json = async (under: NodeUnderTest, ...argv: string[]) => {
  const { code, stdout, stderr } = await under.run([...argv, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
};

describe('while the daemon runs', () => {
  it('status and explain agree with the log, and nothing is changed by asking', async () => {
    const { under, daemon } = await running();
    expect((statSync(join(under.root, SOCKET)).mode & 0o777).toString(8)).toBe('600');
    const report = await json(under, 'status');
    expect(report).toMatchObject({ format: 1, from: 'daemon', dryRun: false });
    expect(report.host).toMatchObject({ cpus: 8, memoryMib: 32_768, budget: { cores: 7 } });
    const rows: Row[] = report.containers;
    expect(rows.map(({ vmid, policy, now }) => [vmid, policy, now.brief])).toEqual([
      [101, 'DEFAULT', 'in band'],
      [102, 'TIER_web', expect.any(String)],
      [103, 'DEFAULT', 'locked (backup)'],
      [104, null, 'ignored'],
    ]);
    const [event] = under.journal();
    expect(event).toMatchObject({ container_id: '102', action: 'Increase Memory', after: 1536 });
    expect(rows[1]).toMatchObject({
      allocation: { memoryMib: 1536 },
      lastChange: { time: event?.['timestamp'], status: event?.['status'] },
    });
    expect(rows[1]?.lastChange.what).toContain(
      `memory 1024 -> 1536 MB, since ${event?.['reason']}`,
    );

    const account = await json(under, 'explain', '102');
    expect(account.cycle).toBeGreaterThanOrEqual(2);
    expect(account.policy[0].says).toBe('TIER_web, by its id');
    const memory = account.resources[1];
    expect(memory.decision).toMatchObject({ verdict: 'hold', because: 'in-band' });
    const cooldown = memory.guards.find(({ what }: { what: string }) => /shrinking$/.test(what));
    expect(cooldown).toBeDefined();
    expect(account.outcome[0].says).toContain(`${event?.['timestamp']}, confirmed: memory 1024`);
    expect(await json(under, 'explain', '103')).toMatchObject({
      resources: [],
      leftAlone: expect.stringContaining('locked (backup)'),
    });
    expect(under.sets()).toHaveLength(1);

    const table = await under.run(['status']);
    expect(table.stdout).toMatch(/^102 +ct102 +web +.*\/1536 \d+% .* mem 1024>1536 /m);
    for (const line of table.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
    const told = await under.run(['explain', '102']);
    expect(told.stdout).toMatch(/^Container 102 \(ct102\), cycle \d+ at .*\n/);
    expect(told.stdout).toMatch(/^ {2}DECISION +hold: it uses \d+ of its 1536 MB/m);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    expect(() => statSync(join(under.root, SOCKET))).toThrow('ENOENT');
  });

  it('explain of a container that is not there says so', async () => {
    const { under } = await running();
    expect(await under.run(['explain', '999'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Guest 999 was not on this node in the last cycle.\n',
    });
  });

  it('a reload is seen, and a socket that cannot be opened hinders no cycle', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    under.configure('DEFAULT: {poll_interval: 300}\n');
    const socket = join(under.root, 'run/lxc_autoscale/control.sock');
    mkdirSync(socket, { recursive: true });
    const daemon = under.start(['daemon']);
    await daemon.saying(/WARNING - status and explain cannot ask this daemon: /);
    await daemon.saying('Next run in 300 seconds.');
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    rmdirSync(socket);
    const second = under.start(['daemon']);
    await second.saying(/(Next run in 300 seconds\.[\s\S]*){2}/);
    under.configure('DEFAULT: {poll_interval: 300, ignore_lxc: 101}\n');
    second.signal('SIGHUP');
    await second.saying('The configuration was reloaded.');
    expect((await json(under, 'status')).containers[0]).toMatchObject({ mode: 'ignored' });
  });
});

describe('without the daemon', () => {
  it('status and explain look for themselves, on what was saved, and write nothing', async () => {
    const { under, daemon } = await running();
    daemon.signal('SIGKILL');
    await daemon.ended;
    const files = [LOG, STATE, 'var/log/lxc_autoscale.log'].map((name) => join(under.root, name));
    const before = files.map((file) => readFileSync(file, 'utf8'));
    const { code, stdout, stderr } = await under.run(['status', '--json']);
    expect(code).toBe(0);
    expect(stderr).toBe(
      'The daemon does not answer: it is not running, and has not ended in order. ' +
        'This is a one-time evaluation. To start the daemon: systemctl start lxc_autoscale\n',
    );
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ from: 'now', dryRun: true });
    expect(report.containers[1]).toMatchObject({
      vmid: 102,
      allocation: { memoryMib: 1536 },
      lastChange: { status: 'confirmed' },
    });
    const told = await under.run(['explain', '102']);
    expect(told.stdout).toMatch(/^Container 102 \(ct102\), as of /);
    expect(told.stdout).toMatch(/^\* cooldown for shrinking +\d+ s left of 300 s$/m);
    expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(before);
    expect(under.sets()).toHaveLength(1);
  });

  it('they need no state, and make none', async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    const { code, stdout, stderr } = await under.run(['explain', '101']);
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^The daemon does not answer: it is not running\. .*: systemctl start lxc_autoscale\n$/,
    );
    expect(stdout).toMatch(/ {2}DECISION +grow: 1024 -> 1536 MB/);
    expect(stdout).toMatch(/last change +none is known\n {2}memory +not done: this is a dry run/);
    expect(under.sets()).toEqual([]);
    expect(under.log() + under.conf(101)).not.toContain('1536');
    expect(() => statSync(join(under.root, STATE))).toThrow('ENOENT');
  });

  it('they do not say how to start one that runs and gives no answer', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    mkdirSync(dirname(join(under.root, SOCKET)), { recursive: true });
    const server = createServer((socket) => socket.end()).listen(join(under.root, SOCKET));
    await once(server, 'listening');
    const { code, stderr } = await under.run(['status']);
    server.close();
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr:
        'The daemon does not answer: it ended without an answer. This is a one-time evaluation.\n',
    });
  });

  it('they say what is wrong with the host or the configuration', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    under.configure('DEFAULT: {poll_intervall: 1}\n');
    expect(await under.run(['status'])).toMatchObject({
      code: 78,
      stdout: '',
      stderr: expect.stringContaining('did you mean poll_interval?'),
    });
    rmSync(join(under.root, 'etc/pve'), { recursive: true });
    const { code, stdout, stderr } = await under.run(['explain', '101']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^This is not a Proxmox VE node, .*\n$/);
  });
});

describe('history', () => {
  it('tells what was done, also over a rotated log', async () => {
    const under = await NodeUnderTest.create([hungry(101), hungry(102)]);
    expect((await under.run(['history'])).stdout).toBe(
      `Nothing has been logged yet in ${join(under.root, LOG)}.\n`,
    );
    await under.run(['once']);
    renameSync(join(under.root, LOG), join(under.root, `${LOG}.1`));
    await under.run(['rollback', '101']);
    const { code, stdout, stderr } = await under.run(['history']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const rows = stdout.trimEnd().split('\n');
    expect(rows[0]).toMatch(/^TIME +CONTAINER +ACTION +CHANGE +STATUS +REASON$/);
    const told = rows.slice(1).map((row) => row.slice('2026-11-22 08:00:00  '.length));
    expect(told.sort()).toEqual([
      expect.stringMatching(/^101 ct101 +Increase Memory +1024 -> 1536 MB +confirmed +it uses 9/),
      expect.stringMatching(/^101 ct101 +Rollback Memory +1536 -> 1024 MB /),
      expect.stringMatching(/^102 ct102 +Increase Memory +1024 -> 1536 MB +confirmed +it uses 9/),
    ]);
    const lines = (await under.run(['history', '101', '--json', '--since', '1h'])).stdout;
    const events = lines
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events).toMatchObject([
      { container_id: '101', action: 'Increase Memory', before: 1024, after: 1536 },
      { container_id: '101', action: 'Decrease Memory', event: 'rollback', after: 1024 },
    ]);
    expect((await under.run(['history', '--since', '2096-02-29'])).stdout).toBe(
      'Nothing was logged since 2096-02-29.\n',
    );
  });
});

it.each([
  [['explain'], /explain needs the id or the name of a container/],
  [['explain', 'we b'], /by its id or its whole name, not 'we b'/],
  [['history', '--since', 'tomorrow'], /--since takes a time such as .*not 'tomorrow'/],
  [['status', '--dry-run'], /--dry-run does not go with status/],
])('wrong usage, %j, ends with 64', async (argv, message) => {
  const under = await NodeUnderTest.create([]);
  const { code, stdout, stderr } = await under.run(argv);
  expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
  expect(stderr).toMatch(message);
});

it('a word that names nobody is refused, with or without a daemon', async () => {
  const under = await NodeUnderTest.create([]);
  const { code, stdout, stderr } = await under.run(['explain', 'web']);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  const list = 'List them: lxc-autoscale status';
  expect(stderr).toBe(`No guest or group is called 'web'. ${list}\n`);
});

it('takes a name for an id, and says which one is meant if it is misspelt', async () => {
  const named = (vmid: number, name: string) =>
    guest(vmid, { name, cores: 2, memoryMib: 1024 }, { cpuCores: 1, anonMib: 500 });
  const under = await NodeUnderTest.create([named(101, 'intranet'), named(102, 'shop')]);
  const daemon = under.start(['daemon']);
  await daemon.cycles(1);
  expect((await json(under, 'explain', 'INTRANET')).vmid).toBe(101);
  const { containers } = await json(under, 'status', 'shop');
  expect(containers.map(({ vmid }: Row) => vmid)).toEqual([102]);
  const one = await under.run(['status', '102']);
  expect(one.stdout).not.toContain('intranet');
  expect(one.stdout).toMatch(/\n\nCPU: .*\. Memory: .*\.\n$/);
  const wrong = await under.run(['history', 'intranett']);
  expect(wrong).toMatchObject({
    code: 1,
    stdout: '',
    stderr: "No guest is called 'intranett'. Did you mean 'intranet' (101)?\n",
  });
});
