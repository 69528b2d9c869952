import { type Rise, type RiseStage, risen, riseStage } from './memory-rise.ts';
import type { CgroupSample, CpuUsage, GuestConfig, MemoryUsage } from './observation.ts';
import type { ContainerPolicy } from './policy.ts';
import { present, type Reading } from './reading.ts';
import { isHeldBack } from './shortage.ts';
import { cpuUsage, memoryUsage } from './usage.ts';

/**
 * What is seen of a container between two cycles: a decision rests on the average and the peaks of
 * the whole interval, and one that cannot wait is brought forward.
 */
export interface SamplingInterval {
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
  /** Samples in a row in which it was saturated; they are counted on from cycle to cycle. */
  readonly saturated: Saturated;
  /** How fast its memory rises; undefined if it is not known. */
  readonly rise: Rise | undefined;
  readonly riseStage: RiseStage;
  readonly oomKills: number;
  /** It met its memory limit and had to wait. */
  readonly heldBack: boolean;
  /** Its decision was brought forward and changed nothing: no further one before the next cycle. */
  readonly settled: boolean;
}

export interface Saturated {
  readonly cores: number;
  readonly memory: number;
}

/** From this share on there is no more to be had. */
export const SATURATED = 0.95;
const NOT_SATURATED: Saturated = { cores: 0, memory: 0 };
/** A rise this steep, to at least half of what is allowed, may be the beginning of saturation. */
const STEEP_RISE = 0.25;
const SUSPICIOUS_SHARE = 0.5;

/** What is carried over from the interval before. */
export interface Carried {
  /** Of what is allowed; 1 if it is not known, so that no rise is seen where none may be. */
  readonly share: number;
  readonly saturated: Saturated;
  readonly rise?: Rise | undefined;
}

const NOTHING: Carried = { share: 1, saturated: NOT_SATURATED };

/** A new interval, which begins with this sample. */
export function begin(
  last: CgroupSample,
  { share, saturated, rise }: Carried = NOTHING,
): SamplingInterval {
  return {
    last,
    previous: undefined,
    share,
    saturated,
    rise,
    riseStage: 'calm',
    cpuPeak: 0,
    memorySum: 0,
    memoryCount: 0,
    memoryPeak: 0,
    oomKills: 0,
    heldBack: false,
    settled: false,
  };
}

/**
 * The interval with one more sample. One of another life of the container begins anew.
 *
 * @param saturatedAt the share of what it may use from which on it counts as saturated
 * @param guardMib where its memory guard is, if it has one
 */
export function withSample(
  before: SamplingInterval,
  now: CgroupSample,
  config: GuestConfig,
  hostCpus: number,
  saturatedAt: number = SATURATED,
  guardMib?: number,
): SamplingInterval {
  if (before.last.identity !== now.identity) return begin(now);
  const cpu = cpuUsage(before.last, now, config, present(hostCpus));
  const memory = memoryUsage(before.last, now, before.last, guardMib);
  const used = memory.ok ? memory.value.workingSetMib : undefined;
  const rise = riseWith(before, now, memory, config);
  return {
    last: now,
    previous: before.last,
    share: shareOf(cpu) ?? 0,
    settled: before.settled,
    cpuPeak: cpu.ok ? Math.max(before.cpuPeak, cpu.value.used) : before.cpuPeak,
    memorySum: before.memorySum + (used ?? 0),
    memoryCount: before.memoryCount + (used === undefined ? 0 : 1),
    memoryPeak: Math.max(before.memoryPeak, used ?? 0),
    rise,
    riseStage: riseStage(rise, config.memoryMib),
    saturated: countedOn(before.saturated, cpu, memory, config, saturatedAt),
    oomKills: before.oomKills + (memory.ok ? memory.value.newOomKills : 0),
    heldBack: before.heldBack || (memory.ok && isHeldBack(memory.value)),
  };
}

/**
 * How fast its memory rises, with this sample. A virtual machine is asked for its memory only now
 * and then, so that its samples make no slope.
 */
export function riseWith(
  { last, rise }: SamplingInterval,
  now: CgroupSample,
  memory: Reading<MemoryUsage>,
  { reaches }: Pick<GuestConfig, 'reaches'>,
): Rise | undefined {
  if (reaches !== undefined) return undefined;
  return memory.ok ? risen(rise, memory.value.workingSetMib, now.atMs - last.atMs) : undefined;
}

export const shareOf = (cpu: Reading<CpuUsage>): number | undefined =>
  cpu.ok ? cpu.value.used / cpu.value.allowed : undefined;

/** One sample more, or none in a row any longer. What is missing is no sample of being idle. */
export function countedOn(
  before: Saturated,
  cpu: Reading<CpuUsage>,
  memory: Reading<MemoryUsage>,
  config: GuestConfig,
  saturatedAt: number,
): Saturated {
  const share = shareOf(cpu);
  // What is full of page cache is saturated by it for good, and nothing of it is urgent.
  const isSeen = memory.ok && memory.value.countsCache === undefined;
  const full = isSeen ? memory.value.workingSetMib / config.memoryMib : undefined;
  return {
    cores: countOf(before.cores, share, saturatedAt),
    memory: countOf(before.memory, full, saturatedAt),
  };
}

/** Not a closure of the function above: one would be made and named for each sample. */
function countOf(before: number, seen: number | undefined, saturatedAt: number): number {
  if (seen === undefined) return before;
  return seen >= saturatedAt ? before + 1 : 0;
}

const most = ({ cores, memory }: Saturated): number => Math.max(cores, memory);

/** Whether its next decision cannot wait for the cycle. */
export function isUrgent(interval: SamplingInterval, urgentSamples: number): boolean {
  const { settled, oomKills, heldBack } = interval;
  if (settled) return false;
  if (oomKills > 0 || heldBack || interval.riseStage === 'urgent') return true;
  return most(interval.saturated) >= urgentSamples;
}

/** Whether the next sample should come soon: saturation, or a rise, may have begun. */
export function isSuspicious(before: SamplingInterval, now: SamplingInterval): boolean {
  if (now.settled) return false;
  const rises = now.share - before.share >= STEEP_RISE && now.share >= SUSPICIOUS_SHARE;
  return most(now.saturated) > 0 || rises || now.riseStage === 'watched';
}

/** From which share on a sample counts as saturated, and how many of them cannot wait. */
export const saturationOf = (
  { scaling, boost }: ContainerPolicy,
  urgentSamples: number,
): { readonly at: number; readonly samples: number } =>
  scaling === 'boost'
    ? { at: boost.saturation, samples: boost.consecutiveSamples }
    : { at: SATURATED, samples: urgentSamples };
