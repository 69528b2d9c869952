import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { parseArguments } from '../../src/cli/command-line.ts';
import { explainAt } from '../../src/cli/explain-at.ts';
import { history } from '../../src/cli/history.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { manualClock, plant, temporaryDirectory } from '../node/local/world.ts';

const LOG = 'var/log/lxc_autoscale.json';

function collecting(slow = false) {
  const chunks: string[] = [];
  const stream = new Writable({
    highWaterMark: slow ? 1 : 16_384,
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      if (slow) setImmediate(done);
      else done();
    },
  });
  return { stream, text: () => chunks.join('') };
}

function world(logs: Readonly<Record<string, string>>, yaml = 'DEFAULT: {timezone: UTC}\n') {
  const root = temporaryDirectory();
  plant(root, { 'etc/lxc_autoscale/lxc_autoscale.yaml': yaml, ...logs });
  const run = async (argv: readonly string[], out = collecting()) => {
    const parsed = parseArguments(['history', '--sysroot', root, ...argv]);
    if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
    const err = collecting();
    const code = await history(parsed.arguments, {
      paths: createPaths(root),
      clock: manualClock(Date.UTC(2026, 10, 22, 12, 0, 0)),
      env: {},
      stdout: out.stream,
      stderr: err.stream,
    });
    return { code, stdout: out.text(), stderr: err.text() };
  };
  return { root, run };
}

const line = (timestamp: string, vmid: number, more: object = {}): string =>
  JSON.stringify({
    timestamp,
    proxmox_host: 'pve1',
    container_id: `${vmid}`,
    action: 'Increase Memory',
    change: '512MB',
    name: 'shop',
    status: 'confirmed',
    before: 1024,
    after: 1536,
    reason: 'it needs more',
    ...more,
  });

const OLD = line('2026-11-20 08:00:00', 101);
const MORNING = line('2026-11-22 08:00:00', 102, { action: 'Decrease Cores', before: 4, after: 2 });
const NOON = line('2026-11-22 11:30:00', 101, { note: 'and a note', status: 'failed' });
const three = { [`${LOG}.2`]: `${OLD}\n`, [`${LOG}.1`]: `${MORNING}\n`, [LOG]: `${NOON}\n` };

