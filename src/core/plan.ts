import type { Budget } from './admission.ts';
import type { Change, Decision, Hold, HoldReason, Rule } from './decision.ts';
import { roundDown } from './guards.ts';
import { kindOf } from './guest-words.ts';
import { partInModules } from './machine-guards.ts';
import { present, type Reading } from './reading.ts';
import { type Mib, mib, type Vmid } from './units.ts';

/** All that changes in one container: one `pct set`. */
export interface PlannedChange {
  readonly vmid: Vmid;
  readonly name: string;
  /** Left out for a container. */
  readonly kind?: 'qemu';
  readonly cores?: Change;
  readonly memory?: Change;
}

export interface Plan {
  /** In the order in which they are carried out. */
  readonly changes: readonly PlannedChange[];
  /** What the policies left alone, and what the host could not give. */
  readonly held: readonly Hold[];
}

/** Bounds a cycle: at half a second a `pct set`, this is under a minute. */
const MAX_CHANGES_PER_CYCLE = 100;
/** Less than this is not worth a change. */
const LEAST_GRANT_MIB = 16;

/**
 * Orders the decisions and grants growth from the budget: shrinking first, since it makes room;
 * then by the priority of the policy; then OOM victims; then who uses the largest share of what it
 * has. A part is given where the whole cannot be. The same input gives the same plan.
 */
export function plan(decisions: readonly Decision[], budget: Budget): Plan {
  const held: Hold[] = [];
  const wanted = new Map<Vmid, PlannedChange>();
  for (const decision of decisions) {
    if (decision.verdict === 'hold') {
      held.push(decision);
      continue;
    }
    const { vmid, name } = decision;
    const begun = wanted.get(vmid) ?? { vmid, name, ...kindOf(decision) };
    wanted.set(vmid, { ...begun, [decision.resource]: decision });
  }
  const changes: PlannedChange[] = [];
  let leftMib = budget.memoryMib.ok ? budget.memoryMib.value : 0;
  for (const change of [...wanted.values()].sort(byUrgency)) {
    const cores = admitCores(change.cores, budget);
    const kept = keptFrom(change, budget);
    const memory = admitMemory(change.memory, budget, Math.max(0, leftMib - kept));
    const admitted: { cores?: Change; memory?: Change } = {};
    if (cores?.verdict === 'hold') held.push(cores);
    else if (cores !== undefined) admitted.cores = cores;
    if (memory?.verdict === 'hold') held.push(memory);
    else if (memory !== undefined) admitted.memory = memory;
    if (admitted.cores?.rule === 'in-force' && admitted.memory !== undefined) {
      // Other commands put a cpulimit right than make a change; memory may be urgent.
      held.push(refused(admitted.cores, { kind: 'next-cycle' }));
      delete admitted.cores;
    }
    if (admitted.cores === undefined && admitted.memory === undefined) continue;
    if (changes.length >= MAX_CHANGES_PER_CYCLE) {
      for (const late of [admitted.cores, admitted.memory]) {
        if (late !== undefined) held.push(refused(late, { kind: 'next-cycle' }));
      }
      continue;
    }
    if (admitted.memory?.verdict === 'grow') {
      leftMib -= admitted.memory.after - admitted.memory.measured.before;
    }
    changes.push({ vmid: change.vmid, name: change.name, ...kindOf(change), ...admitted });
  }
  return { changes, held };
}

function byUrgency(a: PlannedChange, b: PlannedChange): number {
  return (
    rank(a) - rank(b) ||
    priorityOf(b) - priorityOf(a) ||
    starvation(b) - starvation(a) ||
    shareOf(b) - shareOf(a) ||
    a.vmid - b.vmid
  );
}

const growthOf = ({ cores, memory }: PlannedChange): readonly Change[] =>
  [cores, memory].filter((change) => change?.verdict === 'grow').filter(isPresent);

const isPresent = (change: Change | undefined): change is Change => change !== undefined;

/** Shrinking makes room, so it comes first. */
const rank = (change: PlannedChange): number => (growthOf(change).length === 0 ? 0 : 1);

const STARVES: ReadonlySet<Rule | undefined> = new Set(['oom-kill', 'limit-hit', 'rising']);

