import type { Between } from './between.ts';
import type { Resource } from './decision.ts';
import type { GuestIdentity } from './identity.ts';
import type { Differing } from './in-force.ts';
import type { LearntOfAll } from './learnt.ts';
import type { CgroupSample, Controller, CpuTimes, GuestConfig } from './observation.ts';
import type { Seen } from './pace.ts';
import type { Pause } from './pause.ts';
import type { Taken } from './taken.ts';
import type { Mib, Milliseconds, Ratio, Vmid } from './units.ts';

/** What the loop carries from one cycle to the next, per container. Plain data. */
export interface LoopState {
  /** Counts from 1. */
  cycle: number;
  /** Which guest the rest is remembered of; see `isAnotherGuest`. */
  readonly identities: Map<Vmid, GuestIdentity>;
  /** The sample of the cycle before: rates are differences to it. */
  readonly samples: Map<Vmid, CgroupSample>;
  /** Memory granted by this program; what of it is not yet in use is promised, not free. */
  readonly grants: Map<Vmid, Mib>;
  /** When some of a grant was last in use, or was first seen not to be; see `keepPromise`. */
  readonly grantUsedMs: Map<Vmid, Milliseconds>;
  readonly failures: Map<Vmid, Failure>;
  /** What was seen since the last cycle, by the samples in between. */
  readonly between: Map<Vmid, Between>;
  /** Those that the last cycle saw running, with their configurations: they are sampled. */
  readonly running: Map<Vmid, GuestConfig>;
  hostCpus: number | undefined;
  /** What the last cycles saw, newest last; bounded. See `pace.ts`. */
  readonly seenCores: Map<Vmid, Seen[]>;
  readonly seenMemory: Map<Vmid, Seen[]>;
  /** When a resource of a container was last changed, under `changeKey`. */
  readonly changedMs: Map<string, Milliseconds>;
  /** Memory that the kernel would not give up; see `afterUnproven`. Growth does not wait for it. */
  readonly shrinkRetry: Map<Vmid, Failure>;
  /** Whether the kernel can be asked to give memory up; undefined until that is known. */
  reclaimSupported: boolean | undefined;
  /** What this kernel neither counts nor limits for containers. */
  lacking: ReadonlySet<Controller>;
  /** Cores that are configured and not yet in the cpuset. */
  readonly pendingCores: Map<Vmid, PendingCores>;
  /** When a container was last seen not running: its present life is younger than that. */
  readonly startedMs: Map<Vmid, Milliseconds>;
  /** When an OOM kill was last seen. */
  readonly oomKills: Map<Vmid, Milliseconds>;
  /** When a resource last grew, under `changeKey`. */
  readonly grownMs: Map<string, Milliseconds>;
  /** Cores that were given since tasks waited for a CPU, under `changeKey`; see `waiting.ts`. */
  readonly waited: Map<string, Waited>;
  /** What was taken of a resource, and whether it was needed again, under `changeKey`. */
  readonly taken: Map<string, Taken>;
  /** The last shrink of a container's memory, as long as it may have to be undone. */
  readonly shrunk: Map<Vmid, Shrunk>;
  /** A limit under which the OOM killer struck: for a day it counts as too little. */
  readonly oomFloors: Map<Vmid, OomFloor>;
  /** Memory that the last whole cycle could not give: early decisions keep it for these. */
  readonly refused: Map<Vmid, Refused>;
  /** Boosts that are on, under `changeKey`. */
  readonly boosts: Map<string, Boost>;
  /** What the off-peak time has taken, under `changeKey`, until it is given back for good. */
  readonly offPeak: Map<string, OffPeakTaking>;
  /** What was last written of it for other nodes, '' for nothing; none: not looked for yet. */
  readonly recorded: Map<Vmid, string>;
  /** The values that the last cycle found or this program set: what differs was changed by hand. */
  readonly known: Map<Vmid, KnownValues>;
  /** The operation that writes a container's values anew under its lock: a restore, say. */
  readonly rewriters: Map<Vmid, string>;
  /** What changes under way are to bring about: saved before them, so that a crash loses none. */
  readonly intended: Map<Vmid, Intended>;
  /** Until when a value that was changed by hand is left as it is, under `changeKey`. */
  readonly handHolds: Map<string, Milliseconds>;
  /** Limits that are not the configured ones, under `changeKey`; of `cores` the cpulimit. */
  readonly differing: Map<string, Differing>;
  readonly lastChanges: Map<Vmid, LastChange>;
  /** Mode `adaptive`: what was learnt of each resource of a container, under `changeKey`. */
  readonly learnt: LearntOfAll;
  hostCpu: HostCpu | undefined;
  /** What was last said of a container (and resource) that is left alone: it is said once. */
  readonly said: Map<string, string>;
  /** Why changes could be neither backed up nor recorded when one was last to be made. */
  unrecorded: string | undefined;
  /** Why nothing of this node can be changed now: without quorum, say. */
  pause: Pause | undefined;
  /** How often Proxmox VE could not write although it has quorum, until it can again. */
  refusedWrites: Failure | undefined;
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
  readonly retryAtMs?: Milliseconds;
}

