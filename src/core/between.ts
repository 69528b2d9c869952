import type { CgroupSample, GuestConfig } from './observation.ts';
import { present } from './reading.ts';
import { cpuUsage, memoryUsage } from './usage.ts';

/**
 * What is seen of a container between two cycles: a decision rests on the average and the peaks of
 * the whole interval, and one that cannot wait is brought forward.
 */
export interface Between {
  readonly last: CgroupSample;
  /** The sample before the last: a decision brought forward takes its rate from here. */
  readonly previous: CgroupSample | undefined;
  /** The most cores used in any of the samples; 0 before the second one. */
  readonly cpuPeak: number;
  /** Of the working set, in MiB. */
  readonly memorySum: number;
  readonly memoryCount: number;
  readonly memoryPeak: number;
  /** CPU used in the last sample, as a share of what is allowed. */
  readonly share: number;
  /** Samples in a row in which it was saturated or at its memory limit. */
  readonly saturated: number;
  readonly oomKills: number;
  /** Its decision was brought forward and changed nothing: no further one before the next cycle. */
  readonly settled: boolean;
}

/** From this share on there is no more to be had. */
const SATURATED = 0.95;
/** A rise this steep, to at least half of what is allowed, may be the beginning of saturation. */
const STEEP_RISE = 0.25;
const SUSPICIOUS_SHARE = 0.5;

/**
 * A new interval, which begins with this sample.
 *
 * @param share of what is allowed that was used before; 1 where that is not known, so that no rise
 *   is seen where there may be none
 */
export function begin(last: CgroupSample, share = 1): Between {
  const empty = { cpuPeak: 0, memorySum: 0, memoryCount: 0, memoryPeak: 0 };
  return { last, previous: undefined, ...empty, share, saturated: 0, oomKills: 0, settled: false };
}

/** The interval with one more sample. One of another life of the container begins anew. */
export function withSample(
  before: Between,
  now: CgroupSample,
  config: GuestConfig,
  hostCpus: number,
): Between {
  if (before.last.identity !== now.identity) return begin(now);
  const cpu = cpuUsage(before.last, now, config, present(hostCpus));
  const memory = memoryUsage(before.last, now);
  const share = cpu.ok ? cpu.value.used / cpu.value.allowed : 0;
  const used = memory.ok ? memory.value.workingSetMib : undefined;
  const full = memory.ok && used !== undefined && used >= config.memoryMib * SATURATED;
  const atLimit = share >= SATURATED || full;
  return {
    ...before,
    ...{ last: now, previous: before.last, share },
    cpuPeak: cpu.ok ? Math.max(before.cpuPeak, cpu.value.used) : before.cpuPeak,
    memorySum: before.memorySum + (used ?? 0),
    memoryCount: before.memoryCount + (used === undefined ? 0 : 1),
    memoryPeak: Math.max(before.memoryPeak, used ?? 0),
    saturated: atLimit ? before.saturated + 1 : 0,
    oomKills: before.oomKills + (memory.ok ? memory.value.newOomKills : 0),
  };
}

/** Whether its next decision cannot wait for the cycle. */
export function isUrgent(between: Between, urgentSamples: number): boolean {
  if (between.settled) return false;
  return between.oomKills > 0 || between.saturated >= urgentSamples;
}

/** Whether the next sample should come soon: saturation may have begun. */
export function isSuspicious(before: Between, now: Between): boolean {
  if (now.settled) return false;
  const rises = now.share - before.share >= STEEP_RISE && now.share >= SUSPICIOUS_SHARE;
  return now.saturated > 0 || rises;
}
