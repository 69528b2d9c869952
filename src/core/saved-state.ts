import type { Allocation, Resource } from './allocation.ts';
import { CONNECTIONS, type ConnectionName } from './connection.ts';
import type { DaySeen } from './day-seen.ts';
import type { DemandModel } from './demand-model.ts';
import type {
  Aside,
  Boost,
  Differing,
  Failure,
  GuestRecord,
  Intended,
  LastChange,
  OffPeakTaking,
  PendingCores,
  Shortages,
  Shrunk,
  Unsettled,
  Waited,
} from './guest-record.ts';
import type { GuestIdentity } from './identity.ts';
import { type LoopState, recordOf } from './loop-state.ts';
import type { CgroupSample } from './observation.ts';
import {
  type SavedDemandModels,
  saveDemandModels,
  takeDemandModels,
} from './saved-demand-models.ts';
import type { OomFloor } from './shortage.ts';
import type { Taken } from './taken.ts';
import { type Mib, type Milliseconds, milliseconds, parseVmid, type Vmid } from './units.ts';

/**
 * What of the loop's state survives a restart, as a versioned plain object. Times are on the
 * monotonic clock, which counts from the boot of the host, so most of it holds for that boot only;
 * what was granted holds for longer, since the limits do.
 */
export interface SavedState {
  readonly version: typeof SAVED_VERSION;
  /** Which boot the times belong to. */
  readonly boot: string;
  readonly savedMs: number;
  readonly savedWallMs: number;
  readonly guests: readonly (readonly [Vmid, SavedGuest])[];
  /** Whose figures they are. */
  readonly connection?: Maybe<ConnectionName>;
  /** Has a version of its own. */
  readonly learnt?: unknown;
}

type Maybe<T> = T | undefined;

/** Of one guest. A field that is left out is not known: an earlier release had none of it. */
export interface SavedGuest {
  readonly identity?: Maybe<GuestIdentity>;
  readonly grantMib?: Maybe<Mib>;
  readonly failure?: Maybe<Failure>;
  readonly oomFloor?: Maybe<OomFloor>;
  readonly known?: Maybe<Allocation>;
  readonly given?: Maybe<Allocation>;
  readonly shortages?: Maybe<Shortages>;
  readonly day?: Maybe<DaySeen>;
  /** The models of it are with the others. */
  readonly aside?: Maybe<SavedAside>;
  readonly intended?: Maybe<Intended>;
  readonly unsettled?: Maybe<Unsettled>;
  readonly lastChange?: Maybe<LastChange>;
  /** That our block is in its notes. */
  readonly noted?: Maybe<boolean>;
  readonly life?: Maybe<SavedLife>;
  readonly cores?: Maybe<SavedResource>;
  readonly memory?: Maybe<SavedResource>;
}

type SavedAside = Partial<Record<ConnectionName, Maybe<Pick<Aside, 'day' | 'life'>>>>;

export interface SavedLife {
  readonly sample?: Maybe<CgroupSample>;
  readonly pendingCores?: Maybe<PendingCores>;
  readonly startedMs?: Maybe<Milliseconds>;
  readonly oomKillMs?: Maybe<Milliseconds>;
  readonly heldBackMs?: Maybe<Milliseconds>;
  readonly shrinkRetry?: Maybe<Failure>;
  readonly shrunk?: Maybe<Shrunk>;
}

export interface SavedResource {
  readonly changedMs?: Maybe<Milliseconds>;
  readonly grownMs?: Maybe<Milliseconds>;
  readonly waited?: Maybe<Waited>;
  readonly taken?: Maybe<Taken>;
  readonly boost?: Maybe<Boost>;
  readonly offPeak?: Maybe<OffPeakTaking>;
  readonly handHoldMs?: Maybe<Milliseconds>;
  /** So that `once` knows how long a difference has stayed. */
  readonly differing?: Maybe<Differing>;
}

/** One moment on both clocks. */
export interface Instant {
  readonly nowMs: Milliseconds;
  readonly wallMs: Milliseconds;
}

/** To be raised when a field changes its meaning. */
export const SAVED_VERSION = 3;
/** A rate over a longer time than this says nothing of now. */
const OLDEST_SAMPLE_MS = 3_600_000;

const RESOURCES = ['cores', 'memory'] as const;

export function toSaved(
  state: LoopState,
  boot: string | undefined,
  { nowMs, wallMs }: Instant,
): SavedState & { readonly learnt: SavedDemandModels } {
  return {
    version: SAVED_VERSION,
    boot: boot ?? '',
    savedMs: nowMs,
    savedWallMs: wallMs,
    guests: Array.from(state.guests, ([vmid, record]) => [vmid, savedGuest(record)] as const),
    ...(state.connection && { connection: state.connection.by }),
    learnt: saveDemandModels(modelsOf(state)),
  };
}