describe('history', () => {
  it('tells what was done, over rotated logs, oldest first', async () => {
    const { code, stdout, stderr } = await world(three).run([]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.split('\n').map((row) => row.split(/ {2,}/))).toEqual([
      ['TIME', 'CONTAINER', 'ACTION', 'CHANGE', 'STATUS', 'REASON'],
      [
        '2026-11-20 08:00:00',
        '101 shop',
        'Increase Memory',
        '1024 -> 1536 MB',
        'confirmed',
        'it needs more',
      ],
      ['2026-11-22 08:00:00', '102 shop', 'Decrease Cores', '4 -> 2', 'confirmed', 'it needs more'],
      [
        '2026-11-22 11:30:00',
        '101 shop',
        'Increase Memory',
        '1024 -> 1536 MB',
        'failed',
        'it needs more; and a note',
      ],
      [''],
    ]);
    expect(new Set(stdout.split('\n').map((row) => row.search(/confirmed|failed|STATUS/)))).toEqual(
      new Set([89, -1]),
    );
  });

  it('shows by how much where no values are logged, as of groups, below its heading', async () => {
    const none = { before: undefined, after: undefined };
    const rows = [
      line('2026-11-22 08:00:00', 99_000, { ...none, action: 'Scale Out Failed', change: '+1' }),
      line('2026-11-22 08:00:01', 101, { action: 'Would Decrease Memory', change: '+1' }),
      line('2026-11-22 08:00:02', 101, { action: 'Decrease Memory Failed', before: undefined }),
      line('2026-11-22 08:00:03', 101, { ...none, change: undefined }),
    ];
    const { stdout } = await world({ [LOG]: `${rows.join('\n')}\n` }).run([]);
    const shown = stdout.trimEnd().split('\n');
    expect(shown.map((row) => row.slice(71, 89).trim())).toEqual(
      ['CHANGE', '+1', '1024 -> 1536 MB', '1536', ''], // By column, since the last one is empty.
    );
    expect(shown[1]).toMatch(/^.{47}Scale Out Failed {8}\+1 {16}confirmed {2}it needs more$/);
    expect(Math.max(...shown.map((row) => row.length))).toBeLessThan(120);
  });

  it('shows lines of both forms alike', async () => {
    const both = (action: string, event: Record<string, string>, before?: number) => [
      line('2026-11-22 08:00:00', 101, { action, before }),
      line('2026-11-22 08:00:00', 101, { action: 'None', change: '0', before, ...event }),
    ];
    const cores = { resource: 'cores' };
    const rows = [
      ...both('Confirm Cores', { ...cores, event: 'confirmed', by: '4' }),
      ...both('Would Decrease Cores', { ...cores, event: 'would', direction: 'down' }, 6),
      ...both('Increase Cores Failed', { ...cores, event: 'failed', direction: 'up' }, 2),
      ...both('Rollback Memory', { resource: 'memory', event: 'rollback', direction: 'up' }, 512),
    ];
    const { stdout } = await world({ [LOG]: `${rows.join('\n')}\n` }).run(['--all']);
    const [, ...shown] = stdout.trimEnd().split('\n');
    expect(shown).toHaveLength(8);
    for (let index = 0; index < 8; index += 2) expect(shown[index + 1]).toBe(shown[index]);
    expect(shown[0]).toContain('Confirm Cores');
  });

  it.each([
    [['--json'], [OLD, MORNING, NOON]],
    [
      ['--json', '101'],
      [OLD, NOON],
    ],
    [['--json', '--since', '1h'], [NOON]],
    [['--json', '--since', '7d', '102'], [MORNING]],
    [
      ['--json', '--since', '2026-11-22'],
      [MORNING, NOON],
    ],
    [
      ['--json', '--since', '2026-11-22 08:00'],
      [MORNING, NOON],
    ],
    [['--json', '--since', '2026-11-22 08:00:01'], [NOON]],
  ])('of %j passes the lines through unchanged', async (argv, lines) => {
    const { code, stdout, stderr } = await world(three).run(argv);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.split('\n').slice(0, -1)).toEqual(lines);
  });

  it('says where nothing was logged yet, or nothing of that', async () => {
    const empty = world({});
    const { code, stdout } = await empty.run([]);
    expect(code).toBe(0);
    expect(stdout).toBe(`Nothing has been logged yet in ${join(empty.root, LOG)}.\n`);
    expect((await empty.run(['--json'])).stdout).toBe('');
    const { run } = world(three);
    expect((await run(['103'])).stdout).toBe('Nothing was logged of guest 103.\n');
    expect((await run(['103', '--since', '2h'])).stdout).toBe(
      'Nothing was logged of guest 103 since 2026-11-22 10:00:00.\n',
    );
  });

  it('counts what is no JSON, and goes on', async () => {
    const broken = ['{"timestamp":', 'null', '[1]', '{}', '', 'x'.repeat(200_000), '\u0000'];
    const content = [OLD, ...broken, MORNING, '{"timestamp":"2026'].join('\n');
    const { code, stdout, stderr } = await world({ [LOG]: content }).run(['--json']);
    expect(code).toBe(0);
    expect(stdout).toBe(`${OLD}\n${MORNING}\n`);
    expect(stderr).toBe('7 lines were left out: no JSON, or cut short.\n');
  });

  it('reads lines that lie across the pieces in which a file is read', async () => {
    const many = Array.from({ length: 3000 }, (_, index) =>
      line('2026-11-22 08:00:00', 101, { reason: 'ä'.repeat(index % 97), index }),
    );
    const { stdout } = await world({ [LOG]: `${many.join('\n')}\n` }).run(['--json']);
    expect(stdout === `${many.join('\n')}\n`).toBe(true);
  });

  it('waits for a slow reader, and ends with one that goes away', async () => {
    const many = Array.from({ length: 200 }, () => OLD).join('\n');
    const { run } = world({ [LOG]: `${many}\n` });
    expect((await run(['--json'], collecting(true))).stdout).toBe(`${many}\n`);
    const going = collecting();
    going.stream.destroy(new Error('EPIPE'));
    expect((await run(['--json'], going)).code).toBe(0);
  });

  it('makes texts of others harmless in the table', async () => {
    const evil = 'a\u001b[2J\u202eb\nc';
    const content = line(evil, 101, { name: evil, action: evil, status: evil, reason: evil });
    const { stdout } = await world({ [LOG]: `${content}\n` }).run([]);
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f\u202e]/);
    expect(stdout.split('\n')).toHaveLength(3);
  });

  it('says what cannot be read', async () => {
    const { run, root } = world({ [LOG]: `${NOON}\n` });
    symlinkSync(`${join(root, LOG)}.1`, `${join(root, LOG)}.1`);
    const { code, stdout, stderr } = await run([]);
    expect(code).toBe(1);
    expect(stdout).toContain('2026-11-22 11:30:00');
    expect(stderr).toMatch(/^Cannot be read: .*\.json\.1: it is a symbolic link \(ELOOP\)\n$/);
  });

  it('tells the problems of a configuration', async () => {
    const { run } = world({}, 'DEFAULT: {log_fil: /x}\n');
    expect(await run([])).toMatchObject({ code: 78, stdout: '' });
  });
});