export interface Shrunk {
  readonly fromMib: number;
  readonly atMs: Milliseconds;
}

export interface OomFloor {
  readonly limitMib: number;
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
  readonly givenBackMs: Milliseconds | undefined;
}

/** null: there is no such line. */
export interface KnownValues {
  readonly cores: number | null;
  readonly cpuLimit: number | null;
  readonly memoryMib: Mib;
}

export const valuesOf = ({ cores, cpuLimit, memoryMib }: GuestConfig): KnownValues => ({
  ...{ cores: cores ?? null, cpuLimit: cpuLimit ?? null, memoryMib },
});

/** What a change under way is to bring about, and what is to be known of it after a crash. */
export interface Intended extends KnownValues {
  readonly sinceMs?: Milliseconds;
  /** Why each resource is changed, in words. */
  readonly reasons?: Readonly<Partial<Record<Resource, string>>>;
  /** Boosts that begin with it, under `changeKey`. */
  readonly boosts?: readonly (readonly [string, Boost])[];
  /** It was cut off, and that nothing of it is in force has been said. */
  readonly told?: boolean;
}

export interface LastChange {
  readonly wallMs: Milliseconds;
  /** `cores 2 -> 4 cores, since ...` */
  readonly text: string;
  /** As in the JSON log. */
  readonly status: string;
}

/** The host's CPUs at the last look, and how busy they were until then. */
export interface HostCpu {
  readonly atMs: Milliseconds;
  readonly times: CpuTimes;
  readonly busy: Ratio | undefined;
}

export interface PendingCores {
  readonly cores: number;
  readonly sinceMs: Milliseconds;
  readonly warned: boolean;
}

export function newLoopState(): LoopState {
  return {
    cycle: 0,
    identities: new Map(),
    samples: new Map(),
    grants: new Map(),
    grantUsedMs: new Map(),
    failures: new Map(),
    between: new Map(),
    running: new Map(),
    hostCpus: undefined,
    seenCores: new Map(),
    seenMemory: new Map(),
    changedMs: new Map(),
    shrinkRetry: new Map(),
    reclaimSupported: undefined,
    lacking: new Set(),
    pendingCores: new Map(),
    startedMs: new Map(),
    oomKills: new Map(),
    grownMs: new Map(),
    waited: new Map(),
    taken: new Map(),
    shrunk: new Map(),
    oomFloors: new Map(),
    refused: new Map(),
    boosts: new Map(),
    offPeak: new Map(),
    recorded: new Map(),
    known: new Map(),
    rewriters: new Map(),
    intended: new Map(),
    handHolds: new Map(),
    differing: new Map(),
    lastChanges: new Map(),
    learnt: new Map(),
    hostCpu: undefined,
    said: new Map(),
    unrecorded: undefined,
    pause: undefined,
    refusedWrites: undefined,
  };
}

/**
 * A container that is frozen gives no evidence, neither now nor for the time since it was last
 * seen: no peak, no average, no rate.
 */
export function noteFrozen(state: LoopState, vmid: Vmid, sample: CgroupSample): void {
  state.samples.set(vmid, sample);
  state.between.delete(vmid);
  state.seenCores.delete(vmid);
  state.seenMemory.delete(vmid);
  if (state.grantUsedMs.has(vmid)) state.grantUsedMs.set(vmid, sample.atMs);
}

/** Containers whose cores pvestatd should have applied long ago. */
export const overdueCores = ({ pendingCores }: LoopState): readonly Vmid[] =>
  [...pendingCores].filter(([, { warned }]) => warned).map(([vmid]) => vmid);

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