function savedGuest(record: GuestRecord): SavedGuest {
  const { identity, grantMib, failure, oomFloor, known, given, intended, unsettled, lastChange } =
    record;
  const { shortages, day, aside, noted } = record;
  const { sample, pendingCores, startedMs, oomKillMs, heldBackMs } = record.life;
  const { shrinkRetry, shrunk } = record.life;
  return {
    identity,
    grantMib,
    failure,
    oomFloor,
    known,
    given,
    intended,
    unsettled,
    lastChange,
    noted: noted?.isThere === true ? true : undefined,
    shortages,
    day,
    aside: asideOf(aside),
    life: { sample, pendingCores, startedMs, oomKillMs, heldBackMs, shrinkRetry, shrunk },
    cores: savedResource(record.cores),
    memory: savedResource(record.memory),
  };
}

function asideOf(all: SavedAside, withLives = true): SavedAside {
  const some: SavedAside = {};
  for (const by of CONNECTIONS) {
    const one = all[by];
    if (one !== undefined) some[by] = { day: one.day, life: withLives ? one.life : undefined };
  }
  return some;
}

const savedResource = ({
  model: _,
  loggedHold: __,
  ...kept
}: GuestRecord[Resource]): SavedResource => kept;

function* modelsOf({ guests }: LoopState): Generator<readonly [string, DemandModel]> {
  for (const [vmid, record] of guests) {
    for (const resource of RESOURCES) {
      const { model } = record[resource];
      if (model !== undefined) yield [`${vmid}/${resource}`, model];
      for (const by of CONNECTIONS) {
        const other = record.aside[by]?.[resource];
        if (other !== undefined) yield [`${vmid}/${resource}/${by}`, other];
      }
    }
  }
}

/**
 * Takes over what a former process left.
 *
 * @param boot the boot of now, undefined if it is not known; of another one only what was
 *   granted counts
 */
export function takeOver(
  state: LoopState,
  saved: SavedState,
  boot: string | undefined,
  instant: Instant,
): void {
  const { connection: by } = saved;
  if (by !== undefined) state.connection = { by };
  const isOtherBoot = saved.boot !== boot || saved.savedMs > instant.nowMs;
  for (const [vmid, guest] of saved.guests) {
    const record = recordOf(state, vmid);
    const { identity, grantMib, known, given, shortages, day, intended, lastChange } = guest;
    Object.assign(record, { identity, grantMib, known, given, shortages, day });
    Object.assign(record, { intended, lastChange });
    record.noted = guest.noted === true ? { isThere: true } : undefined;
    Object.assign(record.aside, asideOf(guest.aside ?? {}, !isOtherBoot));
    if (isOtherBoot) takeFromOtherBoot(record, guest, saved, instant);
    else takeFromThisBoot(record, guest, instant);
  }
  for (const [key, model] of takeDemandModels(saved.learnt)) {
    const [id = '', name, by] = key.split('/');
    const vmid = parseVmid(id);
    if (vmid === undefined) continue;
    const record = recordOf(state, vmid);
    const resource = name as Resource;
    if (by === undefined) record[resource].model = model;
    else
      record.aside[by as ConnectionName] = {
        ...record.aside[by as ConnectionName],
        [resource]: model,
      };
  }
}

function takeFromThisBoot(record: GuestRecord, guest: SavedGuest, { nowMs }: Instant): void {
  const { failure, oomFloor, unsettled, life = {} } = guest;
  Object.assign(record, { failure, oomFloor, unsettled });
  Object.assign(record.life, life);
  const { sample } = life;
  // An earlier version of this program did not say whether a container was frozen.
  const isUseful = sample?.life !== undefined && nowMs - sample.atMs <= OLDEST_SAMPLE_MS;
  if (!isUseful) record.life.sample = undefined;
  for (const resource of RESOURCES) Object.assign(record[resource], guest[resource]);
}

/**
 * What was given or taken for a while outlives the boot, though its times do not: a boost is over,
 * what the off-peak time took is still to be given back, and a hand's hold and the
 * memory of an OOM kill and of shrinks go on by the wall clock. No command is at work any more.
 */
function takeFromOtherBoot(
  record: GuestRecord,
  guest: SavedGuest,
  { savedMs, savedWallMs }: SavedState,
  { nowMs, wallMs }: Instant,
): void {
  const awayMs = Math.max(0, wallMs - savedWallMs);
  const here = (atMs: number): Milliseconds => milliseconds(nowMs - (savedMs - atMs + awayMs));
  const { oomFloor } = guest;
  if (oomFloor !== undefined) record.oomFloor = { ...oomFloor, atMs: here(oomFloor.atMs) };
  for (const resource of RESOURCES) {
    const { boost, offPeak, taken, handHoldMs } = guest[resource] ?? {};
    const known = record[resource];
    if (boost !== undefined) known.boost = { ...boost, endMs: nowMs };
    if (offPeak !== undefined && offPeak.givenBackMs === undefined) known.offPeak = offPeak;
    if (taken !== undefined) {
      const flapped = taken.flappedMs === undefined ? {} : { flappedMs: here(taken.flappedMs) };
      known.taken = { ...taken, shrunkMs: here(taken.shrunkMs), ...flapped };
    }
    const leftMs = (handHoldMs ?? 0) - savedMs - awayMs;
    if (leftMs > 0) known.handHoldMs = milliseconds(nowMs + leftMs);
  }
}
