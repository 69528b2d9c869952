import { describe, expect, it } from 'vitest';
import type { YamlNode } from '../../src/config/yaml.ts';
import { parseYaml } from '../../src/config/yaml.ts';
import { fc } from '../fast-check.ts';

/** A file is written in many styles at random, while it is noted where each thing went. */

type Flat = readonly string[];

/** `path = value (line)` for every key, text and empty value of the tree. */
function flatten(node: YamlNode, path: string): string[] {
  switch (node.kind) {
    case 'text':
      return [`${path} = ${JSON.stringify(node.text)}`];
    case 'null':
      return [`${path} = nothing`];
    case 'list':
      return node.items.flatMap((item, index) => [
        `${path}[${index}] in ${item.line}`,
        ...flatten(item, `${path}[${index}]`),
      ]);
    case 'map':
      return node.entries.flatMap(({ key, line, value }) => [
        `${path}.${key} in ${line}`,
        ...flatten(value, `${path}.${key}`),
      ]);
  }
}

class Writer {
  readonly lines: string[] = [];
  readonly expected: string[] = [];
  /** Writes a line and returns its number. */
  line(text: string): number {
    this.lines.push(text);
    return this.lines.length;
  }
  expect(path: string, line: number, value?: string): void {
    this.expected.push(`${path} in ${line}`);
    if (value !== undefined) this.expected.push(`${path} = ${value}`);
  }
}

interface Entry {
  readonly style: number;
  readonly gap: number;
  readonly quotes: string;
  readonly values: readonly string[];
}

const value = fc.constantFrom('80', 'True', '0100', 'web', 'a b', '1.5', '/var/x', '$', '10-20');
const entry: fc.Arbitrary<Entry> = fc.record({
  style: fc.nat(8),
  gap: fc.nat(2),
  quotes: fc.constantFrom('', '"', "'"),
  values: fc.array(value, { minLength: 1, maxLength: 3 }),
});

type Style = 'block' | 'flow';

/** Blank lines and comments, which move everything below them. */
function writeGap(out: Writer, count: number): void {
  for (let n = 0; n < count; n++) out.line(n % 2 === 0 ? '   # key: [no' : '');
}

function writeList(out: Writer, path: string, values: readonly string[], style: Style): void {
  for (const [index, item] of values.entries()) {
    const line =
      style === 'block'
        ? out.line(`    -  ${item}  # - x`)
        : out.line(`      "${item}"${index === values.length - 1 ? ' ]' : ','}`);
    out.expect(`${path}[${index}]`, line, JSON.stringify(item));
  }
}

function writeEntry(out: Writer, path: string, name: string, made: Entry): void {
  const { quotes, values } = made;
  const [first = ''] = values;
  const key = `  ${quotes}${name}${quotes}`;
  writeGap(out, made.gap);
  const write = (text: string, held?: string) => out.expect(path, out.line(text), held);
  switch (made.style) {
    case 0:
      write(`${key}: ${first}`, JSON.stringify(first));
      break;
    case 1:
      write(`${key}:   '${first}' # c`, JSON.stringify(first));
      break;
    case 2:
      write(`${key}:`, 'nothing');
      break;
    case 3:
      write(`${key}: |`, JSON.stringify(`${values.join('\n')}\n`));
      for (const text of values) out.line(`    ${text}`);
      break;
    case 4:
      write(`${key}:`, JSON.stringify(first));
      out.line(`      ${first}`);
      break;
    case 5:
      write(`${key}: [`);
      writeList(out, path, values, 'flow');
      break;
    case 6:
      write(`${key}: &label_${name}`);
      writeList(out, path, values, 'block');
      break;
    case 7:
      write(`${key}:`);
      writeList(out, path, values, 'block');
      break;
    default:
      write(`${key}: [${values.join(', ')}]`);
      for (const [index, item] of values.entries()) {
        out.expect(`${path}[${index}]`, out.lines.length, JSON.stringify(item));
      }
  }
}

