import { MEMORY_QUANTUM_MIB } from '../allocation.ts';
import type { Change, HoldReason, Measured, Rule } from '../decision.ts';
import { type DemandModel, peakOfWeek } from '../demand-model.ts';
import {
  atLeast,
  atMost,
  coresNeed,
  largestWithoutShrink,
  memoryNeed,
  type Proposal,
  roundDown,
  roundUp,
  smallestWithoutGrowth,
} from '../guards.ts';
import type { CpuUsage, MemoryUsage } from '../observation.ts';
import type { Band, ContainerPolicy } from '../policy.ts';
import { isHeldBack } from '../shortage.ts';
import { ratio } from '../units.ts';

/**
 * The threshold policy: inside the band [lower, upper] nothing changes; outside it a bounded step
 * leads back into the band, and never to where the next reading would ask for the opposite step.
 *
 * Sample results with the default configuration (band 20..80 %, 1..8 cores in steps of 1..4,
 * memory from 512 MiB in steps of at least 512). The tests read this table.
 *
 * | resource | has   | in use | factor | becomes | why                                           |
 * | -------- | ----- | ------ | ------ | ------- | --------------------------------------------- |
 * | cores    | 2     | 1.9    | 1      | 4       | ceil(1.9 / 0.5) = 4                           |
 * | cores    | 2     | 1.0    | 1      | 2       | 50 %: in the band                             |
 * | cores    | 1     | 0.95   | 1      | 2       | ceil(1.9) = 2                                 |
 * | cores    | 2     | 2.0    | 0.5    | 3       | half a step of 2                              |
 * | cores    | 4     | 4.0    | 2      | 8       | twice a step of 4, and 8 is the maximum       |
 * | cores    | 8     | 1.2    | 1      | 4       | 3 wanted, at most 4 cores a step              |
 * | cores    | 8     | 0.0    | 2      | 1       | twice a step of 4, down to the minimum        |
 * | cores    | 8     | 7.9    | 1      | 8       | starving at its maximum                       |
 * | cpulimit | 1     | 0.95   | 1      | 1.9     | 0.95 / 0.5, in steps of 0.1                   |
 * | cpulimit | 4     | 0.3    | 1      | 1       | 0.6 wanted, and 1 is the minimum              |
 * | cpulimit | 2     | 1.7    | 1      | 3.4     | 1.7 / 0.5, in steps of 0.1                    |
 * | memory   | 1024  | 900    | 1      | 1536    | 70 % would need 1286: the least step is 512   |
 * | memory   | 16384 | 15565  | 1      | 20480   | 70 % would need 22236: a quarter at most      |
 * | memory   | 16384 | 15565  | 2      | 24576   | twice that quarter                            |
 * | memory   | 8192  | 420    | 1      | 848     | 50 % would be 840, in steps of 16             |
 * | memory   | 8192  | 420    | 0.5    | 4528    | half the way                                  |
 * | memory   | 1100  | 209    | 2      | 512     | 50 % would be 418, and 512 is the minimum     |
 * | memory   | 1000  | 150    | 1      | 1000    | 15 %, but less than a step of 512 is to take  |
 * | memory   | 1024  | 100    | 1      | 512     | down to the minimum                           |
 * | memory   | 900   | 100    | 1      | 900     | less than 512 above the minimum               |
 * | memory   | 256   | 100    | 1      | 512     | below the minimum                             |
 */

export type Verdict =
  | Pick<
      Change,
      | 'verdict'
      | 'after'
      | 'unplugs'
      | 'pluggedFrom'
      | 'rule'
      | 'limits'
      | 'measured'
      | 'fallback'
      | 'boostMs'
    >
  | { readonly verdict: 'hold'; readonly because: HoldReason; readonly measured: Measured };

/** Growth aims this far below the upper threshold, so that it is not met again at once. */
const MEMORY_GROWTH_MARGIN = 0.1;
/** A step may be as large as the least increment or as this share of what the container has. */
const MEMORY_LARGEST_STEP = 0.25;

/** Rounding lets a step end this far past a threshold; the next reading must not mind. */
const TOLERANCE = 1e-8;
const isAbove = (share: number, band: Band): boolean => share > band.upper + TOLERANCE;
const isBelow = (share: number, band: Band): boolean => share < band.lower - TOLERANCE;

const middle = (band: Band): number => (band.lower + band.upper) / 2;

/** What a container has of CPU, and what bounds that besides its policy. */
export interface CpuLever {
  /** Its cores, or its cpulimit where that is what is scaled. */
  readonly has: number;
  /** No more than this is of any use, whatever the policy allows. */
  readonly most?: number;
  /** A cpulimit that stands beside the cores that are scaled. */
  readonly cpuLimit?: number | null;
}

