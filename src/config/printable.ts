/** Text of unknown origin, made fit for a terminal and a log line. */

/**
 * Control characters, line separators, lone surrogates, and the marks that reverse or hide text.
 * Any of them could break a line, drive a terminal or make a name look like another one.
 */
const UNFIT =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\p{Cs}/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

const escaped = (char: string): string => {
  const code = char.charCodeAt(0).toString(16);
  return SHORT[char] ?? (code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code}`);
};

/**
 * The text on one line: unfit characters as `\n` or `\x1b`, and no more than `maxChars` of it
 * (code points; longer text ends in `...`).
 */
export function printable(text: string, maxChars = 60): string {
  // Cut before escaping, so that a text of a megabyte costs no more than a short one.
  const head = [...text.slice(0, 2 * maxChars + 2)];
  const cut = head.length > maxChars || text.length > 2 * maxChars + 2;
  return head.slice(0, maxChars).join('').replace(UNFIT, escaped) + (cut ? '...' : '');
}

/** A key as it may be printed: `gotify_token:abc`, without its blank, would show the token. */
export const printableKey = (key: string): string => printable(key.replace(/[:=][\s\S]*$/, '...'));
