import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { EXIT, type ExitCode } from '../../src/app/exit-codes.ts';
import { onEndKeys } from '../../src/cli/end-keys.ts';
import { accountLines } from '../../src/cli/explain.ts';
import { statusLines, watch } from '../../src/cli/status.ts';
import { plain } from '../../src/cli/view.ts';
import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
import { present } from '../../src/core/reading.ts';
import { accountOf } from '../../src/core/report/account.ts';
import { statusReport } from '../../src/core/report/status.ts';
import { cores, mib, milliseconds } from '../../src/core/units.ts';
import { container, cpuUse, gone, guest, memoryUse, vmid } from '../core/builders.ts';
import { reportInput } from '../core/report/report.ts';
import { until } from '../patience.ts';

const VIEW = { width: 120, paint: plain, columns: undefined, isTerminal: false };

it('is a table of all containers, with the host above it', () => {
  const state = newLoopState();
  const containers = [
    container(guest(101, { name: 'web' }), { memory: present(memoryUse(1000)) }),
    container(guest(102, { lock: 'backup' }), { cpu: gone('no earlier sample') }),
    { vmid: vmid(103), config: gone('not there'), state: { kind: 'stopped' } } as const,
  ];
  const input = reportInput(containers, {}, { state });
  const text = 'memory 1024 -> 1536 MB, since it needs more';
  const wallMs = milliseconds(input.wallMs - 3_600_000);
  recordOf(state, vmid(101)).lastChange = { wallMs, text, status: 'rolled-back' };
  const dayBefore = milliseconds(input.wallMs - 86_400_000);
  recordOf(state, vmid(102)).lastChange = {
    wallMs: dayBefore,
    text: 'cores 2 -> 1 core',
    status: 'pending',
  };
  recordOf(state, vmid(101)).given = { cores: 4, cpuLimit: null, memoryMib: mib(4096) };
  const [head, allocated, budget, blank, ...rows] = statusLines(statusReport(input), VIEW);
  expect([head, allocated, budget, blank]).toEqual([
    'Cycle 7 at 2026-11-21 22:04:45. Host: 16 CPUs; 32768 of 65536 MB free.',
    'Allocated: 4 of 16 CPUs (25 %), 2048 of 65536 MB (3 %); ' +
      'against what was given: -2 cores, -3 GB.',
    'It can give at most 14 cores a container, 8192 MB in all; ' +
      '10 % of the CPUs and 2048 MB are kept.',
    '',
  ]);
  expect(rows.map((row) => row.split(/ {2,}/))).toEqual([
    ['VMID', 'NAME', 'POLICY', 'CPU', 'MEMORY MB', 'NEED', 'WAITS %', 'LAST CHANGE', 'NOW'],
    [
      '101',
      'web',
      'DEFAULT',
      '1/2 50%',
      '1000/1024 98%',
      '2, 1100',
      '0/0',
      '21:04 mem 1024>1536 rolled-back',
      'mem more',
    ],
    [
      '102',
      'guest-102',
      'DEFAULT',
      '-/2',
      '512/1024 50%',
      '-',
      '-/0',
      '11-20 cpu 2>1',
      'locked (backup)',
    ],
    ['103', 'CT103', '-', '-/-', '-/-', '-', '-', '-', 'unreadable'],
  ]);
  expect(new Set(rows.slice(0, 3).map((row) => row.search(/NOW|mem more|locked/))).size).toBe(1);
});

it('has a column for OOM kills, with the time of the last one', () => {
  const state = newLoopState();
  const containers = [101, 102, 103].map((id) => container(guest(id)));
  const input = reportInput(containers, {}, { state });
  const none = { kills: 0, nested: 0, byHost: 0, limitHits: 9, killedWallMs: undefined };
  const killedWallMs = milliseconds(input.wallMs - 3_600_000);
  recordOf(state, vmid(102)).shortages = none;
  recordOf(state, vmid(103)).shortages = { ...none, kills: 1, nested: 2, byHost: 3, killedWallMs };
  const report = statusReport(input);
  const lines = statusLines(report, { ...VIEW, columns: ['vmid', 'oom'] });
  expect(lines.slice(-4).map((line) => line.split(/ {2,}/))).toEqual([
    ['VMID', 'OOM'],
    ['101', '-'],
    ['102', '0'],
    ['103', '6, 21:04'],
  ]);
  expect(report.containers[2]?.shortages).toEqual({
    oomKills: 6,
    limitHits: 9,
    lastKillTime: '2026-11-21 21:04:45',
    lastKillAt: new Date(killedWallMs).toISOString(),
  });
});

it('has null for what nobody tells of a virtual machine', () => {
  const state = newLoopState();
  recordOf(state, vmid(200)).shortages = {
    kills: 1,
    nested: 1,
    byHost: undefined,
    limitHits: undefined,
    killedWallMs: undefined,
  };
  const machines = [container(guest(200, { kind: 'qemu' }))];
  const [row] = statusReport(reportInput(machines, {}, { state })).containers;
  expect(row?.shortages).toMatchObject({ oomKills: 2, limitHits: null });
});

