import { type Bounds, type Demand, type Supply, startOf } from './demand.ts';
import { count, newTally, type Tally } from './score.ts';

/** What a daemon would see of a step that is over. */
export interface StepSeen {
  /** Counts from 0. */
  readonly index: number;
  readonly cpuUsed: number;
  /** 0 if the trace has no memory. */
  readonly memoryUsedMib: number;
  /** More memory was wanted than was there. */
  readonly outOfMemory: boolean;
}

/** Sets in `has` what the next step is to have. */
export type Player = (seen: StepSeen, has: Supply) => void;

/** A way of deciding, in the lab. */
export interface LabPolicy {
  readonly name: string;
  /** A player for one container. Only the oracle looks at the demand that is still to come. */
  begin(demand: Demand, bounds: Bounds): Player;
}

export interface Played {
  readonly name: string;
  readonly cpu: Tally;
  /** undefined if the trace has no memory for this container. */
  readonly memory: Tally | undefined;
}

/** Is handed every step, with what was there in it. */
export type Watcher = (index: number, has: Readonly<Supply>) => void;

const DAY_S = 86_400;

/**
 * Replays a recorded demand against a policy: in each step the allocation is fixed, then the policy
 * sees what a daemon would see, and answers with the allocation of the next step.
 */
export function replay(
  demand: Demand,
  policy: LabPolicy,
  bounds: Bounds,
  watch: Watcher = () => {},
): Played {
  const { cpu, memory, stepS } = demand;
  const cpuTally = newTally();
  const memoryTally = newTally();
  const play = policy.begin(demand, bounds);
  const has = startOf(demand, bounds);
  const steps = cpu.length;
  for (let index = 0; index < steps; index += 1) {
    const { cores, memoryMib } = has;
    const cpuWanted = cpu[index] ?? 0;
    const mibWanted = memory?.[index] ?? 0;
    watch(index, has);
    count(cpuTally, cores, cpuWanted);
    if (memory !== undefined) count(memoryTally, memoryMib, mibWanted);
    if (index + 1 === steps) break;
    const seen: StepSeen = {
      ...{ index, cpuUsed: Math.min(cpuWanted, cores) },
      ...{ memoryUsedMib: Math.min(mibWanted, memoryMib), outOfMemory: mibWanted > memoryMib },
    };
    play(seen, has);
    if (has.cores !== cores) cpuTally.resizes += 1;
    if (memory !== undefined && has.memoryMib !== memoryMib) memoryTally.resizes += 1;
  }
  cpuTally.days = (steps * stepS) / DAY_S;
  memoryTally.days = cpuTally.days;
  return {
    name: demand.name,
    cpu: cpuTally,
    memory: memory === undefined ? undefined : memoryTally,
  };
}
