import type { Step } from './cooldown.ts';
import type { Measured, Rule } from './decision.ts';
import { roundUp, smallestWithoutGrowth } from './guards.ts';

export interface Worth {
  /** Steps are multiples of it. */
  readonly quantum: number;
  /** Less is not worth a change. */
  readonly least: number;
  /** The most that any window asks for which the threshold policy goes by. */
  readonly wanted: number;
  /** The share of the new allocation that this may come to. */
  readonly aim: number;
}

/**
 * What a container has beyond its need, though it is inside its band: in the off-peak time, and of
 * memory when the host has next to none left. It never goes so far that the threshold policy would
 * ask for it back at the next reading, so that the two do not undo each other.
 *
 * | resource | has  | in use | aim   | becomes                             |
 * | -------- | ---- | ------ | ----- | ----------------------------------- |
 * | cores    | 4    | 1.6    | 80 %  | 2: 1.6 / 0.8                        |
 * | memory   | 8192 | 3000   | 80 %  | 3760: 3000 / 0.8, in steps of 16    |
 * | memory   | 1024 | 630    | 70 %  | 912: 630 / 0.7, in steps of 16      |
 */
export function surplus(
  measured: Measured,
  rule: Extract<Rule, 'off-peak' | 'host-emergency'>,
  { quantum, least, wanted, aim }: Worth,
): Step | undefined {
  const { before, min, need } = measured;
  const lowest = Math.max(
    ...[min, roundUp(need, quantum)],
    smallestWithoutGrowth(wanted, aim, quantum),
  );
  if (before - lowest < least) return undefined;
  return { verdict: 'shrink', after: lowest, rule, limits: [], measured };
}
