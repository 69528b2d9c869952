/**
 * Names of containers, and patterns on them: `*` is any text, also none, and `?` any one character.
 */

/**
 * Whether the pattern, in lower case, describes the whole name. Letter case does not count, as in
 * host names. Only the last `*` is ever tried anew, further to the right: what the ones before it
 * took was the least they could take, and to take more would leave less for the rest. So the steps
 * are at most pattern times name (both are 255 characters or less where they come from), whatever
 * an owner calls a container, and there is no recursion.
 */
export function matchesGlob(pattern: string, anyCase: string): boolean {
  const name = anyCase.toLowerCase();
  let at = 0;
  let place = 0;
  /** Behind the last `*`, and where the name goes on if that one takes one character more. */
  let afterStar: number | undefined;
  let retry = 0;
  while (place < name.length) {
    const wanted = pattern[at];
    if (wanted === '*') {
      at++;
      afterStar = at;
      retry = place;
    } else if (wanted !== undefined && (wanted === '?' || wanted === name[place])) {
      at++;
      place++;
    } else if (afterStar !== undefined) {
      at = afterStar;
      retry++;
      place = retry;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