/** `pct` takes fractions of a core as a cpulimit; a tenth is as fine as a decision gets. */
export const cpuQuantum = ({ cpu }: ContainerPolicy): number => (cpu.unit === 'cores' ? 1 : 0.1);

/**
 * Decides on CPU: whole cores, or a cpulimit in steps of a tenth. `usage` is what was measured,
 * `peak` the most of it: no step leads below what that needs. What was throttled or waited counts
 * as need too, since a limit hides it.
 */
export function thresholdCores(
  { has, most, cpuLimit }: CpuLever,
  usage: CpuUsage,
  policy: ContainerPolicy,
  peak: number = usage.used,
): Verdict {
  const { band, raises, maxIncrement, minIncrement } = policy.cpu;
  const least = Math.min(policy.cpu.min, most ?? policy.cpu.min);
  const min = raises ? least : Math.min(least, has);
  const { used, allowed } = usage;
  const quantum = cpuQuantum(policy);
  const max = Math.max(min, Math.min(policy.cpu.max, most ?? policy.cpu.max));
  const demand = Math.max(used, usage.demand);
  const share = used / allowed;
  const need = coresNeed(Math.max(demand, peak), band.upper, quantum);
  const plain = { before: has, used, share: ratio(share), band, min, max, need };
  const measured: Measured = demand > used ? { ...plain, demand } : plain;
  const outside = outsideBounds(has, measured, quantum);
  if (outside !== undefined) return outside;
  const above = isAbove(demand / allowed, band);
  if (!above && !isBelow(demand / allowed, band)) return hold(measured, { kind: 'in-band' });

  const wanted = Math.max(
    ...[quantum, roundUp(used / middle(band), quantum)],
    demand > used ? roundUp(demand / band.upper, quantum) : 0,
  );
  const step = (distance: number): number =>
    wholeStep(distance, minIncrement, maxIncrement, policy.stepFactor, quantum);
  if (above) {
    if (has >= max) return hold(measured, { kind: 'at-maximum' });
    if (cpuLimit !== undefined && cpuLimit !== null && cpuLimit < has) {
      return hold(measured, { kind: 'cpulimit', cpuLimit });
    }
    const after = tidy(has + step(wanted - has));
    return grow({ after, limits: [] }, 'above-upper', measured, quantum);
  }
  if (has <= min) return hold(measured, { kind: 'at-minimum' });
  const after = tidy(has - step(has - wanted));
  return shrink({ after, limits: [] }, 'below-lower', measured, quantum);
}

/** Sums of tenths are not quite tenths. */
const tidy = (value: number): number => Math.round(value * 100) / 100;

function wholeStep(
  distance: number,
  least: number,
  most: number,
  factor: number,
  quantum: number,
): number {
  const wanted = Math.min(Math.max(distance, least), most) * factor;
  return Math.max(quantum, roundUp(Math.round(wanted / quantum) * quantum, quantum));
}

/** What is known from earlier, in MiB. */
export interface MemoryBefore {
  /** No shrink leads below it: the OOM killer has struck there. */
  readonly floorMib: number;
  /** What was learnt of its demand. */
  readonly model: DemandModel | undefined;
}

const NOTHING_BEFORE: MemoryBefore = { floorMib: 0, model: undefined };

/**
 * What the container has times this, at the least, follows where it was not enough, whatever
 * `behaviour` says: what it asked for is not known, and each step that is too small costs a kill.
 */
export const AFTER_SHORTAGE = { 'oom-kill': 2, 'limit-hit': 1.5 } as const;

/**
 * Decides on memory in MiB. `maxMib` is the policy's maximum or what the host can give, `peakMib`
 * the largest working set seen: no step leads below what that needs, nor below the floor.
 */
