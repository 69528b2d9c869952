import type { Budget } from './admission.ts';
import type { GuestConfig } from './observation.ts';
import { present, type Reading } from './reading.ts';
import type { Vmid } from './units.ts';

/**
 * What a cycle begins and ends with, as the log shows it in the form that is known of old: the pool
 * that cores and memory are handed out of and given back to. It decides nothing.
 */
export interface Pool {
  /** At first the CPUs less the reserve, which all containers share. */
  readonly cores: Reading<number>;
  /** At first the MiB that may be handed out. */
  readonly memoryMib: Reading<number>;
}

/** What the running containers have together. */
export interface Given {
  readonly cores: number;
  readonly memoryMib: number;
}

/** @param hostCpus what a container without a limit may use; 0 if it is not known */
export function givenTo(running: ReadonlyMap<Vmid, GuestConfig>, hostCpus: number): Given {
  let [sum, memory] = [0, 0];
  for (const { cores, cpuLimit, memoryMib } of running.values()) {
    sum += Math.min(cores ?? hostCpus, cpuLimit ?? Number.POSITIVE_INFINITY);
    memory += memoryMib;
  }
  return { cores: sum, memoryMib: memory };
}

export const poolBefore = ({ coresCeiling, memoryMib }: Budget): Pool => ({
  cores: coresCeiling,
  memoryMib,
});

/** The pool after the changes: more by what came back, less by what went out; never below 0. */
export function poolAfter({ cores, memoryMib }: Pool, before: Given, after: Given): Pool {
  const less = (pool: Reading<number>, by: number): Reading<number> =>
    pool.ok ? present(Math.max(0, Math.floor(pool.value - by + 1e-9))) : pool;
  return {
    cores: less(cores, after.cores - before.cores),
    memoryMib: less(memoryMib, after.memoryMib - before.memoryMib),
  };
}
