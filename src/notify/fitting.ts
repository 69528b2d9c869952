import type { Channel, Delivery, Letter } from './channel.ts';

/** Letters made short enough for the server that takes them, rather than refused as a whole. */

/**
 * What is tried where a server finds fault with a longer letter, in UTF-16 units, which are never
 * fewer than the characters that a server may count instead.
 */
const SHORTER = [4000, 1900, 900, 400];

/**
 * Sends a letter in a form of no more than the known limit. Where the server refuses it all the
 * same, shorter ones are tried at once, and the size that went is kept for the next letter.
 *
 * @param known the most that the server takes, in what `sizeOf` counts; Infinity: not known
 * @param sizeOf the size of a letter as the server counts it
 */
export function fitting(
  known: number,
  sizeOf: (letter: Letter) => number,
  post: Channel['send'],
): Channel['send'] {
  let limit = known;
  return async (letter, stop) => {
    let refused: Delivery | undefined;
    let lastText: string | undefined;
    for (const most of [limit, ...SHORTER.filter((size) => size < limit)]) {
      const short = shortened(letter, (one) => sizeOf(one) <= most);
      if (short.text === lastText) continue;
      lastText = short.text;
      const delivery = await post(short, stop);
      if (delivery.ok && refused !== undefined) limit = most;
      if (delivery.ok || delivery.fault !== 'message') return delivery;
      refused ??= delivery;
    }
    return refused ?? { ok: false, said: 'there is nothing to send', fault: 'message' };
  };
}

/**
 * The letter with as many of its first lines as fit, and what is left out counted. Where not even
 * the first line fits, a part of it.
 */
export function shortened(letter: Letter, fits: (letter: Letter) => boolean): Letter {
  if (fits(letter)) return letter;
  const lines = letter.text.split('\n');
  for (let kept = lines.length - 1; kept > 0; kept--) {
    const left = lines.length - kept;
    const more = `... and ${left} more ${left === 1 ? 'line' : 'lines'}; see the log`;
    const short = { ...letter, text: [...lines.slice(0, kept), more].join('\n') };
    if (fits(short)) return short;
  }
  const characters = [...(lines[0] ?? '')];
  let [fitted, tooMany] = [0, characters.length + 1];
  const cut = (count: number): Letter => ({
    ...letter,
    text: `${characters.slice(0, count).join('')} ...`,
  });
  while (tooMany - fitted > 1) {
    const middle = Math.floor((fitted + tooMany) / 2);
    if (fits(cut(middle))) fitted = middle;
    else tooMany = middle;
  }
  return cut(fitted);
}
