/** What is different between two texts, line by line, as `diff -u` without its heads. */

const AROUND = 1;

/** The lines that are taken out (`-`) or put in (`+`), each with a line around it. */
export function lineDiff(before: string, after: string): readonly string[] {
  const marked = markedLines(before.split('\n'), after.split('\n'));
  const isNear = (index: number): boolean =>
    marked.slice(Math.max(0, index - AROUND), index + AROUND + 1).some((one) => one[0] !== ' ');
  return marked.flatMap((line, index) => {
    if (isNear(index)) return [line];
    return isNear(index - 1) && marked.slice(index).some((one) => one[0] !== ' ') ? ['...'] : [];
  });
}

/** What both begin and end with is the same; only what is between has to be weighed. */
function markedLines(before: readonly string[], after: readonly string[]): readonly string[] {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < most - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const same = (line: string): string => `  ${line}`;
  return [
    ...before.slice(0, head).map(same),
    ...weighed(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...before.slice(before.length - tail).map(same),
  ];
}

/** By the longest common subsequence, in a table of all pairs of lines. */
function weighed(before: readonly string[], after: readonly string[]): readonly string[] {
  const width = after.length + 1;
  const longest = new Uint32Array((before.length + 1) * width);
  const at = (row: number, column: number): number => longest[row * width + column] ?? 0;
  for (let row = before.length - 1; row >= 0; row--) {
    for (let column = after.length - 1; column >= 0; column--) {
      longest[row * width + column] =
        before[row] === after[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const marked: string[] = [];
  let [row, column] = [0, 0];
  while (row < before.length || column < after.length) {
    const isSame = row < before.length && before[row] === after[column];
    if (isSame) marked.push(`  ${before[row]}`);
    else if (row < before.length && at(row + 1, column) >= at(row, column + 1)) {
      marked.push(`- ${before[row]}`);
    } else marked.push(`+ ${after[column]}`);
    const last = marked.at(-1)?.[0];
    if (last !== '+') row += 1;
    if (last !== '-') column += 1;
  }
  return marked;
}
