import type { Resource } from '../allocation.ts';
import type { Hold } from '../decision.ts';
import type { Shortages } from '../guest-record.ts';
import type { JournalEvent } from '../journal-event.ts';
import { oomKills } from '../shortages.ts';
import type { Milliseconds, Vmid } from '../units.ts';

/** What has come about since the last weekly report. Plain data, changed in place. */
export interface Week {
  sinceMs: Milliseconds;
  readonly nodes: Map<string, NodeWeek>;
}

/** The same of one node. */
export interface NodeWeek {
  /** For how long its guests were seen. What happened in other times is not in here. */
  seenMs: number;
  readonly changes: Record<Resource, { up: number; down: number }>;
  failed: number;
  /** Clones that came to groups, and that left them. */
  readonly members: { out: number; in: number };
  /** For how long a guest wanted more than its maximum, as `104/memory`. */
  readonly atMaximumMs: Map<string, number>;
  /** What each guest had been short of when this began, or when it was first seen since. */
  readonly before: Map<Vmid, ShortBefore>;
}

export interface ShortBefore {
  readonly kills: number;
  /** undefined: nobody tells. */
  readonly hits: number | undefined;
}

/** Far more than a node has; bounds what ids that come and go can gather. */
const MOST_GUESTS = 10_000;

export const newWeek = (sinceMs: Milliseconds): Week => ({ sinceMs, nodes: new Map() });

export const newNodeWeek = (): NodeWeek => ({
  seenMs: 0,
  changes: { cores: { up: 0, down: 0 }, memory: { up: 0, down: 0 } },
  failed: 0,
  members: { out: 0, in: 0 },
  atMaximumMs: new Map(),
  before: new Map(),
});

export function nodeOf({ nodes }: Week, name: string): NodeWeek {
  const known = nodes.get(name) ?? newNodeWeek();
  nodes.set(name, known);
  return known;
}

/** Counts a line of the JSON log. Returns whether it counts. */
export function noteOutcome(week: NodeWeek, event: JournalEvent): boolean {
  if (event.kind !== 'change' && event.kind !== 'group') return false;
  switch (event.details.status) {
    case 'confirmed':
    case 'pending':
      if (event.kind === 'change') week.changes[event.resource][event.direction] += 1;
      else week.members[event.direction] += 1;
      return true;
    case 'failed':
    case 'rolled-back':
    case 'partly':
      week.failed += 1;
      return true;
    default:
      return false;
  }
}

export interface SeenGuests {
  /** For how long they have been as they are. */
  readonly lastedMs: number;
  readonly held: readonly Hold[];
  /** Of each guest; undefined: it is not told, or nothing was seen yet. */
  readonly shortages: ReadonlyMap<Vmid, Shortages | undefined>;
}

/** Counts a whole cycle that saw the guests. */
export function noteSeen(week: NodeWeek, { lastedMs, held, shortages }: SeenGuests): void {
  const { atMaximumMs, before } = week;
  week.seenMs += lastedMs;
  for (const { vmid, resource, because } of held) {
    if (because.kind !== 'at-maximum') continue;
    const key = `${vmid}/${resource}`;
    if (!atMaximumMs.has(key) && atMaximumMs.size >= MOST_GUESTS) continue;
    atMaximumMs.set(key, (atMaximumMs.get(key) ?? 0) + lastedMs);
  }
  for (const [vmid, seen] of shortages) {
    if (seen === undefined || before.has(vmid) || before.size >= MOST_GUESTS) continue;
    before.set(vmid, { kills: oomKills(seen), hits: seen.limitHits });
  }
}
