import type { Bounds, Demand } from './demand.ts';
import { type LabPolicy, type Played, replay } from './replay.ts';
import { add, type Figures, figuresOf, newTally } from './score.ts';

/** All containers of a trace with one policy. */
export interface Trial {
  readonly policy: string;
  readonly cpu: Figures;
  /** undefined if the trace has no memory. */
  readonly memory: Figures | undefined;
  readonly containers: readonly Played[];
}

export type Totals = Pick<Trial, 'cpu' | 'memory'>;

/**
 * @param told is called after each container
 * @param afterDays how many days at the beginning of each container do not count
 */
export function trial(
  demands: readonly Demand[],
  policy: LabPolicy,
  bounds: Bounds,
  told: (steps: number) => void = () => {},
  afterDays = 0,
): Trial {
  const containers = demands.map((demand) => {
    const played = replay(demand, policy, bounds, undefined, afterDays);
    told(demand.cpu.length);
    return played;
  });
  return { policy: policy.name, ...totalOf(containers), containers };
}

export function totalOf(containers: readonly Played[]): Totals {
  const cpu = newTally();
  const memory = newTally();
  for (const played of containers) {
    add(cpu, played.cpu);
    if (played.memory !== undefined) add(memory, played.memory);
  }
  return { cpu: figuresOf(cpu), memory: memory.steps === 0 ? undefined : figuresOf(memory) };
}