const file = fc.record({
  sections: fc.array(fc.array(entry, { minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 4,
  }),
  gap: fc.nat(3),
  mark: fc.boolean(),
  end: fc.constantFrom('\n', '\r\n'),
});

function written(made: typeof file extends fc.Arbitrary<infer T> ? T : never): [string, Flat] {
  const out = new Writer();
  if (made.mark) out.line('---');
  for (const [index, entries] of made.sections.entries()) {
    writeGap(out, made.gap);
    out.expect(`.S${index}`, out.line(`S${index}: # x: y`));
    for (const [at, one] of entries.entries()) writeEntry(out, `.S${index}.k${at}`, `k${at}`, one);
  }
  return [out.lines.join(made.end) + made.end, out.expected];
}

const parsed = (text: string): Flat => {
  const result = parseYaml(text);
  if (!result.ok) return [`line ${result.line}: ${result.message}`];
  return result.root === undefined ? [] : flatten(result.root, '');
};

describe('parseYaml', () => {
  it('finds every value, and the line of every key and item', () => {
    fc.assert(
      fc.property(file, (made) => {
        const [text, expected] = written(made);
        expect(parsed(text)).toEqual(expected);
      }),
      { numRuns: 400 },
    );
  });

  it('keeps keys that stand twice, both with their lines', () => {
    expect(parsed('a: 1\nb: 2\na: 3\n')).toEqual([
      '.a in 1',
      '.a = "1"',
      '.b in 2',
      '.b = "2"',
      '.a in 3',
      '.a = "3"',
    ]);
  });

  it('reads an alias as what it stands for', () => {
    expect(parsed('a: &x\n  - 1\nb: *x\nc: &y t\nd: *y\n')).toEqual([
      '.a in 1',
      '.a[0] in 2',
      '.a[0] = "1"',
      '.b in 3',
      '.b[0] in 2',
      '.b[0] = "1"',
      '.c in 4',
      '.c = "t"',
      '.d in 5',
      '.d = "t"',
    ]);
  });

  it('knows flow style over several lines, and items that are empty', () => {
    expect(parsed('a: {b: 1,\n\n  "c": [x,\n y]}\nd:\n-\n- z\n')).toEqual([
      '.a in 1',
      '.a.b in 1',
      '.a.b = "1"',
      '.a.c in 3',
      '.a.c[0] in 3',
      '.a.c[0] = "x"',
      '.a.c[1] in 4',
      '.a.c[1] = "y"',
      '.d in 5',
      '.d[0] in 5',
      '.d[0] = nothing',
      '.d[1] in 7',
      '.d[1] = "z"',
    ]);
  });

  it.each([
    ['{a}', 'a key without value'],
    ['[a: 1]', 'a pair in a list'],
    ['a: &x [1, *x]', 'a list that holds itself'],
    ['? [a, b]\n: 1', 'a list as key'],
    ['~: 1\n"": 2\n: 3', 'an empty key'],
  ])('%j (%s) is refused or read, never misread', (text) => {
    const [first] = parsed(text);
    expect(first).toMatch(/^line [0-9]+: this |^\.~ in 1/);
  });

  it.each([
    '[DEFAULT]\npoll_interval = 300\n',
    '# by hand\r\n\r\n[A]\r\n; of all\r\nmin_cores=1\r\n',
  ])('knows an INI file, and says how to convert it: %j', (text) => {
    const [first] = parsed(text);
    expect(first).toMatch(/this looks like the INI file .*migrate-config FILE --out/);
  });

  it('is total', () => {
    const piece = fc.constantFrom(
      ...['a', 'b', ': ', ':', '\n', '\n  ', '\n    ', '- ', '-', '[', ']', '{', '}', ', ', '&x '],
      ...['*x', '!t ', '!!str ', '|', '>', '"', "'", '#', '? ', '<<', '---\n', '...\n', '%', '\t'],
      ...['~', '${', '\\', '\r\n', '\u2028', '0100'],
    );
    const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(text, (made) => {
        const result = parseYaml(made);
        if (!result.ok) expect(result.message).toMatch(/^\S.*[^.]$/);
      }),
      { numRuns: 2000 },
    );
  });
});