export function thresholdMemory(
  hasMib: number,
  maxMib: number,
  usage: MemoryUsage,
  policy: ContainerPolicy,
  peakMib: number = usage.workingSetMib,
  { floorMib, model }: MemoryBefore = NOTHING_BEFORE,
): Verdict {
  const { band, minIncrementMib, minDecreaseMib, minMib } = policy.memory;
  const used = usage.workingSetMib;
  const share = used / hasMib;
  const { mayUseSwap } = policy.memory;
  const inUse = Math.max(used, peakMib) + (mayUseSwap ? 0 : usage.swapMib);
  const need = Math.max(memoryNeed(inUse), floorMib);
  const min = policy.memory.raises ? minMib : Math.min(minMib, hasMib);
  const max = maxMib;
  const plain = { before: hasMib, used, share: ratio(share), band, min, max, need };
  const measured: Measured = {
    ...plain,
    ...(mayUseSwap && { swapStays: true }),
    ...(usage.slowedByGuard && { slowedByGuard: true }),
  };
  const starved = usage.newOomKills > 0 ? 'oom-kill' : 'limit-hit';
  if (starved === 'oom-kill' || isHeldBack(usage)) {
    if (hasMib >= maxMib) return hold(measured, { kind: 'at-maximum' });
    const askedMib = model === undefined ? 0 : peakOfWeek(model);
    const asked = memoryNeed(Math.max(askedMib, inUse));
    const least = Math.max(asked, hasMib * AFTER_SHORTAGE[starved], minMib);
    const after = roundUp(least, MEMORY_QUANTUM_MIB);
    return clampedToMax({ after, limits: [] }, starved, measured);
  }
  const outside = outsideBounds(hasMib, measured, MEMORY_QUANTUM_MIB);
  if (outside !== undefined) return outside;
  if (isAbove(share, band)) {
    if (hasMib >= maxMib) return hold(measured, { kind: 'at-maximum' });
    const step = memoryGrowthStep(hasMib, used, band, minIncrementMib) * policy.stepFactor;
    const after = hasMib + roundUp(step, MEMORY_QUANTUM_MIB);
    return grow({ after, limits: [] }, 'above-upper', measured, MEMORY_QUANTUM_MIB);
  }
  if (!isBelow(share, band)) return hold(measured, { kind: 'in-band' });
  return memoryShrink(measured, minDecreaseMib, policy.stepFactor);
}

function memoryGrowthStep(hasMib: number, usedMib: number, band: Band, leastMib: number): number {
  const aim = Math.max(band.upper - MEMORY_GROWTH_MARGIN, middle(band));
  const wanted = Math.max(usedMib / aim - hasMib, leastMib);
  return Math.min(wanted, Math.max(leastMib, hasMib * MEMORY_LARGEST_STEP));
}

function memoryShrink(measured: Measured, leastMib: number, factor: number): Verdict {
  const { before, used, band, min, need } = measured;
  const aim = Math.max(used / middle(band), lowestMemory(measured), min, need);
  const left = before - roundUp(aim, MEMORY_QUANTUM_MIB);
  if (before <= min) return hold(measured, { kind: 'at-minimum' });
  if (left < leastMib) {
    return hold(measured, { kind: 'too-little-to-take', left: Math.max(0, left), least: leastMib });
  }
  const after = before - roundDown(left * factor, MEMORY_QUANTUM_MIB);
  return shrink({ after, limits: [] }, 'below-lower', measured, MEMORY_QUANTUM_MIB);
}

const lowestMemory = (measured: Measured): number =>
  smallestWithoutGrowth(measured.used, measured.band.upper, MEMORY_QUANTUM_MIB);

/**
 * An allocation below a minimum that the admin has set is raised to it, one above the maximum
 * lowered towards it.
 */
function outsideBounds(has: number, measured: Measured, quantum: number): Verdict | undefined {
  const { min, max, used, band, share } = measured;
  if (has < min) {
    // Above the band the ordinary step may reach further than the minimum; see `grow`.
    const wanted = isAbove(share, band) ? roundUp(used / middle(band), quantum) : min;
    const after = Math.min(wanted, largestWithoutShrink(used, band.lower, quantum));
    return clampedToMax({ after: Math.max(after, min), limits: [] }, 'below-minimum', measured);
  }
  if (has <= max) return undefined;
  return shrink({ after: max, limits: [] }, 'above-maximum', measured, quantum);
}

function grow(proposal: Proposal, rule: Rule, measured: Measured, quantum: number): Verdict {
  const { before, used, band } = measured;
  const most = largestWithoutShrink(used, band.lower, quantum);
  const bounded = atMost(proposal, most, 'opposite');
  if (bounded.after <= before) return hold(measured, { kind: 'opposite' });
  return clampedToMax(bounded, rule, measured);
}

function clampedToMax(proposal: Proposal, rule: Rule, measured: Measured): Verdict {
  const { after, limits } = atMost(proposal, measured.max, 'maximum');
  if (after <= measured.before) return hold(measured, { kind: 'at-maximum' });
  return { verdict: 'grow', after, rule, limits, measured };
}

function shrink(proposal: Proposal, rule: Rule, measured: Measured, quantum: number): Verdict {
  const { before, used, band, min, need } = measured;
  let bounded = atLeast(proposal, min, 'minimum');
  bounded = atLeast(bounded, roundUp(need, quantum), 'need');
  bounded = atLeast(bounded, smallestWithoutGrowth(used, band.upper, quantum), 'opposite');
  if (bounded.after >= before) {
    const starving = rule === 'above-maximum' && isAbove(measured.share, band);
    return hold(measured, { kind: starving ? 'at-maximum' : 'opposite' });
  }
  return { verdict: 'shrink', after: bounded.after, rule, limits: bounded.limits, measured };
}

function hold(measured: Measured, because: HoldReason): Verdict {
  return { verdict: 'hold', because, measured };
}
