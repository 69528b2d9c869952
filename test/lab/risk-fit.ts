import type { DemandModel } from '../../src/core/demand-model.ts';
import {
  type Lately,
  lately,
  type RiskAbove,
  riskAbove,
  WEIGHTS,
  type Weights,
  weighedBy,
} from '../../src/core/demand-tails.ts';
import { coresForecast, type Learning, learnCores } from '../../src/core/learning.ts';
import type { CpuUsage } from '../../src/core/observation.ts';
import { cores, milliseconds, ratio } from '../../src/core/units.ts';
import { type Demand, TRACE_BOUNDS } from '../../src/lab/demand.ts';
import type { LabPolicy } from '../../src/lab/replay.ts';
import { fitLogistic, type Rows } from './logistic.ts';
import { daemon } from './traces.ts';

/**
 * The regression of `demand-tails.ts` with coefficients of one's own: fitted on some traces, and
 * replayed on others. Two more factors may be added, which the daemon does not keep.
 */

const { minCores, maxCores } = TRACE_BOUNDS;

/** All weights in a row; the last is the constant. */
const listed = (weights: Weights): number[] => {
  const { above, rises, now, hour, slots, swing, reach, constant } = weights;
  return [...above, rises, now, hour, slots, swing, reach, constant];
};

const USUAL = listed(WEIGHTS);

function weightsOf(list: readonly number[]): Weights {
  const [rises = 0, now = 0, hour = 0, slots = 0, swing = 0, reach = 0, constant = 0] =
    list.slice(3);
  return { above: list.slice(0, 3), rises, now, hour, slots, swing, reach, constant };
}

const riskBy =
  (weights: Weights): RiskAbove =>
  (model, level, seen) =>
    riskAbove(model, level, weighedBy(model, seen, weights), weights);

const logOdds = (risk: number): number => Math.log(risk / (1 - risk));
const ofLogOdds = (score: number): number => 1 / (1 + Math.exp(-score));

/** The score is linear, so a factor is the score with a weight of one and all others zero. */
const UNITS = USUAL.map((_, at) =>
  riskBy(weightsOf(USUAL.map((__, other) => (at === other ? 1 : 0)))),
);

/** Coefficients: those of the daemon's factors, and of the two more or none. */
export interface Fitted {
  readonly weights: Weights;
  readonly more: readonly number[];
}

export const TODAY: Fitted = { weights: WEIGHTS, more: [] };

/** Half of a week, so that what is summed is as old on average as a week that ends at once. */
const WEEK_FADE = 0.5 ** (1 / 1008);
const MORE = 2;

/** What the two more factors need, for each number of whole cores. */
class Past {
  readonly #since = new Float64Array(maxCores + 1);
  readonly #week = new Float64Array(maxCores + 1);
  #total = 0;

  take(value: number): void {
    this.#total = this.#total * WEEK_FADE + 1;
    for (let level = 0; level <= maxCores; level += 1) {
      const isAbove = value > level;
      this.#since[level] = isAbove ? 0 : (this.#since[level] ?? 0) + 1;
      this.#week[level] = (this.#week[level] ?? 0) * WEEK_FADE + (isAbove ? 1 : 0);
    }
  }

