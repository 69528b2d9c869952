import { MEMORY_QUANTUM_MIB } from './allocation.ts';
import type { Step } from './cooldown.ts';
import type { HoldReason, Kept } from './decision.ts';
import { type DemandModel, observedMs, peakOfHour, peakOfWeek } from './demand-model.ts';
import { atLeast, memoryNeed, roundDown, roundUp } from './guards.ts';
import type { MemoryUsage } from './observation.ts';
import type { Verdict } from './policies/threshold.ts';
import type { ContainerPolicy } from './policy.ts';

/**
 * How fast memory is taken back, in every mode and by every rule but the end of a boost, and how
 * far. What leaps within seconds leaps faster than any sample sees it, so its room has to be there
 * before. Mode `adaptive` has rooms of its own: `policies/adaptive-memory.ts`.
 *
 * By every other rule a container keeps the largest need of the last day (and of the usual week)
 * and room for one rise: as large as the largest that it has shown, and at least a multiple of its
 * last hour's use. Over both comes the headroom of any need. Sample results for 400 MiB in use,
 * never more; the tests read this table.
 *
 * | behaviour    | room for a rise | keeps at least | survives a leap to |
 * | ------------ | --------------- | -------------- | ------------------ |
 * | conservative | 3 x the use     | 1760           | 4 x the use        |
 * | normal       | 2 x the use     | 1328           | 3 x the use        |
 * | aggressive   | 1 x the use     | 880            | 2 x the use        |
 */

/** A step takes at most this share of what the container has. */
const LARGEST_STEP = 0.25;
/** If the thresholds do not name a least step, less than this is not worth a change. */
const LEAST_STEP_MIB = 64;

/** The room for a rise as a multiple of the use: 3, 2, 1 for half, whole and double steps. */
export const roomFactor = (stepFactor: number): number => 2 - Math.log2(stepFactor);

export interface MemoryPast {
  /** undefined: nothing was seen before. */
  readonly model: DemandModel | undefined;
  readonly usage: MemoryUsage;
  readonly policy: ContainerPolicy;
  /** What its own swap can still take. */
  readonly freeSwapMib: number;
}

/** What a container keeps whatever is idle of it, in MiB. */
export function keptMemory({ model, usage, policy, freeSwapMib }: MemoryPast): Kept {
  const { mayUseSwap } = policy.memory;
  const swapped = mayUseSwap ? 0 : usage.swapMib;
  const now = usage.workingSetMib;
  const peakMib = Math.max(now, model === undefined ? 0 : peakOfWeek(model)) + swapped;
  const hourMib = Math.max(now, model === undefined ? 0 : peakOfHour(model)) + swapped;
  const largest = Math.max(model?.rise ?? 0, roomFactor(policy.stepFactor) * hourMib);
  // With `shrink_into_swap` a rise may begin in the swap.
  const roomMib = Math.max(0, largest - (mayUseSwap ? freeSwapMib : 0));
  return { peakMib, roomMib, mib: roundUp(memoryNeed(peakMib + roomMib), MEMORY_QUANTUM_MIB) };
}

/** The step as it may be taken, or why none is. */
export function slowed(step: Step, past: MemoryPast): Verdict {
  // What was given for a while only is no memory that the container has settled in.
  if (step.verdict === 'grow' || step.rule === 'boost-end') return step;
  const { model, policy } = past;
  const seenMs = model === undefined ? 0 : observedMs(model);
  const leftMs = policy.timing.firstShrinkMs - seenMs;
  if (leftMs > 0) return held(step, { kind: 'observed-briefly', leftMs });
  const { before } = step.measured;
  const kept = isKeeping(step) ? keptMemory(past) : undefined;
  const least = step.rule === 'below-lower' ? policy.memory.minDecreaseMib : LEAST_STEP_MIB;
  if (kept !== undefined && kept.mib > step.after && before - kept.mib < least) {
    return held(step, { kind: 'kept', ...kept });
  }
  const measured = kept === undefined ? step.measured : { ...step.measured, kept };
  const above = kept === undefined ? step : atLeast(step, kept.mib, 'kept');
  const quarter = Math.max(
    MEMORY_QUANTUM_MIB,
    roundDown(before * LARGEST_STEP, MEMORY_QUANTUM_MIB),
  );
  return { ...step, ...atLeast(above, before - quarter, 'quarter'), measured };
}

/** A maximum holds whatever was needed; and `adaptive` has rooms of its own. */
const isKeeping = ({ rule }: Step): boolean => rule !== 'above-maximum' && rule !== 'learnt';

const held = ({ measured }: Step, because: HoldReason): Verdict => ({
  verdict: 'hold',
  because,
  measured,
});