/** Who was killed or held back for want of memory, or is about to be. */
const starvation = ({ memory }: PlannedChange): number => (STARVES.has(memory?.rule) ? 1 : 0);

const priorityOf = (change: PlannedChange): number =>
  Math.max(0, ...growthOf(change).map(({ priority }) => priority));

const shareOf = (change: PlannedChange): number =>
  Math.max(0, ...growthOf(change).map(({ measured }) => measured.share));

/** What those wait for who come before it; in a whole cycle they have been served already. */
function keptFrom({ vmid, memory }: PlannedChange, { kept }: Budget): number {
  if (memory === undefined) return 0;
  return kept
    .filter((other) => other.vmid !== vmid && other.priority > memory.priority)
    .reduce((sum, { mib }) => sum + mib, 0);
}

function admitCores(change: Change | undefined, budget: Budget): Change | Hold | undefined {
  if (change?.verdict !== 'grow') return change;
  if (budget.coresRefused !== undefined) return refused(change, budget.coresRefused);
  if (!budget.coresCeiling.ok) {
    return refused(change, { kind: 'missing', reading: budget.coresCeiling });
  }
  // What its configuration says it has been given long ago.
  if (change.rule === 'in-force') return change;
  // The reserve is not kept by what the container had all along: it gets that back.
  const ceiling = Math.max(budget.coresCeiling.value, change.norm ?? 0);
  if (change.after <= ceiling) return change;
  const because: HoldReason = { kind: 'host-cores', ceiling };
  if (isAllOrNothing(change)) return fallenBack(change, ceiling, because);
  if (change.measured.before >= ceiling) return refused(change, because);
  return { ...change, after: ceiling, limits: [...change.limits, 'host'] };
}

function admitMemory(
  change: Change | undefined,
  budget: Budget,
  leftMib: number,
): Change | Hold | undefined {
  if (change?.verdict !== 'grow') return change;
  if (budget.memoryRefused !== undefined) return refused(change, budget.memoryRefused);
  if (!budget.memoryMib.ok) return refused(change, { kind: 'missing', reading: budget.memoryMib });
  const { before } = change.measured;
  const step = change.after - before;
  if (step <= leftMib) return change;
  const because: HoldReason =
    budget.memoryBound === 'free'
      ? { kind: 'host-memory', wanted: step, budget: leftMib }
      : { kind: 'overcommit', wanted: step, room: leftMib };
  if (isAllOrNothing(change)) return fallenBack(change, before + leftMib, because);
  const most = before + roundDown(leftMib, LEAST_GRANT_MIB);
  const after = partInModules(most, change.pluggedFrom);
  if (after < before + LEAST_GRANT_MIB) return refused(change, because);
  return { ...change, after, limits: [...change.limits, 'host'] };
}

/** A part of a boost helps nobody, nor a part of what somebody has asked for. */
const isAllOrNothing = ({ rule }: Change): boolean =>
  rule === 'saturated' || rule === 'in-force' || rule === 'asked';

/** A boost is given as it was meant or as its second choice; a part of it would help nobody. */
function fallenBack(change: Change, most: number, because: HoldReason): Change | Hold {
  const { fallback } = change;
  if (fallback === undefined || fallback > most) return refused(change, because);
  return { ...change, after: fallback, limits: [...change.limits, 'host'] };
}

function refused(change: Change, because: HoldReason): Hold {
  const { vmid, name, resource, priority, measured } = change;
  return { vmid, name, ...kindOf(change), resource, priority, verdict: 'hold', because, measured };
}

/** What is left of a budget once a plan is carried out. */
export function leftOf(budget: Budget, { changes }: Plan): Budget {
  const grown = changes.flatMap(growthOf).filter(({ resource }) => resource === 'memory');
  const takenMib = grown.reduce((sum, { after, measured }) => sum + after - measured.before, 0);
  const less = (room: Reading<Mib>): Reading<Mib> =>
    room.ok ? present(mib(Math.max(0, room.value - takenMib))) : room;
  return { ...budget, memoryMib: less(budget.memoryMib), wholeMib: less(budget.wholeMib) };
}
