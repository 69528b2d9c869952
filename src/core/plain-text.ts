const DEFAULT_MAX_LENGTH = 8192;

/**
 * Control (Cc: C0, DEL, C1), format (Cf: bidi controls, zero-width characters, tags), lone
 * surrogates (Cs), line and paragraph separators (Zl, Zp): all that moves a cursor, breaks a line,
 * reorders what a person reads, or is not seen at all; of the plane of tags (U+E0000) everything.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u{e0000}-\u{e0fff}]/gu;

const SHORT_FORMS: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function visible(character: string): string {
  const short = SHORT_FORMS[character];
  if (short !== undefined) return short;
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code <= 0xff) return `\\x${hex.padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
}

function cut(text: string, maxLength: number): string {
  const longestMark = mark(text.length).length;
  if (maxLength < longestMark) return mark(text.length).slice(0, maxLength);
  let kept = '';
  let consumed = 0;
  for (const character of text) {
    const shown = visibleText(character);
    if (kept.length + shown.length > maxLength - longestMark) break;
    kept += shown;
    consumed += character.length;
  }
  return kept + mark(text.length - consumed);
}

const mark = (leftOut: number): string => ` ... [${leftOut} more characters]`;

/** What has no glyph made visible, whatever the length. */
export const visibleText = (text: string): string => text.replace(UNSAFE, visible);

/**
 * A line of JSON made fit for a terminal: to a parser it says the same. What JSON.stringify leaves
 * as it is, and what others write between the values, could steer a terminal or end the line.
 */
export const plainJson = (json: string): string =>
  json.replace(/[\t\r]/g, ' ').replace(UNSAFE, escapedUnits);

function escapedUnits(character: string): string {
  let units = '';
  for (let index = 0; index < character.length; index += 1) {
    units += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }
  return units;
}

/**
 * Makes text of others (names, error messages, configuration values) fit to stand in one line of
 * a log or of a terminal: what has no glyph becomes visible (`\n`, `\x1b`, `\u202e`), and a text
 * longer than `maxLength` is cut with a mark that says how much is left out. The result never has
 * more than `maxLength` UTF-16 units, never breaks a character, and is left as it is when it is
 * passed through again. A backslash is kept as it is: this is for reading, not for parsing back.
 */
export function plainText(text: string, maxLength: number = DEFAULT_MAX_LENGTH): string {
  // A text that is too long before it is escaped is not escaped as a whole: it may be huge.
  if (text.length > maxLength) return cut(text, maxLength);
  const shown = visibleText(text);
  return shown.length > maxLength ? cut(text, maxLength) : shown;
}

export const asSentence = (text: string): string =>
  `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
