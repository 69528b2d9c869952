import { printable } from './printable.ts';

/** Values and comments as lines of a YAML file that any parser reads back as they were. */

const PLAIN = /^[A-Za-z0-9_./][A-Za-z0-9_./+-]*$/;
const IN_SINGLE_QUOTES = /^[\x20-\x7e\u00a1-\u00ac\u00ae-\u05ff]*$/;

/** One value: plain where that is safe, in quotes elsewhere. */
export function yamlScalar(text: string): string {
  if (PLAIN.test(text) && !/^\.\.\.|^---/.test(text)) return text;
  if (IN_SINGLE_QUOTES.test(text)) return `'${text.replaceAll("'", "''")}'`;
  const escaped = text.replace(/["\\]|[^\x20-\x7e]/g, (unit) => {
    if (unit === '"' || unit === '\\') return `\\${unit}`;
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return `"${escaped}"`;
}

const MAX_COLUMNS = 100;

/** The lines of `key: value`; a list goes over several lines where one has no room for it. */
export function yamlLines(
  key: string,
  value: string | readonly string[],
  indent: string,
): string[] {
  if (typeof value === 'string') {
    return [`${indent}${key}:${value === '' ? '' : ` ${value}`}`];
  }
  const line = `${indent}${key}: [${value.join(', ')}]`;
  if (line.length <= MAX_COLUMNS) return [line];
  return [`${indent}${key}:`, ...value.map((item) => `${indent}  - ${item}`)];
}

const MAX_COMMENT_CHARS = 4000;

/** The two characters that have a glyph nowhere and are refused by YAML even in a comment. */
const fitForYaml = (text: string): string =>
  printable(text, MAX_COMMENT_CHARS).replace(/[\ufffe\uffff]/g, '?');

/** Text of any origin as comment lines, folded at blanks. */
export function commentLines(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = `${indent}#`;
  for (const word of fitForYaml(text.trim()).split(/ +/)) {
    if (line.length + 1 + word.length > MAX_COLUMNS && !line.endsWith('#')) {
      lines.push(line);
      line = `${indent}#`;
    }
    line += word === '' ? '' : ` ${word}`;
  }
  return [...lines, line];
}

/** A comment of another file as it was, but fit to be read. */
export const keptComment = (text: string, indent: string): string =>
  `${indent}#${fitForYaml(text.replaceAll('\t', '  ').trimEnd())}`;