describe('status --watch', () => {
  const watching = (once: () => Promise<ExitCode>) => {
    const [signals, stdout] = [new EventEmitter(), new PassThrough()];
    const raw: boolean[] = [];
    const terminal = { isTTY: true, setRawMode: (mode: boolean) => raw.push(mode) };
    const stdin = Object.assign(new PassThrough(), terminal);
    const context = { signals, stdin: stdin as never, stdout };
    return { signals, stdin, stdout, raw, ended: watch(once, context, true) };
  };

  it('ends by q too, and gives the terminal back', async () => {
    const { stdin, raw, ended } = watching(async () => EXIT.fine);
    stdin.write('j');
    stdin.write('q');
    expect(await ended).toBe(EXIT.fine);
    expect(raw).toEqual([true, false]);
  });

  it('stops by Ctrl-Z with the terminal as it was, and takes it when it goes on', async () => {
    const raw: boolean[] = [];
    const terminal = { isTTY: true, setRawMode: (mode: boolean) => raw.push(mode) };
    const stdin = Object.assign(new PassThrough(), terminal);
    const shell = new EventEmitter();
    const stops: boolean[][] = [];
    const letGo = onEndKeys(stdin as never, () => {}, {
      on: (goesOn) => void shell.on('SIGCONT', goesOn),
      off: (goesOn) => void shell.off('SIGCONT', goesOn),
      stop: () => void stops.push([...raw]),
    });
    stdin.write('\u001a');
    await until(() => stops.length === 1);
    expect(stops).toEqual([[true, false]]);
    shell.emit('SIGCONT');
    letGo();
    expect(raw).toEqual([true, false, true, false]);
    expect(shell.listenerCount('SIGCONT')).toBe(0);
  });

  it('gives the terminal back if the table cannot be shown', async () => {
    const { raw, ended } = watching(async () => {
      throw new Error('no table');
    });
    await expect(ended).rejects.toThrow('no table');
    expect(raw).toEqual([true, false]);
  });

  it('ends at once by Ctrl-C, with the exit code of the last table', async () => {
    let shown = 0;
    const { signals, stdout, ended } = watching(async () => {
      shown += 1;
      return EXIT.failure;
    });
    await until(() => shown === 1);
    signals.emit('SIGINT');
    expect(await ended).toBe(EXIT.failure);
    expect(shown).toBe(1);
    expect(`${stdout.read()}`).toBe('\u001b[H\u001b[J');
  });

  it('also while it waits for an answer, and where nobody reads any more', async () => {
    const never = () => new Promise<ExitCode>(() => {});
    const asking = watching(never);
    asking.signals.emit('SIGTERM');
    expect(await asking.ended).toBe(EXIT.fine);
    const unread = watching(never);
    unread.stdout.destroy(new Error('EPIPE'));
    expect(await unread.ended).toBe(EXIT.fine);
  });
});

it('says where there is none', () => {
  const lines = statusLines(statusReport(reportInput([], { from: 'now' })), VIEW);
  expect(lines[0]).toMatch(/^As of 2026-11-21 22:04:45\. Host/);
  expect(lines.at(-1)).toBe('There are no containers on this node.');
});

it.each([80, 120, 200])('fits %d columns, whatever the names and numbers', (width) => {
  const evil = '\u001b[31m\u202e'.repeat(40);
  const containers = [999_999_991, 999_999_992].map((id) =>
    container(
      guest(id, { name: evil, cores: 1000, memoryMib: mib(16_777_216), lock: evil.slice(0, 9) }),
      { cpu: present(cpuUse(cores(999.99), 1000)), memory: present(memoryUse(16_000_000)) },
    ),
  );
  const input = reportInput(containers, { dryRun: true });
  const lines = statusLines(statusReport(input), { ...VIEW, width });
  expect(lines.filter((line) => line.startsWith('99999999'))).toHaveLength(2);
  for (const line of lines) {
    expect([...line].length).toBeLessThanOrEqual(width);
    expect(line).not.toMatch(/[\x00-\x1f\u202e]/);
  }
  const account = accountOf(input, vmid(999_999_991));
  if (account === undefined) throw new Error('no account');
  expect(accountLines(account).join('')).not.toMatch(/[\x00-\x1f\u202e]/);
});

it('an account has its chapters in order, and marks the guards that are in force', () => {
  const one = container(guest(101), { memory: present(memoryUse(1000)) });
  const account = accountOf(reportInput([one]), vmid(101));
  if (account === undefined) throw new Error('no account');
  const lines = accountLines(account);
  expect(lines.filter((line) => /^[A-Z]/.test(line))).toEqual([
    'Container 101 (guest-101), cycle 7 at 2026-11-21 22:04:45. ' + 'A * marks an active guard.',
    'Policy',
    'Seen',
    'The container as a whole',
    'CPU',
    'Memory',
    'What came of it',
  ]);
  expect(lines).toContainEqual(
    expect.stringMatching(/^ {2}DECISION +grow: 1024 -> 1536 MB, since it uses 1000 of its/),
  );
  expect(lines).toContainEqual(expect.stringMatching(/^\* observations for growth +0 of 1$/));
});

it('says how the node is reached, and why not as it should be', () => {
  const containers = [container(guest(101))];
  const state = newLoopState();
  expect(
    statusLines(statusReport(reportInput(containers, {}, { state })), VIEW).join(),
  ).not.toContain('reached');
  state.connection = { by: 'ssh', why: 'no answer within 10 s' };
  const input = reportInput(containers, {}, { state });
  const words = 'reached by SSH, since by the API: no answer within 10 s';
  expect(statusLines(statusReport(input), VIEW)).toContain(`The node is ${words}.`);
  const account = accountOf(input, vmid(101));
  if (account === undefined) throw new Error('there is no account');
  expect(accountLines(account).join('\n')).toMatch(new RegExp(`node +${words}`));
  const summary = { node: 'lab', cycle: 3, guests: 2, paused: null };
  const report = { ...statusReport(input), node: 'pve1' };
  const { connection } = report;
  if (connection === undefined) throw new Error('it is not told');
  const lines = statusLines({ ...report, others: [{ ...summary, connection }] }, VIEW);
  expect(lines.join(' ')).toContain('lab (2 guests, cycle 3; by SSH, since by the API: no answer');
});
