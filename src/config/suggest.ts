/** "Did you mean": the word out of a few that a misspelt one most likely stood for. */

const MAX_WORD_CHARS = 64;

/** Edits (insert, delete, replace, swap neighbours) that turn one word into the other. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1] ? 0 : 1;
      let least = Math.min(
        (above[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + same,
      );
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped && row > 1 && column > 1) least = Math.min(least, (before[column - 2] ?? 0) + 1);
      current.push(least);
    }
    before = above;
    above = current;
  }
  return above[b.length] ?? 0;
}

const allowedEdits = (word: string): number => (word.length <= 4 ? 1 : word.length <= 9 ? 2 : 3);

/** The candidate nearest to the word, or undefined if none is near enough to be meant. */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > MAX_WORD_CHARS) return undefined;
  const plain = (text: string) => text.toLowerCase().replaceAll('-', '_');
  let best: string | undefined;
  let fewest = allowedEdits(word) + 1;
  for (const candidate of candidates) {
    const edits = editDistance(plain(word), plain(candidate));
    if (edits < fewest) [best, fewest] = [candidate, edits];
  }
  return best;
}

/** What is said of a word that is none of a few: what was likely meant, or all that there are. */
export function unknownWord(
  what: string,
  word: string,
  known: readonly string[],
  ifNone = '',
): string {
  const near = closest(word, known);
  if (near !== undefined) return `unknown ${what} '${word}'. Did you mean '${near}'?`;
  const names = known.length === 0 ? ifNone : `, known are ${known.join(', ')}`;
  return `unknown ${what} '${word}'${names}`;
}
