import { fnv1a } from '../core/fnv1a.ts';
import type { Demand } from './demand.ts';

/**
 * Two halves of a trace's containers, drawn by a hash of a seed and the name (FNV-1a, 32 bits), so
 * that whoever fits constants elsewhere draws the same ones.
 */
const SEED = 7;

export interface Halves {
  /** Names of one half. */
  readonly one: ReadonlySet<string>;
  /** Names of the other half. */
  readonly other: ReadonlySet<string>;
}

export function halvesOf(demands: readonly Demand[]): Halves {
  const drawn = demands
    .map(({ name }) => ({ name, place: fnv1a(`${SEED} ${name}`) }))
    .sort((a, b) => a.place - b.place)
    .map(({ name }) => name);
  const middle = drawn.length >> 1;
  return { other: new Set(drawn.slice(0, middle)), one: new Set(drawn.slice(middle)) };
}
