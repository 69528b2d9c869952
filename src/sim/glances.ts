import type { CgroupSample, Glance, MemoryCounters } from '../core/observation.ts';
import type { Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';

/** Glances of a node without files, made of its samples as the program makes them of files. */
export class Glances {
  readonly #sampled = new Map<Vmid, CgroupSample>();

  /** Takes note of what a sample has shown, and returns it. */
  keep(vmid: Vmid, seen: Reading<CgroupSample>): Reading<CgroupSample> {
    if (seen.ok) this.#sampled.set(vmid, seen.value);
    else this.#sampled.delete(vmid);
    return seen;
  }

  /** @param seen what a sample would show now */
  of(vmid: Vmid, seen: Reading<CgroupSample>): Glance | undefined {
    const before = this.#sampled.get(vmid);
    if (!seen.ok || before?.identity !== seen.value.identity || !before.memory.ok) return undefined;
    const { atMs, life, cpu, memory } = seen.value;
    if (!life.ok || !life.value.populated || life.value.frozen) return undefined;
    if (!cpu.ok || !memory.ok || !isSameOf(before.memory.value, memory.value)) return undefined;
    return {
      atMs,
      sinceMs: before.atMs,
      usageUs: cpu.value.usageUs,
      currentBytes: memory.value.currentBytes,
    };
  }
}

/** The lines of `memory.events`. */
const isSameOf = (before: MemoryCounters, now: MemoryCounters): boolean =>
  before.limitHits === now.limitHits &&
  before.oomKills === now.oomKills &&
  before.ooms === now.ooms &&
  before.own?.highHits === now.own?.highHits;
