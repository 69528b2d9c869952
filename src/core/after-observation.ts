import { keepPromise } from './admission.ts';
import { withUseSample } from './cooldown.ts';
import type { GuestRecord } from './guest-record.ts';
import { learnCores, learnMemory } from './learning.ts';
import type { CpuUsage, MemoryUsage } from './observation.ts';
import type { ContainerPolicy } from './policy.ts';
import { isCrowded } from './pvestatd-memory.ts';
import type { Reading } from './reading.ts';
import type { SamplingInterval } from './sampling-interval.ts';
import { isHeldBack, oomFloorMib } from './shortage.ts';
import type { Milliseconds } from './units.ts';

/** What a cycle has seen of a guest, for its record. The loop and the backtest go through here. */
export interface Observation {
  /** Since the cycle before. */
  readonly cpu: Reading<CpuUsage>;
  readonly memory: Reading<MemoryUsage>;
  /** What the samples in between saw. */
  readonly interval: SamplingInterval | undefined;
  /** A decision is brought forward: the interval goes on after it. */
  readonly early?: boolean;
  /** undefined: it is not managed, and nothing is learnt of it. */
  readonly policy: ContainerPolicy | undefined;
  readonly nowMs: Milliseconds;
  readonly wallMs: Milliseconds;
}

/** Takes in what a cycle has seen of a guest that runs. */
export function afterObservation(record: GuestRecord, seen: Observation): void {
  keepSeen(record, seen);
  noteCrowded(record, seen);
  if (seen.policy !== undefined) learnSeen(record, seen, seen.policy);
  if (!seen.memory.ok) return;
  noteStarvation(record, seen.memory.value, seen.nowMs);
  keepPromise(record, seen.memory.value, seen.nowMs);
}

/** The last one is told all the same. */
const NOBODY_ASKS = { periodsUp: 1, periodsDown: 1 } as const;

/** A reading that is missing ends the window: a step never rests on a series with a gap. */
function keepSeen(
  { life }: GuestRecord,
  { cpu, memory, interval, policy, early = false }: Observation,
): void {
  const { periodsUp, periodsDown } = policy?.timing ?? NOBODY_ASKS;
  const most = Math.max(periodsUp, periodsDown);
  const { cpuPeak = 0, memoryPeak = 0 } = interval ?? {};
  // What cannot wait is judged by what is so now, and by no average.
  const { memorySum = 0, memoryCount = 0 } = (early ? undefined : interval) ?? {};
  const cores = cpu.ok
    ? {
        used: cpu.value.used,
        peak: Math.max(cpu.value.used, cpuPeak),
        demand: cpu.value.demand,
        early,
      }
    : undefined;
  life.seen.cores = withUseSample(life.seen.cores, cores, most);
  const mib = memory.ok ? memory.value.workingSetMib : undefined;
  const held =
    mib === undefined
      ? undefined
      : { used: (memorySum + mib) / (memoryCount + 1), peak: Math.max(mib, memoryPeak), early };
  life.seen.memory = withUseSample(life.seen.memory, held, most);
}

/**
 * Takes into what is learnt of a container what was just kept of it: of memory in every mode, of
 * CPU where something is decided by it.
 */
function learnSeen(
  { life, cores, memory }: GuestRecord,
  seen: Observation,
  { scaling }: ContainerPolicy,
): void {
  if (scaling === 'adaptive' && seen.cpu.ok) learnCores(cores, seen.cpu.value, seen.wallMs);
  const mib = life.seen.memory.at(-1);
  if (!seen.memory.ok || mib === undefined || seen.memory.value.countsCache) return;
  learnMemory(memory, seen.memory.value, mib.peak, seen.wallMs);
}

/** A gap, too, ends it. */
function noteCrowded({ life }: GuestRecord, { memory, policy, nowMs }: Observation): void {
  const isSo = memory.ok && policy !== undefined && isCrowded(memory.value, policy);
  life.crowdedMs = isSo ? (life.crowdedMs ?? nowMs) : undefined;
}

function noteStarvation(record: GuestRecord, memory: MemoryUsage, atMs: Milliseconds): void {
  const { newOomKills, newOtherKills, limitMib } = memory;
  if (newOomKills + newOtherKills.byHost > 0) record.life.oomKillMs = atMs;
  if (isHeldBack(memory)) record.life.heldBackMs = atMs;
  if (newOomKills === 0 || limitMib === undefined) return;
  if (oomFloorMib(record.oomFloor, atMs) < limitMib) record.oomFloor = { limitMib, atMs };
}
