import type { Allocation, Resource } from './allocation.ts';
import { CONNECTIONS, type ConnectionName } from './connection.ts';
import type { UseSample } from './cooldown.ts';
import type { DaySeen } from './day-seen.ts';
import type { Rule } from './decision.ts';
import type { DemandModel } from './demand-model.ts';
import type { GuestIdentity } from './identity.ts';
import type { MemoryGuard } from './memory-guard.ts';
import type { CgroupSample, GuestConfig } from './observation.ts';
import type { SamplingInterval } from './sampling-interval.ts';
import type { OomFloor } from './shortage.ts';
import type { Taken } from './taken.ts';
import type { Mib, Milliseconds } from './units.ts';

/**
 * All that is remembered of one guest. Plain data, changed in place. Every field is there from the
 * beginning; undefined stands for nothing known. What is saved is said in `saved-state.ts`.
 */
export interface GuestRecord {
  /** Which guest the rest is about; see `isAnotherGuest`. */
  identity: GuestIdentity | undefined;
  /** Its configuration, if the last cycle saw it running: then it is sampled. */
  running: GuestConfig | undefined;
  /** What ends with the life of its processes. */
  life: GuestLife;
  readonly cores: ResourceRecord;
  readonly memory: ResourceRecord;
  /** Memory that this program granted; what of it is not in use yet is promised, not free. */
  grantMib: Mib | undefined;
  failure: Failure | undefined;
  /** A limit under which the OOM killer struck: for a day it counts as too little. */
  oomFloor: OomFloor | undefined;
  /** Memory that the last whole cycle could not give: early decisions keep it for this guest. */
  refused: Refused | undefined;
  /** What was last written of it for other nodes, '' for nothing; undefined: not looked for yet. */
  recorded: string | undefined;
  /** The values that the last cycle found or this program set: other ones were set by hand. */
  known: Allocation | undefined;
  /** What an administrator gave it; undefined: not seen yet. */
  given: Allocation | undefined;
  /** How often it was short of memory; undefined: that is not told, or nothing was seen yet. */
  shortages: Shortages | undefined;
  /** What was seen of its memory where nothing can be proven, and it may shrink all the same. */
  day: DaySeen | undefined;
  /** The operation that writes its values anew under a lock: a restore, for example. */
  rewriter: string | undefined;
  /** What a change under way is to bring about: saved before it, so that a crash loses nothing. */
  intended: Intended | undefined;
  /** A machine's last change, as long as it may have left something for the next start. */
  unsettled: Unsettled | undefined;
  lastChange: LastChange | undefined;
  /** What was written in its notes; undefined: nothing that is known. */
  noted: Noted | undefined;
  /** Why it is skipped, as the log said last: it says so once. */
  loggedSkip: string | undefined;
  /** Since when it is not listed; see `away.ts`. */
  awaySinceMs: Milliseconds | undefined;
  /**
   * What is known of it by the other connection to its node; of the one in use, until it is seen by
   * that. See `follow-connection.ts`.
   */
  readonly aside: Partial<Record<ConnectionName, Aside>>;
}

/** What goes by the figures of one connection, and is worth keeping while another is in use. */
export interface Aside {
  readonly day?: DaySeen | undefined;
  readonly cores?: DemandModel | undefined;
  readonly memory?: DemandModel | undefined;
  /** The life that it saw last; left out: none yet. */
  readonly life?: LifeSeen | undefined;
}

/** As in the sample of a cgroup. */
export interface LifeSeen {
  readonly identity: number;
  readonly atMs: Milliseconds;
}

/** A restart of the guest begins this anew; see `endLife`. */
export interface GuestLife {
  /** The sample of the cycle before: rates are differences to it. */
  sample: CgroupSample | undefined;
  /** What the samples since the last cycle saw. */
  interval: SamplingInterval | undefined;
  /** Cores that are configured and not in the cpuset yet. */
  pendingCores: PendingCores | undefined;
  /** When the guest was last seen not running: its present life is younger than that. */
  startedMs: Milliseconds | undefined;
  /** When an OOM kill was last seen. */
  oomKillMs: Milliseconds | undefined;
  /** When it was last seen to wait for memory at its own limit, or at its memory guard. */
  heldBackMs: Milliseconds | undefined;
  /** Memory that the kernel would not give up; see `afterUnproven`. Growth does not wait for it. */
  shrinkRetry: Failure | undefined;
  /** The last shrink of its memory, as long as it may have to be undone. */
  shrunk: Shrunk | undefined;
  /** Where its `memory.high` is held below its limit; undefined: not looked at yet. */
  guard: MemoryGuard | undefined;
  /** When some of a grant was last in use, or was first seen not to be; see `keepPromise`. */
  grantUsedMs: Milliseconds | undefined;
  /** Since when its memory is crowded, by a figure that counts cache; see `isCrowded`. */
  crowdedMs: Milliseconds | undefined;
  /** What the last cycles saw of a resource, newest last; bounded. See `cooldown.ts`. */
  readonly seen: Record<Resource, readonly UseSample[]>;
}

