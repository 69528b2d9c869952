import { describe, expect, it } from 'vitest';
import { parseYaml } from '../../src/config/yaml.ts';
import { commentLines, keptComment, yamlLines, yamlScalar } from '../../src/config/yaml-text.ts';
import { fc } from '../fast-check.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom('', ' ', '---', '...', '- a', 'a: b', '#x', "it's", '"', '\\', '\t', 'a\nb'),
  fc.constantFrom('null', '~', '*a', '&a', '!t', '%', '@', '`', '{', '[', ']', '> x', '| x', '?'),
  fc.constantFrom('\u2028', '\ufeff', '\ufffe', '\u0085', '\u{1f600}', '\ud800', 'ß', '\u00a0'),
);

function readBack(lines: readonly string[]): unknown {
  const yaml = parseYaml(`${lines.join('\n')}\n`);
  if (!yaml.ok || yaml.root?.kind !== 'map') throw new Error(JSON.stringify(yaml));
  const [entry, more] = yaml.root.entries;
  expect(more).toBeUndefined();
  if (entry?.value.kind === 'list') {
    return entry.value.items.map((item) => (item.kind === 'text' ? item.text : item.kind));
  }
  return entry?.value.kind === 'text' ? entry.value.text : entry?.value.kind;
}

describe('values', () => {
  it.each([
    ['300', '300'],
    ['/var/log/a.log', '/var/log/a.log'],
    ['web-1', 'web-1'],
    ['tag:web', "'tag:web'"],
    ["it's", "'it''s'"],
    ['', "''"],
    ['a\nb', '"a\\u000ab"'],
    ['---', "'---'"],
  ])('%j is written %s', (text, written) => {
    expect(yamlScalar(text)).toBe(written);
  });

  it('are read back as they were, whatever they are', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(readBack(yamlLines('key', yamlScalar(text), '  '))).toBe(text);
      }),
    );
  });

  it('of a list too, also where it goes over several lines', () => {
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 30 }), (texts) => {
        expect(readBack(yamlLines('key', texts.map(yamlScalar), ''))).toEqual(texts);
      }),
    );
    expect(yamlLines('key', Array(30).fill('12345'), '')).toHaveLength(31);
  });

  it('that are none leave nothing behind the colon', () => {
    expect(yamlLines('key', '', '  ')).toEqual(['  key:']);
  });
});

describe('comments', () => {
  it('are folded at blanks', () => {
    const lines = commentLines('word '.repeat(60), '  ');
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) {
      expect(line.length).toBeLessThanOrEqual(100);
      expect(line).toMatch(/^ {2}# word/);
    }
  });

  it('never are anything else, whatever they say', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const lines = [...commentLines(text, ''), keptComment(text, ''), 'key: 1'];
        expect(lines.join('\n').split('\n')).toHaveLength(lines.length);
        expect(readBack(lines)).toBe('1');
      }),
    );
  });
});
