import type { CgroupSample, CpuCounters, MemoryCounters } from '../../core/observation.ts';
import { ONLY_IN_USE } from '../../core/only-in-use.ts';
import { missing, present } from '../../core/reading.ts';
import {
  type Mib,
  type Microseconds,
  type Milliseconds,
  mibToBytes,
  microseconds,
  milliseconds,
} from '../../core/units.ts';
import type { SeenGuest } from './resources.ts';

/** From shares, which is all that the API tells, to counters, which is what is decided on. */

export interface Total {
  /** Which life of the guest this is: about the second of its start, and never one used before. */
  readonly life: number;
  readonly atMs: Milliseconds;
  readonly uptimeS: number;
  readonly usageUs: Microseconds;
}

/** pvestatd may tell what was true so long ago; an uptime that lags more is of another life. */
const LAG_S = 30;

/**
 * What has been used since we first saw this life of a guest: each share counts for the time since
 * the look before.
 *
 * | before            | now                 | counts                         |
 * | ----------------- | ------------------- | ------------------------------ |
 * | nothing           | 1.5 cores           | 0 from now on                  |
 * | 0 us, 10 s ago    | 1.5 cores           | 15,000,000 us                  |
 * | up for 3600 s     | up for 5 s          | another life: 0 from now on    |
 */
export function totalOf(
  before: Total | undefined,
  { cpu, maxCpus, uptimeS }: SeenGuest,
  { atMs, wallMs }: { readonly atMs: Milliseconds; readonly wallMs: Milliseconds },
): Total {
  const elapsedMs = before === undefined ? 0 : atMs - before.atMs;
  const isSame =
    before !== undefined &&
    uptimeS >= before.uptimeS &&
    uptimeS + LAG_S >= before.uptimeS + elapsedMs / 1000;
  if (isSame) {
    const usedUs = cpu * maxCpus * elapsedMs * 1000;
    return { ...before, atMs, uptimeS, usageUs: microseconds(before.usageUs + usedUs) };
  }
  const startedS = Math.round(wallMs / 1000 - uptimeS);
  const life = Math.max(startedS, (before?.life ?? 0) + 1);
  return { life, atMs, uptimeS, usageUs: microseconds(0) };
}

const NOT_TOLD = missing('absent', 'the API does not tell how long tasks waited');

/**
 * A sample as of a cgroup, with what the API tells of it. Limits are those of the configuration;
 * whether it is frozen, throttled or out of memory is not told, and neither what of its memory it
 * could do without: `Capabilities` say so.
 */
export function sampleOf(seen: SeenGuest, total: Total, limitMib: Mib): CgroupSample {
  const cpu: CpuCounters = {
    usageUs: total.usageUs,
    throttledUs: NO_TIME,
    cpusetCpus: seen.maxCpus,
    effectiveCpus: undefined,
  };
  const memory: MemoryCounters = {
    ...ONLY_IN_USE,
    currentBytes: seen.memory,
    anonBytes: seen.memory,
    limitBytes: mibToBytes(limitMib),
  };
  return {
    atMs: total.atMs,
    identity: total.life,
    upMs: milliseconds(seen.uptimeS * 1000),
    life: RUNS,
    cpu: present(cpu),
    memory: present(memory),
    cpuPressure: NOT_TOLD,
    memoryPressure: NOT_TOLD,
  };
}

const NO_TIME = microseconds(0);
const RUNS = present({ populated: true, frozen: false });
