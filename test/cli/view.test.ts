import { describe, expect, it } from 'vitest';
import type { ProcessContext } from '../../src/app/context.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { type Column, fitted, plain, viewOf } from '../../src/cli/view.ts';

const COLUMNS: readonly Column[] = [
  { key: 'id', head: 'ID', rank: 0 },
  { key: 'need', head: 'NEED', rank: 1 },
  { key: 'waits', head: 'WAITS %', rank: 2 },
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
