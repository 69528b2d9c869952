import { describe, expect, it } from 'vitest';
import type { ProcessContext } from '../../src/app/context.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { type Column, fitted, hanging, plain, terminalWidth, viewOf } from '../../src/cli/view.ts';
import { textWidth } from '../../src/output/text-width.ts';

const COLUMNS: readonly Column[] = [
  { key: 'id', head: 'ID', rank: 0 },
  { key: 'need', head: 'NEED', rank: 3 },
  { key: 'waits', head: 'WAITS %', rank: 4 },
  { key: 'now', head: 'NOW', rank: 0 },
];
const ROWS = [
  ['101', '2, 1100', '0/0', 'would: cpu 6>1, mem 12288>656, and more that is said here'],
  ['102', '-', '-', 'in band'],
];

const at = (width: number | undefined, columns?: readonly string[]) =>
  fitted(COLUMNS, ROWS, { width, columns, paint: plain });

describe('a table', () => {
  it('has all columns and whole cells where nothing bounds it', () => {
    expect(at(undefined)[1]).toMatch(/^101 {2}2, 1100 {2}0\/0 {6}would: .* said here$/);
  });

  it.each([[20], [30], [40], [60], [80], [120]])('fits %d columns', (width) => {
    for (const line of at(width)) expect(line.length).toBeLessThanOrEqual(width);
    expect(at(width)[2]).toMatch(/^102 .*in band$/);
  });

  it('leaves out the columns that say least first', () => {
    expect(at(42)[0]).toBe('ID   NEED     NOW');
    expect(at(30)[0]).toBe('ID   NOW');
  });

  it('has the columns that are named, in their order', () => {
    expect(at(80, ['waits', 'id'])[1]).toBe('0/0      101');
  });
});

it('a serial console, which has no columns, has the width of a pipe', () => {
  const parsed = parseArguments(['status']);
  if (parsed.kind !== 'run') throw new Error(parsed.kind);
  const stdout = { isTTY: true, columns: 0 };
  const context = { stdout, env: {} } as unknown as ProcessContext;
  expect(viewOf(parsed.arguments, context).width).toBe(120);
  expect(terminalWidth(context)).toBeUndefined();
});

describe('a table of the largest numbers', () => {
  const columns: readonly Column[] = [
    { key: 'vmid', head: 'VMID', rank: 0 },
    { key: 'name', head: 'NAME', rank: 0, mayBeCut: true },
    { key: 'cpu', head: 'CPU', rank: 2 },
    { key: 'memory', head: 'MEMORY MB', rank: 1 },
    { key: 'change', head: 'LAST CHANGE', rank: 3 },
    { key: 'now', head: 'NOW', rank: 0 },
  ];
  const now = 'would: cpu 512>4, mem 1048576>204800';
  const most = ['999999999', '\u8cc7\u6599\u5eab\u4f3a\u670d\u5668', '511.2/512 100%'];
  const rows = [
    [...most, '1048001/1048576 100%', '22:41 mem 917504>1048576', now],
    ['101', 'web', '0.9/2 46%', '1023/2048 50%', '-', 'in band'],
  ];

  it.each([[60], [80], [120], [200]])('fits %d columns, with id, name and what is up', (width) => {
    const lines = fitted(columns, rows, { width, columns: undefined, paint: plain });
    for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(width);
    expect(lines[1]).toMatch(/^999999999 {2}\u8cc7\u6599.* {2}would: /);
    expect(lines[2]).toMatch(/ in band$/);
  });

  it('stands in columns whatever the width of a character', () => {
    const lines = fitted(columns, rows, { width: 200, columns: undefined, paint: plain });
    const upTo = (text: string, what: string): number => textWidth(text.split(what)[0] ?? '');
    expect(upTo(lines[1] ?? '', '511.2')).toBe(upTo(lines[2] ?? '', '0.9/2'));
  });
});

describe('sentences on a terminal', () => {
  const lines = [
    'Memory',
    '* need                391 MB: 327 MB in use at most, 64 MB of headroom',
    '  DECISION            hold',
    'It can give at most 14 cores a container, 51360 MB in all; 10 % of the CPUs are kept.',
  ];

  it.each([[30], [44], [60], [80]])('go on below their own beginning at %d', (width) => {
    const shown = hanging(lines, width);
    for (const line of shown) expect(line.length).toBeLessThanOrEqual(width);
    const words = (text: readonly string[]) => text.join(' ').split(/ +/);
    expect(words(shown)).toEqual(words(lines));
  });

  it('have their headings in a column of their own', () => {
    expect(hanging(lines, 44).slice(1, 4)).toEqual([
      '* need                391 MB: 327 MB in use',
      '                      at most, 64 MB of',
      '                      headroom',
    ]);
  });

  it('stay whole elsewhere', () => {
    expect(hanging(lines, undefined)).toEqual(lines);
  });
});

describe('a view', () => {
  function view(tty: object, env: Record<string, string>, ...argv: readonly string[]) {
    const parsed = parseArguments(['status', ...argv]);
    if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
    const context = { stdout: tty, env } as unknown as ProcessContext;
    const { width, paint } = viewOf(parsed.arguments, context);
    return { width, isPainted: paint('red', 'x') !== 'x' };
  }
  const terminal = { isTTY: true, columns: 77 };

  it.each([
    [terminal, {}, [], { width: 77, isPainted: true }],
    [terminal, {}, ['--wide'], { width: undefined, isPainted: true }],
    [terminal, { NO_COLOR: '1' }, [], { width: 77, isPainted: false }],
    [terminal, { NO_COLOR: '' }, [], { width: 77, isPainted: true }],
    [terminal, { TERM: 'dumb' }, [], { width: 77, isPainted: false }],
    [terminal, {}, ['--no-color'], { width: 77, isPainted: false }],
    [{}, {}, [], { width: 120, isPainted: false }],
  ] as const)('of %j with %j and %j', (tty, env, argv, expected) => {
    expect(view(tty, env, ...argv)).toEqual(expected);
  });
});
