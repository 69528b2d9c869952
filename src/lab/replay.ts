import { type Bounds, type Demand, type Supply, startOf, stepsADay } from './demand.ts';
import { killedShare } from './killed.ts';
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
  /** Whether it reads between its cycles, and grows what cannot wait. */
  readonly reacts?: boolean;
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

/** Counts the steps of one resource, day by day. */
class Count {
  readonly tally = newTally();
  readonly #stepsADay: number;
  readonly #most: number;
  #lastShortDay = -1;

  constructor(stepS: number, most: number) {
    this.#stepsADay = stepsADay(stepS);
    this.#most = most;
  }

  /** Returns whether less was there than was wanted. */
  step(index: number, allocated: number, wanted: number): boolean {
    count(this.tally, allocated, wanted, this.#most);
    this.tally.days = this.tally.steps / this.#stepsADay;
    this.tally.daysBegun = Math.ceil(this.tally.days);
    if (wanted <= allocated) return false;
    const day = Math.floor(index / this.#stepsADay);
    if (day !== this.#lastShortDay) this.tally.shortDays += 1;
    this.#lastShortDay = day;
    return true;
  }
}

/**
 * Replays a recorded demand against a policy: in each step the allocation is fixed, then the policy
 * sees what a daemon would see, and answers with the allocation of the next step.
 *
 * @param afterDays how many days at the beginning are replayed and not counted
 */
export function replay(
  demand: Demand,
  policy: LabPolicy,
  bounds: Bounds,
  watch: Watcher = () => {},
  afterDays = 0,
): Played {
  const { cpu, memory, stepS, name } = demand;
  const { maxMib } = bounds;
  const cpuCount = new Count(stepS, bounds.maxCores);
  const memoryCount = new Count(stepS, maxMib);
  const play = policy.begin(demand, bounds);
  const has = startOf(demand, bounds);
  const reacts = policy.reacts === true;
  const first = afterDays * stepsADay(stepS);
  const steps = cpu.length;
  for (let index = 0; index < steps; index += 1) {
    const { cores, memoryMib } = has;
    const cpuWanted = cpu[index] ?? 0;
    const mibWanted = memory?.[index] ?? 0;
    const counts = index >= first;
    watch(index, has);
    if (counts) cpuCount.step(index, cores, cpuWanted);
    if (counts && memory !== undefined && memoryCount.step(index, memoryMib, mibWanted)) {
      const fromMib = memory[index - 1] ?? 0;
      const step = { fromMib, toMib: mibWanted, hasMib: memoryMib, maxMib, stepS, reacts };
      memoryCount.tally.killed += killedShare(step);
    }
    if (index + 1 === steps) break;
    const seen: StepSeen = {
      index,
      cpuUsed: Math.min(cpuWanted, cores),
      memoryUsedMib: Math.min(mibWanted, memoryMib),
      outOfMemory: mibWanted > memoryMib,
    };
    play(seen, has);
    if (!counts) continue;
    if (has.cores !== cores) cpuCount.tally.resizes += 1;
    if (memory !== undefined && has.memoryMib !== memoryMib) memoryCount.tally.resizes += 1;
  }
  const { tally } = memoryCount;
  return { name, cpu: cpuCount.tally, memory: memory === undefined ? undefined : tally };
}
