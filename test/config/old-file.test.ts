import { describe, expect, it } from 'vitest';
import type { OldFile } from '../../src/config/old-file.ts';
import { parseOldFile } from '../../src/config/old-file.ts';

function read(text: string): OldFile {
  const result = parseOldFile(text);
  if (!result.ok) throw new Error(result.message);
  return result.file;
}

/** Sections as `name`, keys as `line key value`. */
const shown = ({ sections }: OldFile) =>
  sections.flatMap(({ name, entries }) => [
    name,
    ...entries.map(({ key, line, value }) => {
      const text = value.kind === 'text' ? value.text : value.kind;
      return `${line} ${key} ${text}`;
    }),
  ]);

describe('an INI file', () => {
  it('is known by its first line that is no comment', () => {
    expect(read('# a\n\n ; b\n[DEFAULT]\na = 1\n').form).toBe('INI');
    expect(read('# [DEFAULT]\nDEFAULT:\n  a: 1\n').form).toBe('YAML');
  });

  it('has sections, keys in small letters, values without blanks around them', () => {
    const file = read('\ufeff[DEFAULT]\r\nPoll_Interval=300   \r\nb : x = y \r\nc =\r\n[T]\r\n');
    expect(shown(file)).toEqual(['DEFAULT', '2 poll_interval 300', '3 b x = y', '4 c null', 'T']);
  });

  it('keeps comments apart, also those behind a value', () => {
    const file = read('[A]\n# one\na = 1  # two\nb =   ; three\nc = x#y\n; four\n');
    expect(shown(file)).toEqual(['A', '3 a 1', '4 b null', '5 c x#y']);
    expect([...file.comments]).toEqual([
      [2, ' one'],
      [6, ' four'],
    ]);
    expect([...file.asides]).toEqual([
      [3, ' two'],
      [4, ' three'],
    ]);
  });

  it('goes on in lines that are indented further, as a list does', () => {
    const file = read('[A]\nnodes =\n  100,\n  101\n  a = 2\n');
    expect(shown(file)).toEqual(['A', '2 nodes 100,101', '5 a 2']);
  });

  it('tells the lines that it makes nothing of, and keys of no section', () => {
    const file = read('[A]\nsome words\n  more\n');
    expect(file.unread.map(({ line }) => line)).toEqual([2, 3]);
    const early = read('# no\n[B]\n');
    expect(early.loose).toEqual([]);
  });
});

describe('a YAML file', () => {
  it('has sections, keys and values with their lines', () => {
    const file = read('DEFAULT:\n  a: 1\n  b:\nTIER_1: {c: x}\nEMPTY:\nloose: 5\n');
    expect(shown(file)).toEqual(['DEFAULT', '2 a 1', '3 b null', 'TIER_1', '4 c x', 'EMPTY']);
    expect(file.loose.map(({ key }) => key)).toEqual(['loose']);
  });

  it('fills merged sections in, nearer keys first', () => {
    const file = read('A: &a\n  x: 1\n  y: 2\nB:\n  <<: *a\n  x: 3\n');
    expect(shown(file).slice(3)).toEqual(['B', '6 x 3', '3 y 2']);
  });

  it('keeps comments, with the item of a list that they stand behind', () => {
    const file = read(
      '# top\nA:\n  a: 1 # aside\n  l:\n    - "104"  # the database\n  q: "x # y"\n',
    );
    expect([...file.comments]).toEqual([[1, ' top']]);
    expect([...file.asides]).toEqual([
      [3, ' aside'],
      [5, ' 104: the database'],
    ]);
  });

  it.each([
    ['- a\n', 1, /holds a list and no sections/],
    ['A:\n  a: 1\n  - x\n', 3, /./],
    ['A: "x\n', 1, /never closed/],
  ])('says what is wrong with %j', (text, line, message) => {
    const result = parseOldFile(text);
    expect(result).toMatchObject({ ok: false, line });
    if (!result.ok) expect(result.message).toMatch(message);
  });

  it('is not filled without end by labels that repeat each other', () => {
    const many = (name: string, of: string) => `${name}: &${name}\n${`  <<: *${of}\n`.repeat(20)}`;
    const more = [many('b', 'a'), many('c', 'b'), many('d', 'c'), many('e', 'd')];
    const text = `a: &a\n  x: 1\n${more.join('')}`;
    expect(read(text).sections.at(-1)?.entries).toHaveLength(1);
  });
});
