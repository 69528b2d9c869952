import { fnv1a } from '../../src/core/fnv1a.ts';
import { seededRandom } from '../../src/core/seeded-random.ts';

/** Chance that comes out the same for the same words: FNV-1a and then mulberry32. */
export class Random {
  /** From 0 up to 1, which it never is. */
  readonly next: () => number;

  constructor(...words: readonly (string | number)[]) {
    this.next = seededRandom(fnv1a(words.join('/')));
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
