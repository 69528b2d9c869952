import type { OwnEvents } from '../../../core/observation.ts';
import type { Missing, Present } from '../../../core/reading.ts';
import { type Cores, milliseconds } from '../../../core/units.ts';
import type { MemoryEvents } from './cgroup-values.ts';

/** A longer text is taken for another one each time. */
const LONGEST_TEXT = 256;

/** The text of a file as it was last time: what was made of it need not be made again. */
class LastText {
  readonly #bytes = Buffer.allocUnsafeSlow(LONGEST_TEXT);
  #length = -1;

  /** Whether a text is that of the last time; it is kept for the next time. */
  isSame(text: Buffer, length: number): boolean {
    if (this.equals(text, length)) return true;
    const isLong = length < 0 || length > LONGEST_TEXT;
    this.#length = isLong ? -1 : text.copy(this.#bytes, 0, 0, length);
    return false;
  }

  /** The same, and nothing is kept. */
  equals(text: Buffer, length: number): boolean {
    if (length < 0 || length !== this.#length) return false;
    // Some dozens of bytes: a loop takes less than the call of `Buffer.compare`.
    const known = this.#bytes;
    let index = 0;
    while (index < length && text[index] === known[index]) index += 1;
    return index === length;
  }
}

export interface EventsRead extends MemoryEvents {
  readonly own: OwnEvents | undefined;
}

/**
 * What was read of a cgroup before. Two files are functions of others, so that they are read where
 * those have changed: what `memory.events.local` counts is counted in `memory.events` too, and
 * `cpuset.cpus.effective` is what is left of `cpuset.cpus` in the cgroup around it.
 */
export class CgroupMemo {
  readonly eventsText = new LastText();
  events: Present<EventsRead> | Missing | undefined;
  /** They are read once more: files of a plain tree do not change at one instant. */
  eventsAgain = false;

  readonly cpusetText = new LastText();
  cpusetCpus: number | undefined;
  effectiveCpus: number | undefined;
  /** What was around it then, and when that was. */
  around = '';
  effectiveAtMs = Number.NEGATIVE_INFINITY;

  /** When it was sampled last. */
  sampledMs = milliseconds(Number.NEGATIVE_INFINITY);

  /** Of `cpu.stat`. */
  usageUs = -1;

  readonly quotaText = new LastText();
  quota: Present<Cores | undefined> | undefined;
}
