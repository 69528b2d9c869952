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

/**
 * What a login, a header, a token or the query of an address looks like. Such a text stands below
 * a key that is no secret if somebody has put it there by mistake.
 */
const SEEMS_SECRET: readonly RegExp[] = [
  /:[^\s:/@][^\s]*@/,
  /@[\w.-]+:(?![0-9]{1,5}$)\S/,
  /\?\S*=./,
  /![\w.-]+[=:]./,
  /(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|authori[sz]ation|bearer)s?["']?[:= ]+./i,
  /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i,
  /(?=[0-9]*[a-f])[0-9a-f]{32}/i,
  /^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[\w.+/=-]{16,}$/,
];

/** Longer texts are shown in part only, and a pattern may take long for them. */
const MAX_LOOKED_AT = 512;

/** A value for a message: a number as it is, a text in quotes, what may be a secret not at all. */
export function quoted(text: string): string {
  if (/^[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?$/.test(text)) return text;
  const head = text.slice(0, MAX_LOOKED_AT);
  return SEEMS_SECRET.some((form) => form.test(head)) ? THE_VALUE : `'${printable(text)}'`;
}

/** Stands for a value that is not shown. */
export const THE_VALUE = 'the value';
