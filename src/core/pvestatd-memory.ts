import { MEMORY_QUANTUM_MIB } from './allocation.ts';
import type { CountsCache, Rule } from './decision.ts';
import { atMost, roundDown } from './guards.ts';
import { partInModules } from './machine-guards.ts';
import { hasFollowed, type MonitorAnswer, machineMemory } from './machine-memory.ts';
import type { GuestConfig, MemoryCounters, MemoryUsage } from './observation.ts';
import { ONLY_IN_USE } from './only-in-use.ts';
import type { Verdict } from './policies/threshold.ts';
import type { ContainerPolicy } from './policy.ts';
import { missing, present, type Reading } from './reading.ts';
import { type Bytes, bytes, type Mib, type Milliseconds } from './units.ts';

/**
 * What pvestatd tells of the memory of a virtual machine whose guest does not tell itself. It is
 * all that the guest's kernel has not left free, page cache too, or all that QEMU has ever
 * touched. So it is never less than what is needed, and mostly much more.
 *
 * Nothing is taken on it. A guest grows on it only if it stays between the upper threshold and
 * nine tenths for six hours: page cache fills a guest up to the brim, and does not stop below.
 * As slow a cache may still be taken for need, so all growth on it ends at 1.25 x what the guest
 * was given.
 *
 * | in use | of 4096 | for | given | is                                             |
 * | ------ | ------- | --- | ----- | ---------------------------------------------- |
 * | 3000   | 73 %    | any | 4096  | no reason to grow                              |
 * | 3500   | 85 %    | 2 h | 4096  | held: it may be cache on its way to the brim   |
 * | 3500   | 85 %    | 6 h | 4096  | grown, to 5120 at most                         |
 * | 3500   | 85 %    | 6 h | 3072  | held: it has more than 3840                    |
 * | 3900   | 95 %    | any | 4096  | held: full of cache, most likely               |
 */

/** One figure of pvestatd. */
export interface PvestatdFigure {
  readonly usedBytes: Bytes;
  /** What it may use: `memory` of its configuration. */
  readonly maxBytes: Bytes;
  readonly isRunning: boolean;
  /** When pvestatd took it, by the clock of the host. */
  readonly wallMs: Milliseconds;
}

/** pvestatd tells every 10 s. */
const OLDEST_MS = 90_000;
const STEADY_MS = 6 * 3_600_000;
const MOST_OF_GIVEN = 1.25;

/** Whether its guest does not tell of its memory, and something could be done if it were known. */
export function needsFigure(answer: MonitorAnswer, { reaches }: GuestConfig): boolean {
  const told = machineMemory(answer);
  return !told.ok && told.why === 'absent' && reaches?.memoryMib.kind === 'live';
}

/** What its guest tells of its memory, or else what pvestatd does. */
export function knownMemory(
  answer: MonitorAnswer,
  config: GuestConfig,
  figure: Reading<PvestatdFigure>,
  wallMs: Milliseconds,
): Reading<MemoryCounters> {
  const told = machineMemory(answer);
  if (told.ok || !needsFigure(answer, config)) return told;
  const fresh = freshFigure(figure, wallMs);
  const known = fresh.ok ? pvestatdMemory(answer, fresh.value, config.memoryMib) : fresh;
  return known.ok ? known : missing(told.why, `${told.detail}; ${known.detail}`);
}

/** The figure, if it is one of now. One of the future is as good as none. */
function freshFigure(
  figure: Reading<PvestatdFigure>,
  wallMs: Milliseconds,
): Reading<PvestatdFigure> {
  if (!figure.ok) return figure;
  const ageMs = wallMs - figure.value.wallMs;
  if (Math.abs(ageMs) > OLDEST_MS) {
    const when = `${Math.round(Math.abs(ageMs) / 1000)} s ${ageMs > 0 ? 'ago' : 'ahead'}`;
    const remedy = 'please look at: systemctl status pvestatd';
    return missing('unreadable', `pvestatd last told of it ${when}; ${remedy}`);
  }
  return figure.value.isRunning ? figure : missing('implausible', 'pvestatd says it does not run');
}

