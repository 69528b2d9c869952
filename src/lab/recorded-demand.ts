import type { Vmid } from '../core/units.ts';
import type { UsageRecord } from '../core/usage-history.ts';
import { type StepRow, TraceSteps } from '../core/usage-steps.ts';
import { type Demand, usualStepS } from './demand.ts';
import { type Had, LastHad } from './had.ts';

interface Series {
  readonly timesS: number[];
  readonly cpu: number[];
  readonly memory: number[];
}

/** The history of usage as demand, guest by guest: 7 KB for each day of one. */
export class RecordedDemand {
  readonly #most: number;
  readonly #steps = new TraceSteps();
  readonly #had = new LastHad();
  readonly #series = new Map<Vmid, Series>();
  readonly #leftOut = new Set<Vmid>();

  /** @param most guests; those that come after them are only counted */
  constructor(most: number) {
    this.#most = most;
  }

  /** Takes the next record, in the order of time. */
  take(record: UsageRecord): void {
    this.#had.take(record);
    this.#put(this.#steps.take(record));
  }

  /** To be called once, after the last record. */
  *finish(): Generator<Demand> {
    this.#put(this.#steps.finish());
    for (const [vmid, { timesS, cpu, memory }] of this.#series) {
      const series = { cpu: Float64Array.from(cpu), memory: Float64Array.from(memory) };
      yield { name: String(vmid), stepS: usualStepS(timesS), ...series };
    }
  }

  /** What each had at the end of the record, by its id. */
  get had(): ReadonlyMap<string, Had> {
    return this.#had.all();
  }

  /** How many guests were only counted. */
  get leftOut(): number {
    return this.#leftOut.size;
  }

  #put(rows: readonly StepRow[]): void {
    for (const { vmid, timeS, cpuCores, memoryMib } of rows) {
      const known = this.#series.get(vmid);
      if (known === undefined && this.#series.size >= this.#most) {
        this.#leftOut.add(vmid);
        continue;
      }
      const series = known ?? { timesS: [], cpu: [], memory: [] };
      this.#series.set(vmid, series);
      series.timesS.push(timeS);
      series.cpu.push(cpuCores);
      series.memory.push(memoryMib);
    }
  }
}
