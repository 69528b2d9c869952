import type { Decision } from '../core/decision.ts';
import type { JournalEvent } from '../core/journal-event.ts';
import type { Milliseconds } from '../core/units.ts';

/**
 * What has happened since this process began, as counters. Kept whether or not anybody asks, since
 * a counter that begins late is wrong; that takes some kilobytes, and never more.
 */
export interface Tally {
  /** Whole cycles that saw the containers, and those that did not. */
  readonly cycles: { good: number; blind: number };
  /** When the last good one ended, on both clocks; undefined before the first. */
  lastGood: { readonly wallMs: Milliseconds; readonly atMs: Milliseconds } | undefined;
  /** When the last one of either kind ended, on the monotonic clock. */
  lastMs: Milliseconds | undefined;
  /** Time spent in the stages of whole cycles. */
  readonly stages: Map<string, { ms: number; count: number }>;
  /** Under `keyOf` of resource, direction and result. */
  readonly changes: Map<string, number>;
  /** Under `keyOf` of resource and reason: what the host could not give in a whole cycle. */
  readonly refusals: Map<string, number>;
  /** Under `keyOf` of group, direction and result. */
  readonly groupChanges: Map<string, number>;
  readonly reloads: { done: number; refused: number };
  unwrittenLines: number;
}

export const newTally = (): Tally => ({
  cycles: { good: 0, blind: 0 },
  lastGood: undefined,
  lastMs: undefined,
  stages: new Map(),
  changes: new Map(),
  refusals: new Map(),
  groupChanges: new Map(),
  reloads: { done: 0, refused: 0 },
  unwrittenLines: 0,
});

/** A bound for what should be bounded by itself, so that no slip fills the memory. */
const MOST_KEYS = 1000;
const SEPARATOR = '\t';

export const keyOf = (...parts: readonly string[]): string => parts.join(SEPARATOR);
export const partsOf = (key: string): readonly string[] => key.split(SEPARATOR);

function add(counts: Map<string, number>, key: string, by = 1): void {
  const before = counts.get(key);
  if (before === undefined && counts.size >= MOST_KEYS) return;
  counts.set(key, (before ?? 0) + by);
}

/** A line of the JSON log, written or not. */
export function noteEvent(tally: Tally, event: JournalEvent, isWritten: boolean): void {
  if (!isWritten) tally.unwrittenLines += 1;
  if (event.kind === 'change') {
    const { resource, direction, details } = event;
    add(tally.changes, keyOf(resource === 'cores' ? 'cpu' : 'memory', direction, details.status));
  } else if (event.kind === 'group' && event.details.status !== 'asked') {
    const { direction, details } = event;
    add(tally.groupChanges, keyOf(details.group, direction, details.status));
  }
}

/** Reasons of the host, which a container itself has no part in. */
export const REFUSALS = [
  'host-memory',
  'host-cores',
  'overcommit',
  'host-busy',
  'host-pressure',
  'host-full',
  'host-emergency',
] as const;
const IS_REFUSAL: ReadonlySet<string> = new Set(REFUSALS);

export interface GoodCycle {
  readonly spentMs: ReadonlyMap<string, number>;
  readonly held: readonly Decision[];
}

/** A whole cycle is over. */
export function noteCycle(
  tally: Tally,
  now: { readonly wallMs: Milliseconds; readonly atMs: Milliseconds },
  cycle: GoodCycle | undefined,
): void {
  tally.lastMs = now.atMs;
  if (cycle === undefined) {
    tally.cycles.blind += 1;
    return;
  }
  tally.cycles.good += 1;
  tally.lastGood = now;
  for (const [stage, ms] of cycle.spentMs) {
    const spent = tally.stages.get(stage) ?? { ms: 0, count: 0 };
    tally.stages.set(stage, { ms: spent.ms + ms, count: spent.count + 1 });
  }
  for (const one of cycle.held) {
    if (one.verdict !== 'hold' || !IS_REFUSAL.has(one.because.kind)) continue;
    add(tally.refusals, keyOf(one.resource === 'cores' ? 'cpu' : 'memory', one.because.kind));
  }
}
