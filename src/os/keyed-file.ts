import { wholeNumber } from './byte-numbers.ts';

const NEWLINE = 0x0a;
const SPACE = 0x20;

/**
 * Finds a few wanted keys in a kernel file of `key value` lines ("flat keyed"), byte by byte: such
 * a file has sixty lines and is read for every container in every cycle. One object per kind of
 * file; it keeps the values of its last scan.
 */
export class KeyedFile {
  readonly #keys: readonly Uint8Array[];
  readonly #values: Float64Array;

  constructor(keys: readonly string[]) {
    this.#keys = keys.map((key) => Buffer.from(key));
    this.#values = new Float64Array(keys.length);
  }

  /** Returns false where a line is not `key value` or is cut off. Stops at the last wanted key. */
  scan(bytes: Uint8Array, length: number): boolean {
    this.#values.fill(-1);
    let left = this.#keys.length;
    for (let at = 0; at < length && left > 0; ) {
      let space = at;
      while (space < length && bytes[space] !== SPACE && bytes[space] !== NEWLINE) space++;
      let end = space;
      while (end < length && bytes[end] !== NEWLINE) end++;
      if (end === length || end === space) return false;
      const key = this.#find(bytes, at, space);
      if (key >= 0 && this.value(key) < 0) {
        const value = wholeNumber(bytes, space + 1, end);
        if (value < 0) return false;
        this.#values[key] = value;
        left--;
      }
      at = end + 1;
    }
    return length > 0;
  }

  /** The value of the key with this index, or -1 if the last scan did not meet it. */
  value(index: number): number {
    return this.#values[index] ?? -1;
  }

  #find(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    for (let index = 0; index < this.#keys.length; index++) {
      const key = this.#keys[index];
      if (key === undefined || key.length !== length) continue;
      let at = 0;
      while (at < length && bytes[start + at] === key[at]) at++;
      if (at === length) return index;
    }
    return -1;
  }
}
