import type { UsageRecord } from '../core/usage-history.ts';

/** What a container had at the end of the record; undefined: not known, or no limit. */
export interface Had {
  readonly cores: number | undefined;
  readonly memoryMib: number | undefined;
  /** The share of the time in which it had no more to use: it may have wanted more than is seen. */
  readonly coresShort: number;
  readonly memoryShort: number;
}

/** From this share of what is allowed on there was no more to be had. */
const AT_LIMIT = 0.98;

const isShort = (used: number | undefined, allowed: number | undefined): boolean =>
  used !== undefined && allowed !== undefined && used >= allowed * AT_LIMIT;

/** What each had last, and how often all of it was in use, from the records in their order. */
export class LastHad {
  readonly #sums = new Map<
    string,
    { last: UsageRecord; rows: number; cpu: number; memory: number }
  >();

  take(record: UsageRecord): void {
    const { vmid, cpuCores, cpuAllowed, memoryPeakMib, memoryLimitMib } = record;
    const sum = this.#sums.get(String(vmid)) ?? { last: record, rows: 0, cpu: 0, memory: 0 };
    sum.last = record;
    sum.rows += 1;
    if (isShort(cpuCores, cpuAllowed)) sum.cpu += 1;
    if (isShort(memoryPeakMib, memoryLimitMib)) sum.memory += 1;
    this.#sums.set(String(vmid), sum);
  }

  all(): ReadonlyMap<string, Had> {
    const entries = [...this.#sums].map(([name, { last, rows, cpu, memory }]): [string, Had] => {
      const { cpuAllowed: cores, memoryLimitMib: memoryMib } = last;
      return [name, { cores, memoryMib, coresShort: cpu / rows, memoryShort: memory / rows }];
    });
    return new Map(entries);
  }
}