describe('on a terminal', () => {
  function terminal(columns: number) {
    const out = collecting();
    return { stream: Object.assign(out.stream, { isTTY: true, columns }), text: out.text };
  }

  it.each([60, 80, 120])('has one line of at most %d columns for a change', async (columns) => {
    const long = line('2026-11-22 11:45:00', 101, { reason: 'it needs more '.repeat(30) });
    const logs = { [LOG]: `${MORNING}\n${NOON}\n${long}\n` };
    const { stdout } = await world(logs).run(['--no-color'], terminal(columns));
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(4);
    for (const each of lines) expect(each.length).toBeLessThanOrEqual(columns);
    if (columns < 100) {
      expect(lines[1]).toMatch(/^11-22 08:00 {2}102 shop {10}cpu 4>2 {11}it/);
      expect(lines[2]).toMatch(/^11-22 11:30 {2}101 shop {10}mem 1024>1536 {5}fail/);
    }
  });

  it('is red where a change failed, unless colours are unwanted', async () => {
    const { stdout } = await world(three).run([], terminal(120));
    expect(stdout.split('\n').filter((row) => row.startsWith('\x1b[31m'))).toHaveLength(1);
  });
});

it('leaves out what only confirms an earlier change, unless it is asked for', async () => {
  const confirmed = line('2026-11-22 08:00:05', 102, { action: 'None', event: 'confirmed' });
  const logs = { [LOG]: `${MORNING}\n${confirmed}\n` };
  expect((await world(logs).run([])).stdout.trimEnd().split('\n')).toHaveLength(2);
  expect((await world(logs).run(['--all'])).stdout.trimEnd().split('\n')).toHaveLength(3);
  expect((await world(logs).run(['--json'])).stdout.trimEnd().split('\n')).toHaveLength(2);
});

