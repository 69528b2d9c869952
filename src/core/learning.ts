import type { UseSample } from './cooldown.ts';
import type { Forecast } from './decision.ts';
import { type DemandModel, learn, newDemandModel, peakOfDay } from './demand-model.ts';
import { fillDemandTails, type RiskAbove, TAIL_LEVELS } from './demand-tails.ts';
import type { CpuUsage, MemoryUsage } from './observation.ts';
import { forecastCores } from './policies/adaptive-cores.ts';
import { forecastMemory } from './policies/adaptive-memory.ts';
import type { Range } from './policies/forecast-verdict.ts';
import { fillDay } from './repeats.ts';

/** What the loop's readings teach, and what is made of it: between `DemandModel` and the loop. */

/** From this share of what is allowed on, more may have been wanted than was seen. */
const SATURATED_SHARE = 0.98;
/** What is then taken to have been wanted, over what was allowed. */
const HIDDEN_CORES = 1.3;
/** The same of memory, if it was not enough. */
const HIDDEN_MEMORY = 1.25;

const isSaturated = ({ used, allowed }: CpuUsage): boolean => used >= allowed * SATURATED_SHARE;

/** Six slots, half an hour, of which a little has faded: on less nothing is decided. */
const LEAST_SLOTS = 5.9;

/** What is learnt of one resource of a guest, in its record. */
export interface Learning {
  model: DemandModel | undefined;
}

/** Takes in what one cycle saw of a container's CPU. */
export function learnCores(record: Learning, cpu: CpuUsage, wallMs: number): void {
  record.model ??= newDemandModel(wallMs, TAIL_LEVELS);
  const { model } = record;
  const overrun = isSaturated(cpu);
  const value = Math.max(cpu.used, cpu.demand, overrun ? cpu.allowed * HIDDEN_CORES : 0);
  fillDay(model, value, wallMs);
  const slot = learn(model, { value, overrun }, wallMs, false);
  if (slot !== undefined) fillDemandTails(model, slot);
}

/** Takes in what one cycle saw of a container's memory. `peakMib`: since the cycle before. */
export function learnMemory(
  record: Learning,
  memory: MemoryUsage,
  peakMib: number,
  wallMs: number,
): void {
  record.model ??= newDemandModel(wallMs, 0);
  const overrun = memory.newOomKills > 0;
  const value = Math.max(peakMib, overrun ? (memory.limitMib ?? peakMib) * HIDDEN_MEMORY : 0);
  learn(record.model, { value, overrun }, wallMs, true);
}

/** What a container may be given, and how careful to be. */
export interface Ask extends Range {
  readonly has: number;
  readonly stepFactor: number;
}

/**
 * undefined: too little is known. A saturated container wants its day's peak, or twice as much.
 *
 * @param risk in place of the usual one, in the lab
 */
export function coresForecast(
  record: Learning,
  cpu: CpuUsage,
  ask: Ask,
  risk?: RiskAbove,
): Forecast | undefined {
  const model = known(record.model);
  if (model === undefined) return undefined;
  const wanted = Math.max(cpu.used, cpu.demand);
  const least = isSaturated(cpu) ? Math.max(cpu.allowed * 2, peakOfDay(model)) : wanted;
  return forecastCores(model, ask.has, Math.max(wanted, least), ask, ask.stepFactor, risk);
}

/** @param swapMib what its swap can still take */
export function memoryForecast(
  record: Learning,
  { peak }: UseSample,
  ask: Ask,
  swapMib: number,
): Forecast | undefined {
  const model = known(record.model);
  return model && forecastMemory(model, ask.has, peak, ask, ask.stepFactor, swapMib);
}

const known = (model: DemandModel | undefined): DemandModel | undefined =>
  model !== undefined && model.slots >= LEAST_SLOTS ? model : undefined;
