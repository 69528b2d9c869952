import type { Severity } from '../core/notify/event.ts';
import type { Letter } from './channel.ts';

/** A letter as a mail of plain text. Source: RFC 5322, RFC 2045, RFC 2047, RFC 3834. */

export interface Envelope {
  readonly from: string;
  readonly to: readonly string[];
  /** Different for each mail. */
  readonly id: string;
}

/** So many bytes of UTF-8 in an encoded word that its line stays below 76 characters. */
const MAX_WORD_BYTES = 36;
const BASE64_LINE = /.{1,76}/g;

export function mailText(letter: Letter, { from, to, id }: Envelope): string {
  const { title, text, atMs, severity } = letter;
  const lines = [
    `From: ${from}`,
    `To: ${to.join(', ')}`,
    `Subject: ${encodedWords(title)}`,
    `Date: ${new Date(atMs).toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${id}>`,
    // Keeps holiday notices from answering.
    'Auto-Submitted: auto-generated',
    ...priority(severity),
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64',
    '',
    ...(Buffer.from(`${text.replace(/\n/g, '\r\n')}\r\n`)
      .toString('base64')
      .match(BASE64_LINE) ?? []),
  ];
  return `${lines.join('\r\n')}\r\n`;
}

const priority = (severity: Severity): readonly string[] =>
  severity === 'error' ? ['Importance: high', 'X-Priority: 2'] : [];

/** A header in ASCII stays readable; another, or a long one, is cut into encoded words. */
function encodedWords(text: string): string {
  if (/^[ -~]{0,60}$/.test(text) && !text.includes('=?')) return text;
  const words: string[] = [];
  let word = '';
  for (const character of text) {
    if (Buffer.byteLength(word + character) > MAX_WORD_BYTES) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  words.push(word);
  const encoded = words.map((one) => `=?utf-8?B?${Buffer.from(one).toString('base64')}?=`);
  return encoded.join('\r\n ');
}