describe('explain --at', () => {
  const explainIn = (root: string, ...argv: readonly string[]) => {
    const parsed = parseArguments(['explain', ...argv, '--sysroot', root]);
    if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
    const [out, err] = [collecting(), collecting()];
    const clock = manualClock(Date.UTC(2026, 10, 22, 12, 0, 0));
    const streams = { stdout: out.stream, stderr: err.stream };
    const { guestName: group } = parsed.arguments;
    const given = { ...parsed.arguments, group };
    explainAt(given, { paths: createPaths(root), clock, env: {}, ...streams });
    return out.text() + err.text();
  };

  it('tells the last change of each resource by then, and the next one', () => {
    const first = line('2026-11-22 02:30:00', 101, { reason: 'it is full' });
    const less = { action: 'Decrease Cores', before: 4, after: 2 };
    const cores = line('2026-11-22 02:40:00', 101, less);
    const other = line('2026-11-22 02:50:00', 102);
    const { root } = world({ [LOG]: `${first}\n${cores}\n${other}\n${NOON}\n` });
    const changes =
      '2026-11-22 02:30:00  Increase Memory 1024 -> 1536, confirmed\n  since it is full\n\n' +
      '2026-11-22 02:40:00  Decrease Cores 4 -> 2, confirmed\n  since it needs more\n\n' +
      'Next: 2026-11-22 11:30:00  Increase Memory 1024 -> 1536, failed\n';
    expect(explainIn(root, '101', '--at', '03:00')).toBe(
      `Container 101 at 2026-11-22 03:00, as the JSON log has it.\n\n${changes}`,
    );
    expect(explainIn(root, '101', '--at', '2h ago')).toBe(
      `Container 101 at 2026-11-22 10:00:00, as the JSON log has it.\n\n${changes}`,
    );
    const none = 'No change of it had been logged by then.\n';
    expect(explainIn(root, '102', '--at', 'yesterday')).toContain(none);
  });

  it('calls a virtual machine one', () => {
    const { root } = world({ [LOG]: `${line('2026-11-22 02:30:00', 200, { kind: 'qemu' })}\n` });
    const head = (at: string) => explainIn(root, '200', '--at', at).split('\n')[0];
    expect(head('03:00')).toBe('VM 200 at 2026-11-22 03:00, as the JSON log has it.');
    expect(head('02:00')).toBe('VM 200 at 2026-11-22 02:00, as the JSON log has it.');
  });

  it('tells of one node, or names the node where there are several', async () => {
    const yaml =
      'DEFAULT: {timezone: UTC}\nNODES: {lab: {host: 192.0.2.1, token_id: a@pve!b, ' +
      'token_secret: c}}\n';
    const here = line('2026-11-22 02:30:00', 101);
    const there = line('2026-11-22 02:40:00', 101, { proxmox_host: 'lab', reason: 'it is far' });
    const made = world({ [LOG]: `${here}\n${there}\n` }, yaml);
    const both = explainIn(made.root, '101', '--at', '03:00');
    expect(both).toContain('On pve1: 2026-11-22 02:30:00');
    expect(both).toContain('On lab: 2026-11-22 02:40:00');
    expect(explainIn(made.root, '101', '--at', '03:00', '--node', 'lab')).toBe(
      'Container 101 at 2026-11-22 03:00, as the JSON log has it.\n\n' +
        '2026-11-22 02:40:00  Increase Memory 1024 -> 1536, confirmed\n  since it is far\n',
    );
    expect(explainIn(made.root, '101', '--at', '03:00', '--node', 'lob')).toBe(
      "Unknown node 'lob'. Did you mean 'lab'?\n",
    );
    const { stdout } = await made.run(['--node', 'lab']);
    expect(stdout).toContain('02:40:00');
    expect(stdout).not.toContain('02:30:00');
  });

  it('tells of a group', () => {
    const member = { group: 'web', action: 'Scale Out', before: undefined, after: undefined };
    const out = line('2026-11-22 02:30:00', 203, { ...member, change: '1' });
    const { root } = world({ [LOG]: `${out}\n${NOON}\n` });
    expect(explainIn(root, 'Web', '--at', '03:00')).toBe(
      'Group Web at 2026-11-22 03:00, as the JSON log has it.\n\n' +
        '2026-11-22 02:30:00  Scale Out 1, confirmed\n  since it needs more\n',
    );
  });
});
