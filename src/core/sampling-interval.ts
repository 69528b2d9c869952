import { type Rise, type RiseStage, risen, riseStage } from './memory-rise.ts';
import type { CgroupSample, CpuUsage, Glance, GuestConfig, MemoryUsage } from './observation.ts';
import type { ContainerPolicy } from './policy.ts';
import { present, type Reading } from './reading.ts';
import { isHeldBack } from './shortage.ts';
import { bytesToMib } from './units.ts';
import {
  allowedCores,
  cpuUsage,
  MIN_ELAPSED_MS,
  memoryUsage,
  NEAR_SHARE,
  reclaimableBytes,
  workingSetBytes,
} from './usage.ts';

/**
 * What is seen of a container between two cycles: a decision rests on the average and the peaks of
 * the whole interval, and one that cannot wait is brought forward.
 */
export interface SamplingInterval {
  readonly last: CgroupSample;
  /** The last of the glances since then; undefined: there was none. */
  readonly glance: Glance | undefined;
  /**
   * What was seen before the last sample, by a sample or a glance: a decision brought forward takes
   * its rate from here.
   */
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
    glance: undefined,
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
  const since = lastSeen(before);
  const cpu = cpuUsage(since, now, config, present(hostCpus));
  const memory = memoryUsage(since, now, since, guardMib);
  const used = memory.ok ? memory.value.workingSetMib : undefined;
  const rise = riseWith(before, now, memory, config);
  return {
    last: now,
    glance: undefined,
    previous: since,
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
  { last, glance, rise }: SamplingInterval,
  now: CgroupSample,
  memory: Reading<MemoryUsage>,
  { reaches }: Pick<GuestConfig, 'reaches'>,
): Rise | undefined {
  if (reaches !== undefined) return undefined;
  const overMs = now.atMs - (glance ?? last).atMs;
  return memory.ok ? risen(rise, memory.value.workingSetMib, overMs) : undefined;
}

/**
 * The last sample as the last glance has carried it on. All that no glance tells counts as having
 * come since then, so that nothing is made less of than it was.
 */
function lastSeen({ last, glance }: SamplingInterval): CgroupSample {
  if (glance === undefined || !last.cpu.ok) return last;
  const cpu = present({ ...last.cpu.value, usageUs: glance.usageUs });
  return { ...last, atMs: glance.atMs, cpu };
}

/** So long a glance stands in for a sample. What it does not tell is at most this old. */
const GLANCES_FOR_MS = 60_000;
/** Memory that has changed by less than this share of the limit has not changed. */
const UNCHANGED_SHARE = 1 / 128;

/**
 * The interval with a glance at a container to which nothing happens: it is far from saturation and
 * rises by nothing that matters. CPU counts as in a sample. The working set is taken to be what it
 * was, and what `memory.current` has grown by: that is less than it is only if file cache goes
 * while as much is allocated.
 *
 * @returns undefined if a glance does not do, so that it is to be sampled
 */
export function withGlance(
  before: SamplingInterval | undefined,
  now: Glance | undefined,
  allowed: Allowed,
): SamplingInterval | undefined {
  if (before === undefined || now === undefined || !maySpare(before, now.atMs)) return undefined;
  // Another look has sampled it since: what it saw happen, no glance tells any more.
  if (now.sinceMs !== before.last.atMs) return undefined;
  const { config, saturatedAt = SATURATED } = allowed;
  const cpu = cpuAtGlance(before, now, allowed);
  if (cpu === undefined || cpu.share >= saturatedAt || isSteep(before.share, cpu.share)) {
    return undefined;
  }
  const memory = memoryAtGlance(before.last, now);
  if (memory === undefined) return undefined;
  const { usedMib, changedMib } = memory;
  if (Math.abs(changedMib) > config.memoryMib * UNCHANGED_SHARE) return undefined;
  if (usedMib >= config.memoryMib * NEAR_SHARE) return undefined;
  const rise = risen(before.rise, usedMib, cpu.overMs);
  if (riseStage(rise, config.memoryMib) !== 'calm') return undefined;
  return {
    ...before,
    glance: now,
    share: cpu.share,
    cpuPeak: Math.max(before.cpuPeak, cpu.cores),
    memorySum: before.memorySum + usedMib,
    memoryCount: before.memoryCount + 1,
    memoryPeak: Math.max(before.memoryPeak, usedMib),
    rise,
  };
}

/** Whether a glance can stand in for the next sample, as far as is known without it. */
export const maySpare = (before: SamplingInterval | undefined, nowMs: number): boolean =>
  before !== undefined && isCalm(before) && nowMs - before.last.atMs < GLANCES_FOR_MS;

/** Memory that grows by this share of the limit from one look to the next may go on so. */
const STEEP_GROWTH = 0.05;

/** Whether a glance between two samples sees that saturation, or a rise, may have begun. */
export function hasBegun(
  before: SamplingInterval | undefined,
  now: Glance | undefined,
  allowed: Allowed,
): boolean {
  if (before === undefined || now === undefined || before.settled) return false;
  const { config, saturatedAt = SATURATED } = allowed;
  const share = cpuAtGlance(before, now, allowed)?.share ?? 0;
  if (isSteep(before.share, share)) return true;
  if (share >= saturatedAt && before.share < saturatedAt) return true;
  const memory = memoryAtGlance(before.last, now);
  if (memory === undefined || memory.changedMib < config.memoryMib * STEEP_GROWTH) return false;
  return memory.usedMib >= config.memoryMib * SUSPICIOUS_SHARE;
}

/** What a glance is held against. */
export interface Allowed {
  readonly config: GuestConfig;
  /** undefined: not known, so that a glance tells nothing. */
  readonly hostCpus: number | undefined;
  /** The share of what it may use from which on it counts as saturated. */
  readonly saturatedAt: number | undefined;
}

interface CpuAtGlance {
  readonly cores: number;
  readonly share: number;
  readonly overMs: number;
}

function cpuAtGlance(
  { last, glance }: SamplingInterval,
  now: Glance,
  { config, hostCpus }: Allowed,
): CpuAtGlance | undefined {
  if (!last.cpu.ok || hostCpus === undefined) return undefined;
  const overMs = now.atMs - (glance ?? last).atMs;
  const usedUs = now.usageUs - (glance?.usageUs ?? last.cpu.value.usageUs);
  if (overMs < MIN_ELAPSED_MS || usedUs < 0) return undefined;
  const cores = usedUs / 1000 / overMs;
  return { cores, share: cores / allowedCores(config, last.cpu.value, hostCpus), overMs };
}

/** Nothing has happened in it that is to be followed closely. */
const isCalm = ({ saturated, riseStage, oomKills, heldBack }: SamplingInterval): boolean =>
  most(saturated) === 0 && riseStage === 'calm' && oomKills === 0 && !heldBack;

interface MemoryAtGlance {
  /** The working set, or more. */
  readonly usedMib: number;
  /** By how much all of its memory has changed since the last sample. */
  readonly changedMib: number;
}

function memoryAtGlance(
  { memory }: CgroupSample,
  { currentBytes }: Glance,
): MemoryAtGlance | undefined {
  if (!memory.ok || memory.value.countsCache) return undefined;
  const { value: was } = memory;
  if (reclaimableBytes(was) > was.currentBytes) return undefined;
  const changedMib = bytesToMib(currentBytes) - bytesToMib(was.currentBytes);
  return { usedMib: bytesToMib(workingSetBytes(was)) + Math.max(0, changedMib), changedMib };
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
  const rises = isSteep(before.share, now.share);
  return most(now.saturated) > 0 || rises || now.riseStage === 'watched';
}

const isSteep = (before: number, now: number): boolean =>
  now - before >= STEEP_RISE && now >= SUSPICIOUS_SHARE;

/** From which share on a sample counts as saturated, and how many of them cannot wait. */
export const saturationOf = (
  { scaling, boost }: ContainerPolicy,
  urgentSamples: number,
): { readonly at: number; readonly samples: number } =>
  scaling === 'boost'
    ? { at: boost.saturation, samples: boost.consecutiveSamples }
    : { at: SATURATED, samples: urgentSamples };
