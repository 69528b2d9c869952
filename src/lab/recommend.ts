import { type DemandModel, learn, newDemandModel, peakOfDay } from '../core/demand-model.ts';
import { fillDemandTails, TAIL_LEVELS } from '../core/demand-tails.ts';
import { forecastCores } from '../core/policies/adaptive-cores.ts';
import { forecastMemory } from '../core/policies/adaptive-memory.ts';
import { type Bounds, type Demand, MEMORY_STEP_MIB } from './demand.ts';

/** What a container should have for good, by all of its recorded demand. */
export interface Recommendation {
  readonly name: string;
  readonly hours: number;
  readonly cores: Advice;
  /** undefined if the record has no memory. */
  readonly memory: Advice | undefined;
  readonly sure: Sureness;
}

export interface Advice {
  readonly amount: number;
  /** The most that was ever wanted. */
  readonly peak: number;
  /** The share of the steps in which that many would have been too few. */
  readonly shortShare: number;
  /** The share of what is recommended that would lie idle, on average. */
  readonly slack: number;
}

/** By how long it was watched, and how restless it was: a week of calm says more than an hour. */
export type Sureness = 'low' | 'fair' | 'high';

const FAIR_HOURS = 24;
const HIGH_HOURS = 7 * 24;
/** So many jumps a day leave no recommendation very sure. */
const RESTLESS_JUMPS_A_DAY = 1;

/** A static limit is not seen to every five minutes: CPU is sized for all but this share. */
const CPU_SHORT_SHARE = 0.01;

export function recommendationOf(demand: Demand, bounds: Bounds): Recommendation {
  const { cpu, memory, stepS, name } = demand;
  const hours = (cpu.length * stepS) / 3600;
  const cores = coresAdvice(cpu, stepS, bounds);
  const memoryModel = memory && modelsOf(memory, stepS, 0, true);
  return {
    name,
    hours,
    cores,
    memory: memory && memoryModel && memoryAdvice(memory, memoryModel, bounds),
    sure: surenessOf(hours, memoryModel?.jumps ?? 0),
  };
}

function modelsOf(
  values: Float64Array,
  stepS: number,
  levels: number,
  peaks: boolean,
): DemandModel {
  const model = newDemandModel(0, levels);
  for (let index = 0; index < values.length; index += 1) {
    const seen = { value: values[index] ?? 0, overrun: false };
    const slot = learn(model, seen, (index + 1) * stepS * 1000, peaks);
    if (slot !== undefined && levels > 0) fillDemandTails(model, slot);
  }
  return model;
}

/** What suffices now by what was learnt, and has sufficed in all but one step of a hundred. */
function coresAdvice(cpu: Float64Array, stepS: number, bounds: Bounds): Advice {
  const model = modelsOf(cpu, stepS, TAIL_LEVELS, false);
  const { minCores: min, maxCores: max } = bounds;
  const sorted = Float64Array.from(cpu).sort();
  const usual = sorted[Math.floor((sorted.length - 1) * (1 - CPU_SHORT_SHARE))] ?? 0;
  const range = { min, max, quantum: 1 };
  const { target } = forecastCores(model, max, Math.min(max, usual), range, 1);
  return adviceOn(cpu, Math.max(target, Math.min(max, Math.ceil(usual)), min));
}

function memoryAdvice(memory: Float64Array, model: DemandModel, bounds: Bounds): Advice {
  const peak = memory.reduce((most, value) => Math.max(most, value), peakOfDay(model));
  const range = { min: bounds.minMib, max: bounds.maxMib, quantum: MEMORY_STEP_MIB };
  const { target } = forecastMemory(model, bounds.maxMib, peak, range, 1, 0);
  return adviceOn(memory, target);
}

function adviceOn(values: Float64Array, amount: number): Advice {
  let short = 0;
  let unused = 0;
  let peak = 0;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? 0;
    if (value > amount) short += 1;
    else unused += amount - value;
    if (value > peak) peak = value;
  }
  const steps = Math.max(1, values.length);
  return { amount, peak, shortShare: short / steps, slack: unused / (steps * amount) };
}

function surenessOf(hours: number, jumps: number): Sureness {
  if (hours < FAIR_HOURS) return 'low';
  const restless = (jumps / hours) * 24 > RESTLESS_JUMPS_A_DAY;
  if (hours < HIGH_HOURS || restless) return 'fair';
  return 'high';
}
