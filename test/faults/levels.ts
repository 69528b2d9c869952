import type { Demand, DemandAt } from '../../src/sim/plant.ts';
import { Random } from './random.ts';

/** What a level of demand is drawn from, and for how many seconds one lasts at most. */
export interface Levels {
  readonly cpu: readonly number[];
  readonly anon: readonly number[];
  readonly files: readonly number[];
  readonly longestS: number;
  /** Whether files come without a ramp, as a guest's page cache does. */
  readonly filesAtOnce?: boolean;
}

const SHORTEST_S = 40;
const RAMP_MS = 20_000;

/** Levels that change every so often, and a ramp of memory from one to the next. */
export function levelsOf(seed: string, vmid: number, levels: Levels): DemandAt {
  const levelMs = new Random(seed, vmid, 'rhythm').whole(SHORTEST_S, levels.longestS) * 1000;
  const level = (index: number) => {
    const random = new Random(seed, vmid, 'level', index);
    const [cpu, anon] = [random.pick(levels.cpu), random.pick(levels.anon)];
    return { cpu, anon, files: random.pick(levels.files) };
  };
  return (timeMs): Demand => {
    const index = Math.floor(timeMs / levelMs);
    const share = Math.min(1, (timeMs - index * levelMs) / RAMP_MS);
    const [from, to] = [level(index - 1), level(index)];
    const between = (one: number, other: number): number => one + (other - one) * share;
    const fileSetMib = levels.filesAtOnce ? to.files : between(from.files, to.files);
    return { cpuCores: to.cpu, anonMib: between(from.anon, to.anon), fileSetMib };
  };
}
