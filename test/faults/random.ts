/** Chance that comes out the same for the same words: FNV-1a and then mulberry32. */
export class Random {
  #state: number;

  constructor(...words: readonly (string | number)[]) {
    this.#state = 0x811c9dc5;
    for (const character of words.join('/')) {
      this.#state = Math.imul(this.#state ^ character.charCodeAt(0), 0x01000193) >>> 0;
    }
  }

  /** From 0 up to 1, which it never is. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  /** A whole number, both ends included. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick<T>(list: readonly T[]): T {
    const picked = list[Math.floor(this.next() * list.length)];
    if (picked === undefined) throw new Error('there is nothing to pick from');
    return picked;
  }
}
