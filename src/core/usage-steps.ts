import type { Vmid } from './units.ts';
import type { UsageRecord } from './usage-history.ts';

/** The history of usage as a usage trace: one row per container and step of 300 s. Pure. */

export const TRACE_HEADER = 'time_s,container,cpu_cores,memory_mb';
export const TRACE_STEP_S = 300;

interface Sum {
  cores: number;
  count: number;
  mib: number;
}

/**
 * Folds records into rows, in the order of time. `cpu_cores` is the mean of what was wanted in a
 * step, `memory_mb` the peak, since a limit below it would have been too little. A step of which
 * either is not known has no row: a gap is no zero.
 */
export class TraceSteps {
  #startS: number | undefined;
  #step = 0;
  readonly #sums = new Map<Vmid, Sum>();

  /** Takes the next record, and returns the rows of the steps that are over. */
  take(one: UsageRecord): readonly string[] {
    const cores = one.cpuDemand ?? one.cpuCores;
    const mib = one.memoryPeakMib ?? one.memoryMib;
    if (cores === undefined || mib === undefined) return [];
    this.#startS ??= one.timeS;
    // To the nearest: cycles that come a little early or late fall into a step each.
    const step = Math.round((one.timeS - this.#startS) / TRACE_STEP_S);
    if (step < this.#step) return [];
    const rows = step > this.#step ? this.finish() : [];
    this.#step = step;
    const sum = this.#sums.get(one.vmid) ?? { cores: 0, count: 0, mib: 0 };
    sum.cores += cores;
    sum.count += 1;
    sum.mib = Math.max(sum.mib, mib);
    this.#sums.set(one.vmid, sum);
    return rows;
  }

  /** The rows of the last step. */
  finish(): readonly string[] {
    const timeS = this.#step * TRACE_STEP_S;
    const rows = [...this.#sums]
      .sort(([one], [other]) => one - other)
      .map(([vmid, { cores, count, mib }]) => {
        const mean = Math.round((cores / count) * 1000) / 1000;
        return `${timeS},${vmid},${mean},${Math.round(mib)}`;
      });
    this.#sums.clear();
    return rows;
  }
}
