/** How many columns of a terminal a text takes. */

const WIDE_SCRIPTS = ['Han', 'Hangul', 'Hiragana', 'Katakana', 'Bopomofo', 'Yi'];
const OTHER_WIDE = '\\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6';
/** Of two columns: East Asian wide and full-width ones, and emoji. Source: UAX #11. */
const WIDE = new RegExp(
  `[${WIDE_SCRIPTS.map((script) => `\\p{Script=${script}}`).join('')}${OTHER_WIDE}]`,
  'u',
);
/** These belong to the scripts above and have one column. */
const HALF = /[\uff61-\uffdc]/;
/** Drawn over the character before, or not at all; a soft hyphen is drawn. */
const NONE = /(?!\u00ad)[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff]/u;

function columnsOf(character: string): 0 | 1 | 2 {
  if (character >= ' ' && character <= '~') return 1;
  if (NONE.test(character)) return 0;
  return WIDE.test(character) && !HALF.test(character) ? 2 : 1;
}

export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += columnsOf(character);
  return width;
}

export const padTo = (text: string, width: number): string =>
  text + ' '.repeat(Math.max(0, width - textWidth(text)));

const CUT = '...';

/** The text in at most so many columns; dots say that it was cut. undefined: nothing bounds it. */
export function clip(text: string, width: number | undefined): string {
  if (width === undefined || textWidth(text) <= width) return text;
  const dots = CUT.slice(0, Math.max(0, width));
  let kept = '';
  let left = width - dots.length;
  for (const character of text) {
    left -= columnsOf(character);
    if (left < 0) break;
    kept += character;
  }
  return kept + dots;
}