  /** Slots since so many cores were last passed, and their share of the last week. */
  factors(level: number): readonly [number, number] {
    const share = Math.min(0.9999, ((this.#week[level] ?? 0) + 0.02) / (this.#total + 0.5));
    return [Math.log(1 + (this.#since[level] ?? 0)), Math.log(share / (1 - share))];
  }
}

/** One container as it is learnt, five minutes at a time. */
class Learner {
  readonly record: Learning = { model: undefined };
  readonly past = new Past();
  readonly #stepMs: number;

  constructor({ stepS }: Demand) {
    this.#stepMs = stepS * 1000;
  }

  take(index: number, used: number, allowed: number): CpuUsage {
    const cpu: CpuUsage = {
      used: cores(used),
      demand: cores(used),
      allowed: cores(allowed),
      pressure: undefined,
      overMs: milliseconds(this.#stepMs),
      throttled: ratio(0),
    };
    learnCores(this.record, cpu, (index + 1) * this.#stepMs);
    this.past.take(this.record.model?.last ?? used);
    return cpu;
  }
}

/** So many slots it is learnt before anything is decided. */
const FIRST = 6;
/** So many numbers of cores from the least that holds the present demand are rows. */
const NEAR = 4;
const AMPLE = 1024;

/** The rows of some containers, with the two more factors or without them. */
export function rowsOf(demands: readonly Demand[], withMore: boolean): Rows {
  const size = UNITS.length + (withMore ? MORE : 0);
  const most = demands.reduce((sum, { cpu }) => sum + cpu.length * NEAR, 0);
  const factors = new Float64Array(most * size);
  const labels = new Uint8Array(most);
  const weights = new Float64Array(most);
  let row = 0;
  const add = (level: number, wanted: number, model: DemandModel, seen: Lately, past: Past) => {
    const own = UNITS.map((riskOf) => logOdds(riskOf(model, level, seen)));
    factors.set(withMore ? [...own, ...past.factors(level)] : own, row * size);
    labels[row] = wanted > level ? 1 : 0;
    weights[row] = 1 / seen.swing;
    row += 1;
  };
  for (const demand of demands) {
    const learner = new Learner(demand);
    demand.cpu.subarray(0, -1).forEach((now, index) => {
      learner.take(index, now, AMPLE);
      const { model } = learner.record;
      if (model === undefined || index + 1 < FIRST) return;
      const seen = lately(model, now);
      const least = Math.max(minCores, Math.ceil(now));
      for (let level = least; level < Math.min(maxCores, least + NEAR); level += 1) {
        add(level, demand.cpu[index + 1] ?? 0, model, seen, learner.past);
      }
    });
  }
  return {
    factors: factors.subarray(0, row * size),
    labels: labels.subarray(0, row),
    weights: weights.subarray(0, row),
  };
}

export function together(parts: readonly Rows[]): Rows {
  const factors = new Float64Array(parts.reduce((sum, part) => sum + part.factors.length, 0));
  const count = parts.reduce((sum, { labels }) => sum + labels.length, 0);
  const labels = new Uint8Array(count);
  const weights = new Float64Array(count);
  let row = 0;
  let at = 0;
  for (const part of parts) {
    factors.set(part.factors, at);
    labels.set(part.labels, row);
    weights.set(part.weights, row);
    at += part.factors.length;
    row += part.labels.length;
  }
  return { factors, labels, weights };
}

export function fittedTo(rows: Rows): Fitted {
  const list = fitLogistic(rows);
  return { weights: weightsOf(list), more: list.slice(UNITS.length) };
}

/**
 * Mode `adaptive` for CPU alone, with these coefficients, on a host that has plenty. In the first
 * half hour the daemon itself decides.
 *
 * @param price multiplies the price of a missing core
 */
export function coresPolicy({ weights, more }: Fitted, price: number): LabPolicy {
  const stepFactor = price ** (-1 / 3);
  const [since = 0, week = 0] = more;
  return {
    name: 'cores',
    begin: ({ memory: _, ...demand }, bounds) => {
      const first = daemon('adaptive').begin({ ...demand, memory: undefined }, bounds);
      const learner = new Learner({ ...demand, memory: undefined });
      const risk: RiskAbove = (model, level, seen) => {
        const plain = riskBy(weights)(model, level, seen);
        if (more.length === 0) return plain;
        const [slots, share] = learner.past.factors(level);
        return ofLogOdds(logOdds(plain) + since * slots + week * share);
      };
      return (seen, has) => {
        const { index, cpuUsed } = seen;
        const cpu = learner.take(index, cpuUsed, has.cores);
        if (index + 1 < FIRST) {
          first(seen, has);
          return;
        }
        const ask = { has: has.cores, min: minCores, max: maxCores, quantum: 1, stepFactor };
        const forecast = coresForecast(learner.record, cpu, ask, risk);
        if (forecast !== undefined) has.cores = Math.max(forecast.target, Math.ceil(cpuUsed));
      };
    },
  };
}
