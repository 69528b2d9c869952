import { type Bounds, coresFor, memoryFor } from './demand.ts';
import type { LabPolicy } from './replay.ts';

/** Policies to compare with: the thresholds that the field uses, nothing at all, and foresight. */

const UPPER_PERCENT = 80;
const LOWER_PERCENT = 20;
const MOST_CORES_A_STEP = 4;
const LEAST_MIB_A_STEP = 512;

/** Fixed thresholds of 80 and 20 % of the allocation, as they are widely used. */
export const classic: LabPolicy = {
  name: 'classic',
  begin: (demand, bounds) => (seen, has) => {
    has.cores = classicCores((seen.cpuUsed / has.cores) * 100, has.cores, bounds);
    if (demand.memory === undefined) return;
    const percent = seen.outOfMemory ? 100 : (seen.memoryUsedMib / has.memoryMib) * 100;
    has.memoryMib = classicMemory(percent, has.memoryMib, bounds);
  },
};

function classicCores(percent: number, has: number, { minCores, maxCores }: Bounds): number {
  if (percent > UPPER_PERCENT) {
    const step = Math.max(1, Math.trunc((percent - UPPER_PERCENT) / 2));
    const after = has + Math.min(step, MOST_CORES_A_STEP);
    return after > maxCores ? has : after;
  }
  if (percent >= LOWER_PERCENT) return has;
  return Math.max(minCores, has - Math.max(1, Math.trunc((LOWER_PERCENT - percent) / 2)));
}

function classicMemory(percent: number, has: number, { minMib, maxMib }: Bounds): number {
  if (percent > UPPER_PERCENT) {
    const step = Math.trunc(((percent - UPPER_PERCENT) * LEAST_MIB_A_STEP) / 1.5);
    return Math.min(maxMib, has + Math.max(LEAST_MIB_A_STEP, step));
  }
  return percent < LOWER_PERCENT ? Math.max(minMib, has - LEAST_MIB_A_STEP) : has;
}

/** The Python tool steps by four fifths of its sizes between these hours. */
const NIGHT_FROM = 22;
const NIGHT_TO = 6;
const NIGHT_SHARE = 0.8;

/**
 * The Python tool with the limits of the trace, as its source says it works: it decides as
 * `classic` does on CPU, its steps of memory are smaller at night, and its last step down goes
 * below the minimum. The recording is taken to begin at midnight.
 */
export const pythonTool: LabPolicy = {
  name: 'python-tool',
  begin: ({ memory, stepS }, bounds) => {
    return ({ index, cpuUsed, memoryUsedMib, outOfMemory }, has) => {
      has.cores = classicCores((cpuUsed / has.cores) * 100, has.cores, bounds);
      if (memory === undefined) return;
      const hour = (((index + 1) * stepS) / 3600) % 24;
      const share = hour >= NIGHT_FROM || hour < NIGHT_TO ? NIGHT_SHARE : 1;
      const percent = outOfMemory ? 100 : (memoryUsedMib / has.memoryMib) * 100;
      has.memoryMib = pythonMemory(percent, has.memoryMib, share, bounds);
    };
  },
};

function pythonMemory(percent: number, has: number, share: number, bounds: Bounds): number {
  const chunk = Math.trunc(LEAST_MIB_A_STEP * share);
  if (percent > UPPER_PERCENT) {
    const step = Math.trunc(((percent - UPPER_PERCENT) * LEAST_MIB_A_STEP) / 1.5);
    return Math.min(bounds.maxMib, has + Math.max(chunk, step));
  }
  return percent < LOWER_PERCENT && has > bounds.minMib ? has - chunk : has;
}

/** The maximum, always. */
export const unscaled: LabPolicy = {
  name: 'static',
  begin:
    (_demand, { maxCores, maxMib }) =>
    (_seen, has) => {
      has.cores = maxCores;
      has.memoryMib = maxMib;
    },
};

/** Knows the next step's demand: no policy can do better without starving anybody. */
export const oracle: LabPolicy = {
  name: 'oracle',
  begin: ({ cpu, memory }, bounds) => {
    return ({ index }, has) => {
      has.cores = coresFor(cpu[index + 1] ?? 0, bounds);
      if (memory !== undefined) has.memoryMib = memoryFor(memory[index + 1] ?? 0, bounds);
    };
  },
};
