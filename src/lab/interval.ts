import { seededRandom } from '../core/seeded-random.ts';
import type { Played } from './replay.ts';
import { type Totals, totalOf } from './trial.ts';

/**
 * How far a figure may be off by chance: what it comes to on other containers of the same kind.
 * Containers are drawn again with replacement (bootstrap), all days of one together, since days of
 * one container are alike. The draws are the same each time.
 */

const DRAWS = 300;
/** Nine of ten draws lie between these. */
const LOW = 0.05;
const HIGH = 0.95;

export type Interval = readonly [low: number, high: number];

/** One interval for each figure that `of` takes from the totals. */
export function intervals(
  containers: readonly Played[],
  of: (totals: Totals) => readonly number[],
): readonly Interval[] {
  const jobs = byName(containers);
  const random = seededRandom(1);
  const drawn = Array.from({ length: DRAWS }, () => {
    const chosen = jobs.flatMap(() => jobs[Math.floor(random() * jobs.length)] ?? []);
    return of(totalOf(chosen));
  });
  return (drawn[0] ?? []).map((_, index): Interval => {
    const sorted = drawn.map((figures) => figures[index] ?? 0).sort((one, other) => one - other);
    const at = (share: number): number => sorted[Math.round(share * (DRAWS - 1))] ?? 0;
    return [at(LOW), at(HIGH)];
  });
}

function byName(containers: readonly Played[]): readonly (readonly Played[])[] {
  const jobs = new Map<string, Played[]>();
  for (const one of containers) {
    const same = jobs.get(one.name);
    if (same === undefined) jobs.set(one.name, [one]);
    else same.push(one);
  }
  return [...jobs.values()];
}