/** What is remembered of one resource of a guest. It outlives a restart of the guest. */
export interface ResourceRecord {
  changedMs: Milliseconds | undefined;
  grownMs: Milliseconds | undefined;
  /** Cores that were given since tasks waited for a CPU; see `waiting.ts`. */
  waited: Waited | undefined;
  /** What was taken, and whether it was needed again. */
  taken: Taken | undefined;
  /** The boost that is on. */
  boost: Boost | undefined;
  /** What the off-peak time has taken, until it is given back for good. */
  offPeak: OffPeakTaking | undefined;
  /** Until when a value that was changed by hand is left as it is. */
  handHoldMs: Milliseconds | undefined;
  /** The live limit, if it is not the configured one; of `cores` this is the cpulimit. */
  differing: Differing | undefined;
  /** What was learnt of the demand. */
  model: DemandModel | undefined;
  /** Why nothing is changed, as the log said last: it says so once. */
  loggedHold: string | undefined;
}

export interface Differing {
  readonly live: number | null;
  readonly configured: number | null;
  readonly sinceMs: Milliseconds;
}

/** How often a guest was short of memory since it was first seen, over all its restarts. */
export interface Shortages {
  /** Kills for its own limit. */
  readonly kills: number;
  /** Kills for the limit of a cgroup inside of it. */
  readonly nested: number;
  /** Kills by the host, which was out of memory; this and the next undefined: nobody tells. */
  readonly byHost: number | undefined;
  /** Times that it met its own limit. */
  readonly limitHits: number | undefined;
  /** When a kill of any kind was last seen. */
  readonly killedWallMs: Milliseconds | undefined;
}

export interface Failure {
  readonly count: number;
  readonly retryAtMs: Milliseconds;
}

export interface Waited {
  readonly before: number;
  readonly after: number;
  /** In which share of the time its tasks waited, before. */
  readonly share: number;
  readonly atMs: Milliseconds;
  /** How often in a row it was no help, and until when it is not tried again. */
  readonly count: number;
  readonly retryAtMs?: Milliseconds | undefined;
}

export interface Shrunk {
  readonly fromMib: number;
  readonly atMs: Milliseconds;
}

export interface Refused {
  readonly mib: number;
  readonly priority: number;
}

export interface Boost {
  /** What it had, and goes back to. */
  readonly before: number;
  readonly boosted: number;
  readonly endMs: Milliseconds;
}

export interface OffPeakTaking {
  /** What it had before, and gets back. */
  readonly before: number;
  /** undefined: it has not been given back yet. */
  readonly givenBackMs?: Milliseconds | undefined;
}

/** What a change under way is to bring about, and what is to be known of it after a crash. */
export interface Intended extends Allocation {
  readonly sinceMs?: Milliseconds | undefined;
  /** Why each resource is changed, in words. */
  readonly reasons?: Readonly<Partial<Record<Resource, string | undefined>>> | undefined;
  /** By which rule each is changed; a state of an earlier release does not say so. */
  readonly rules?: Readonly<Partial<Record<Resource, Rule | undefined>>> | undefined;
  /** Boosts that begin with it. */
  readonly boosts?: Readonly<Partial<Record<Resource, Boost | undefined>>> | undefined;
  /** It was cut off, and that nothing of it is in force has been said. */
  readonly told?: boolean | undefined;
}

export interface Unsettled {
  /** Of its configuration, and none that was pending before. */
  readonly keys: readonly string[];
  readonly sinceMs: Milliseconds;
}

/** Of `write_notes`. */
export interface Noted {
  /** Our block is in its notes, as far as is known. */
  readonly isThere: boolean;
  /** Why it is not as it should be, as the log said last: it says so once. */
  readonly problem?: string;
  /** When it is tried again to remove it. */
  readonly retryMs?: Milliseconds;
}

export interface LastChange {
  readonly wallMs: Milliseconds;
  /** `cores 2 -> 4 cores, since ...` */
  readonly text: string;
  /** As in the JSON log. */
  readonly status: string;
}