/** Missing if its balloon stands elsewhere: nobody knows what the figure is a share of. */
function pvestatdMemory(
  { actualBytes, stats }: MonitorAnswer,
  figure: PvestatdFigure,
  targetMib: Mib,
): Reading<MemoryCounters> {
  const limitBytes = actualBytes.ok ? actualBytes.value : figure.maxBytes;
  if (!hasFollowed(limitBytes, targetMib)) {
    return missing('implausible', 'its balloon does not stand at its target');
  }
  // Part of what it has never reaches its kernel, which fills the rest with cache.
  const hidden = stats.ok ? Math.max(0, limitBytes - stats.value.totalBytes) : 0;
  return present(countedMemory(bytes(figure.usedBytes + hidden), limitBytes));
}

/**
 * Counters that say no more than what pvestatd does.
 *
 * @param limitBytes what its balloon leaves it
 */
export function countedMemory(inUse: Bytes, limitBytes: Bytes): MemoryCounters {
  // What QEMU needs for itself is in the figure of its process.
  const usedBytes = bytes(Math.min(inUse, limitBytes));
  return {
    ...ONLY_IN_USE,
    currentBytes: usedBytes,
    limitBytes,
    anonBytes: usedBytes,
    countsCache: true,
  };
}

/** Whether it is as full as page cache makes it not. */
export function isCrowded(
  { countsCache, nearLimit, workingSetMib, limitMib = 0 as Mib }: MemoryUsage,
  { memory }: ContainerPolicy,
): boolean {
  return countsCache === true && !nearLimit && workingSetMib > limitMib * memory.band.upper;
}

/** What an administrator has given, or says that it shall have, whatever it uses. */
const NOT_BY_USE: ReadonlySet<Rule> = new Set(['below-minimum', 'peak-again']);

export interface CrowdedSince {
  /** undefined: it is not. */
  readonly crowdedMs: Milliseconds | undefined;
  readonly changedMs: Milliseconds | undefined;
  readonly givenMib: number;
  /** Nobody tells how much of its memory its kernel has at all, so how full it is is not known. */
  readonly isUnseen?: boolean;
  readonly nowMs: Milliseconds;
}

/** A step as it may be taken on such a figure, or why none is. */
export function onPvestatd(verdict: Verdict, usage: MemoryUsage, since: CrowdedSince): Verdict {
  const measured = { ...verdict.measured, countsCache: true as const };
  const held = (because: Omit<CountsCache, 'kind'>): Verdict => ({
    verdict: 'hold',
    because: { kind: 'counts-cache', ...because },
    measured,
  });
  if (verdict.verdict === 'hold') return { ...verdict, measured };
  if (verdict.verdict === 'shrink') return held({ why: 'no-shrink' });
  const { crowdedMs, changedMs, givenMib, nowMs, isUnseen = false } = since;
  const mostMib = roundDown(givenMib * MOST_OF_GIVEN, MEMORY_QUANTUM_MIB);
  const isByUse = !NOT_BY_USE.has(verdict.rule);
  const fromMs = Math.max(crowdedMs ?? nowMs, changedMs ?? Number.NEGATIVE_INFINITY);
  const leftMs = fromMs + STEADY_MS - nowMs;
  if (isByUse && (isUnseen || usage.nearLimit)) return held({ why: 'full' });
  if (isByUse && leftMs > 0) return held({ why: 'not-for-long', leftMs });
  const least = isByUse ? 0 : Math.max(measured.min, givenMib);
  const most = partInModules(Math.max(mostMib, least), verdict.pluggedFrom);
  const { after, limits } = atMost(verdict, most, 'counts-cache');
  if (after <= measured.before) return held({ why: 'enough', mostMib });
  return { ...verdict, after, limits, measured };
}
