import type { Milliseconds } from '../units.ts';
import type { GroupPolicy } from './group-policy.ts';
import type { GroupState } from './group-state.ts';
import { isWarm, type Member, meanLoad } from './members.ts';

/** How many members the load asks for. */

export interface Weighed {
  readonly verdict: 'out' | 'in' | 'stay';
  /** How many there should be. */
  readonly wanted: number;
  /** A sentence without its full stop. */
  readonly reason: string;
}

/** So long it is waited beyond the grace period for members that could still grow themselves. */
const VERTICAL_PATIENCE_MS = 900_000;
/** A step in never lands so near to the upper threshold that a step out would follow. */
const IN_MARGIN = 0.9;
const MOST_GROWTH = 2;

const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** `90 % CPU and 80 % memory`, of what there is a word to say about. */
const shares = (cpu: number | undefined, memory: number | undefined): string =>
  [
    ...(cpu === undefined ? [] : [`${percent(cpu)} CPU`]),
    ...(memory === undefined ? [] : [`${percent(memory)} memory`]),
  ].join(' and ');

function whyNoLoad(serving: readonly Member[], warm: readonly Member[]): string {
  if (serving.length === 0) return 'no member is in service';
  if (warm.length > 0) return 'no load could be read of any member in service';
  return 'all in service are still warming up, so their load does not count yet';
}

/**
 * Weighs the mean load over the members in service. Out: above an upper threshold for the grace
 * period, where each has all that it may have itself (or did not get it in time); to as many as
 * bring the mean down to the threshold, `ceil(n * mean / upper)`, at most twice as many. Source:
 * the algorithm of the Kubernetes HorizontalPodAutoscaler. In: below all lower thresholds for the
 * grace period, one at a time, and only where the others could carry the load.
 *
 * @param serving all that are in service, warm or not; the state's timers are kept here
 */
export function weigh(
  policy: GroupPolicy,
  serving: readonly Member[],
  state: GroupState,
  nowMs: Milliseconds,
): Weighed {
  const warm = serving.filter((member) => isWarm(member, policy, nowMs));
  const { readable, cpu, memory } = meanLoad(warm);
  const count = serving.length;
  const stay = (reason: string): Weighed => ({ verdict: 'stay', wanted: count, reason });
  if (readable.length === 0) {
    keepTimers(state, false, false, nowMs);
    return stay(whyNoLoad(serving, warm));
  }
  const load = `the mean of ${readable.length} in service is ${shares(cpu, memory)}`;
  const overCpu = cpu > policy.upper.cpu;
  const overMemory = memory > policy.upper.memory;
  const above = (overCpu || overMemory) && readable.length * 2 >= warm.length;
  const below = !overCpu && !overMemory && isBelow(policy, cpu, memory);
  keepTimers(state, above, below && readable.length === serving.length, nowMs);
  const { upper, lower } = policy;
  const over = shares(overCpu ? upper.cpu : undefined, overMemory ? upper.memory : undefined);
  const loadAbove = `${load}, above the upper threshold of ${over}`;
  const loadBelow = `${load}, below the lower threshold of ${shares(lower.cpu, lower.memory)}`;
  const since = (start: number | undefined): number => (start === undefined ? -1 : nowMs - start);
  const changed =
    state.changedMs === undefined ? Number.POSITIVE_INFINITY : nowMs - state.changedMs;
  if (above) {
    const aboveMs = since(state.aboveSinceMs);
    if (aboveMs < policy.outGraceMs || changed < policy.outGraceMs) {
      return stay(`${loadAbove}, within the grace period`);
    }
    const atLimit = readable.every(
      ({ life }) => (!overCpu || life.atLimit.cpu) && (!overMemory || life.atLimit.memory),
    );
    if (!atLimit && aboveMs < policy.outGraceMs + VERTICAL_PATIENCE_MS) {
      return stay(`${loadAbove}; members may still grow themselves`);
    }
    const share = Math.max(cpu / policy.upper.cpu, memory / policy.upper.memory);
    const wanted = Math.max(count + 1, Math.ceil(Math.min(share, MOST_GROWTH) * count));
    return { verdict: 'out', wanted, reason: loadAbove };
  }
  if (state.belowSinceMs === undefined) return stay(`${load}, between the thresholds`);
  if (count <= policy.minInstances) return stay(`${loadBelow}; it has as few members as it may`);
  if (since(state.belowSinceMs) < policy.inGraceMs || changed < policy.inGraceMs) {
    return stay(`${loadBelow}, within the grace period`);
  }
  if (!projectedFits(policy, { cpu, memory }, count))
    return stay(`${loadBelow}; with one member less a step out would follow`);
  return { verdict: 'in', wanted: count - 1, reason: loadBelow };
}

/** Whether the load of so many could be carried by one less, well below the upper thresholds. */
export function projectedFits(
  { upper }: GroupPolicy,
  { cpu, memory }: { readonly cpu: number; readonly memory: number },
  count: number,
): boolean {
  const projected = count / Math.max(1, count - 1);
  return cpu * projected < upper.cpu * IN_MARGIN && memory * projected < upper.memory * IN_MARGIN;
}

/** Below every lower threshold that is set, of which there is at least one. */
function isBelow({ lower }: GroupPolicy, cpu: number, memory: number): boolean {
  if (lower.cpu === undefined && lower.memory === undefined) return false;
  const fits = (share: number, limit: number | undefined) => limit === undefined || share < limit;
  return fits(cpu, lower.cpu) && fits(memory, lower.memory);
}

function keepTimers(state: GroupState, above: boolean, below: boolean, nowMs: Milliseconds): void {
  state.aboveSinceMs = above ? (state.aboveSinceMs ?? nowMs) : undefined;
  state.belowSinceMs = below ? (state.belowSinceMs ?? nowMs) : undefined;
}
