import type { Vmid } from './units.ts';
import type { UsageRecord } from './usage-history.ts';

/** The history of usage as a usage trace: one row per container and step of 300 s. Pure. */

export const TRACE_HEADER = 'time_s,container,cpu_cores,memory_mb';
export const TRACE_STEP_S = 300;

/** What one container wanted in one step. */
export interface StepRow {
  /** Since the first step. */
  readonly timeS: number;
  readonly vmid: Vmid;
  readonly cpuCores: number;
  readonly memoryMib: number;
}

/** The row of a trace. */
export const traceRow = ({ timeS, vmid, cpuCores, memoryMib }: StepRow): string =>
  `${timeS},${vmid},${cpuCores},${memoryMib}`;

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
  take(one: UsageRecord): readonly StepRow[] {
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
  finish(): readonly StepRow[] {
    const timeS = this.#step * TRACE_STEP_S;
    const rows = [...this.#sums]
      .sort(([one], [other]) => one - other)
      .map(([vmid, { cores, count, mib }]) => {
        const cpuCores = Math.round((cores / count) * 1000) / 1000;
        return { timeS, vmid, cpuCores, memoryMib: Math.round(mib) };
      });
    this.#sums.clear();
    return rows;
  }
}
