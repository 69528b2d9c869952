import { visibleText } from '../core/plain-text.ts';

/** Text of unknown origin, made fit for a terminal and a log line. */

/**
 * The text on one line: unfit characters as `\n` or `\x1b`, and no more than `maxChars` of it
 * (code points; longer text ends in `...`).
 */
export function printable(text: string, maxChars = 60): string {
  // Cut before escaping, so that a text of a megabyte costs no more than a short one.
  const head = [...text.slice(0, 2 * maxChars + 2)];
  const cut = head.length > maxChars || text.length > 2 * maxChars + 2;
  return visibleText(head.slice(0, maxChars).join('')) + (cut ? '...' : '');
}

/** A key as it may be printed: `gotify_token:abc`, without its blank, would show the token. */
export const printableKey = (key: string): string => printable(key.replace(/[:=][\s\S]*$/, '...'));
