import type { ContainerPolicy } from '../core/policy.ts';

/** What a trace says of one container, and the rules by which policies are compared on it. */

/** What a policy gives a container: whole cores, and the trace's MB of memory, taken as MiB. */
export interface Supply {
  cores: number;
  memoryMib: number;
}

/** One container's recorded demand. A step is the time between two rows. */
export interface Demand {
  readonly name: string;
  readonly stepS: number;
  /** Cores wanted, per step. */
  readonly cpu: Float64Array;
  /** MiB wanted, per step; undefined if the trace has none. */
  readonly memory: Float64Array | undefined;
}

/** Within these bounds every policy moves. */
export interface Bounds {
  readonly minCores: number;
  readonly maxCores: number;
  readonly minMib: number;
  readonly maxMib: number;
}

export const TRACE_BOUNDS: Bounds = { minCores: 1, maxCores: 8, minMib: 512, maxMib: 16_384 };
export const MEMORY_STEP_MIB = 16;

const clamp = (value: number, least: number, most: number): number =>
  Math.min(most, Math.max(least, value));

/** The whole number of cores that holds so much, within the bounds. */
export const coresFor = (wanted: number, { minCores, maxCores }: Bounds): number =>
  clamp(Math.ceil(wanted), minCores, maxCores);

/** The multiple of 16 MiB that holds so much, within the bounds. */
export const memoryFor = (wantedMib: number, { minMib, maxMib }: Bounds): number =>
  clamp(Math.ceil(wantedMib / MEMORY_STEP_MIB) * MEMORY_STEP_MIB, minMib, maxMib);

/** Twice the median demand: what a container has in the first step. */
export function startOf({ cpu, memory }: Demand, bounds: Bounds): Supply {
  return {
    cores: coresFor(2 * median(cpu), bounds),
    memoryMib: memoryFor(memory === undefined ? 0 : 2 * median(memory), bounds),
  };
}

function median(values: Float64Array): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

const DAY_S = 86_400;

/** How many steps a day has. */
export const stepsADay = (stepS: number): number => Math.max(1, Math.round(DAY_S / stepS));

/** Each day as a container of its own that nobody knows yet. What is left over is dropped. */
export function coldDays(demand: Demand): readonly Demand[] {
  const { name, stepS, cpu, memory } = demand;
  const day = stepsADay(stepS);
  return Array.from({ length: Math.floor(cpu.length / day) }, (_, index) => {
    const [from, to] = [index * day, (index + 1) * day];
    return { name, stepS, cpu: cpu.slice(from, to), memory: memory?.slice(from, to) };
  });
}

const USUAL_STEP_S = 300;

/** The middle one: a container that was off for a week has one long step, and not longer ones. */
export function usualStepS(timesS: readonly number[]): number {
  const steps = timesS.slice(1).map((timeS, index) => timeS - (timesS[index] ?? 0));
  return steps.sort((one, other) => one - other)[Math.floor(steps.length / 2)] ?? USUAL_STEP_S;
}

/** Within what a policy allows; what it leaves open is as for traces. */
export const boundsOf = ({ cpu, memory }: Pick<ContainerPolicy, 'cpu' | 'memory'>): Bounds => ({
  minCores: cpu.min,
  maxCores: cpu.max,
  minMib: memory.minMib,
  maxMib: memory.maxMib ?? TRACE_BOUNDS.maxMib,
});

/** Within what a host has: what a policy allows says nothing of what is needed. */
export const boundsOfHost = (cpus: number, memoryMib: number): Bounds => ({
  minCores: 1,
  maxCores: Math.max(1, Math.floor(cpus)),
  minMib: LEAST_MIB,
  maxMib: Math.max(LEAST_MIB, memoryMib),
});

const LEAST_MIB = 64;