export interface PendingCores {
  readonly cores: number;
  readonly sinceMs: Milliseconds;
  readonly warned: boolean;
}

export function newGuestRecord(): GuestRecord {
  return {
    identity: undefined,
    running: undefined,
    life: newLife(),
    cores: newResourceRecord(),
    memory: newResourceRecord(),
    grantMib: undefined,
    failure: undefined,
    oomFloor: undefined,
    refused: undefined,
    recorded: undefined,
    known: undefined,
    given: undefined,
    shortages: undefined,
    day: undefined,
    rewriter: undefined,
    intended: undefined,
    unsettled: undefined,
    lastChange: undefined,
    noted: undefined,
    loggedSkip: undefined,
    awaySinceMs: undefined,
    aside: {},
  };
}

function newLife(): GuestLife {
  return {
    sample: undefined,
    interval: undefined,
    pendingCores: undefined,
    startedMs: undefined,
    oomKillMs: undefined,
    heldBackMs: undefined,
    shrinkRetry: undefined,
    shrunk: undefined,
    guard: undefined,
    grantUsedMs: undefined,
    crowdedMs: undefined,
    seen: { cores: [], memory: [] },
  };
}

const newResourceRecord = (): ResourceRecord => ({
  changedMs: undefined,
  grownMs: undefined,
  waited: undefined,
  taken: undefined,
  boost: undefined,
  offPeak: undefined,
  handHoldMs: undefined,
  differing: undefined,
  model: undefined,
  loggedHold: undefined,
});

/**
 * A guest that stopped or was restarted begins a new life: what was seen of the old one does not
 * count. What was granted does: the raised limit is still its own, to be called in again.
 */
export function endLife(record: GuestRecord, nowMs: Milliseconds): void {
  record.life = { ...newLife(), startedMs: nowMs };
  for (const by of CONNECTIONS) {
    const known = record.aside[by];
    if (known?.life !== undefined) record.aside[by] = { ...known, life: undefined };
  }
}

/**
 * The same life, seen by other means: of what was measured nothing counts, and of what has happened
 * to it what keeps memory from being taken.
 */
export function renewLife(record: GuestRecord): void {
  const { startedMs, oomKillMs, heldBackMs, shrinkRetry } = record.life;
  record.life = { ...newLife(), startedMs, oomKillMs, heldBackMs, shrinkRetry };
}

/**
 * A container that is frozen gives no evidence, neither now nor for the time since it was last
 * seen: no peak, no average, no rate.
 */
export function noteFrozen({ life }: GuestRecord, sample: CgroupSample): void {
  life.sample = sample;
  life.interval = undefined;
  life.seen.cores = [];
  life.seen.memory = [];
  if (life.grantUsedMs !== undefined) life.grantUsedMs = sample.atMs;
}

/** A grant grows with each step up and shrinks with each step down; there is none below zero. */
export function addGrant(record: GuestRecord, stepMib: number): void {
  const granted = (record.grantMib ?? 0) + stepMib;
  record.grantMib = granted > 0 ? (granted as Mib) : undefined;
}

const FIRST_RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 3_600_000;

/** A change that failed waits: a minute, then twice as long each time, an hour at most. */
export function afterFailure(before: Failure | undefined, nowMs: Milliseconds): Failure {
  return later(before, nowMs, FIRST_RETRY_MS, LONGEST_RETRY_MS);
}

const FIRST_UNPROVEN_MS = 300_000;
const LONGEST_UNPROVEN_MS = 6 * 3_600_000;

/**
 * Asking takes cache from a container, so one that did not give up enough is not asked again soon:
 * after five minutes, then twice as long each time, six hours at most.
 */
export function afterUnproven(before: Failure | undefined, nowMs: Milliseconds): Failure {
  return later(before, nowMs, FIRST_UNPROVEN_MS, LONGEST_UNPROVEN_MS);
}

const FIRST_UNDONE_MS = 3_600_000;
const LONGEST_UNDONE_MS = 24 * 3_600_000;

/** A shrink that had to be undone is not tried again for an hour, then twice as long each time. */
export function afterUndone(before: Failure | undefined, nowMs: Milliseconds): Failure {
  return later(before, nowMs, FIRST_UNDONE_MS, LONGEST_UNDONE_MS);
}

function later(
  before: Failure | undefined,
  nowMs: Milliseconds,
  firstMs: number,
  longestMs: number,
): Failure {
  const count = (before?.count ?? 0) + 1;
  const waitMs = Math.min(firstMs * 2 ** (count - 1), longestMs);
  return { count, retryAtMs: (nowMs + waitMs) as Milliseconds };
}
