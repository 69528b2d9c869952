import { type GuestIdentity, parseGuestIdentity } from './identity.ts';
import type { Differing } from './in-force.ts';
import type {
  Boost,
  Failure,
  Intended,
  KnownValues,
  LastChange,
  LoopState,
  OffPeakTaking,
  OomFloor,
  PendingCores,
  Shrunk,
  Waited,
} from './loop-state.ts';
import type { CgroupSample } from './observation.ts';
import { missing, present, type Reading } from './reading.ts';
import { type SavedLearnt, saveLearnt, takeLearnt } from './saved-learnt.ts';
import type { Taken } from './taken.ts';
import {
  isMoment,
  type Mib,
  type Milliseconds,
  milliseconds,
  parseVmid,
  type Vmid,
} from './units.ts';

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
  /** Which guests the rest is about. Left out by releases before 0.2. */
  readonly identities?: readonly (readonly [Vmid, GuestIdentity])[];
  readonly grants: readonly (readonly [Vmid, Mib])[];
  readonly samples: readonly (readonly [Vmid, CgroupSample])[];
  readonly failures: readonly (readonly [Vmid, Failure])[];
  readonly shrinkRetry: readonly (readonly [Vmid, Failure])[];
  readonly pendingCores: readonly (readonly [Vmid, PendingCores])[];
  readonly startedMs: readonly (readonly [Vmid, Milliseconds])[];
  readonly oomKills: readonly (readonly [Vmid, Milliseconds])[];
  readonly changedMs: readonly (readonly [string, Milliseconds])[];
  readonly grownMs: readonly (readonly [string, Milliseconds])[];
  /** An earlier release has none of these two. */
  readonly waited?: readonly (readonly [string, Waited])[];
  readonly taken?: readonly (readonly [string, Taken])[];
  readonly shrunk: readonly (readonly [Vmid, Shrunk])[];
  readonly oomFloors: readonly (readonly [Vmid, OomFloor])[];
  readonly boosts: readonly (readonly [string, Boost])[];
  readonly offPeak: readonly (readonly [string, OffPeakTaking])[];
  readonly known: readonly (readonly [Vmid, KnownValues])[];
  readonly intended: readonly (readonly [Vmid, Intended])[];
  readonly handHolds: readonly (readonly [string, Milliseconds])[];
  /** So that `once` knows how long a difference has stayed. An earlier release has none. */
  readonly differing?: readonly (readonly [string, Differing])[];
  /** Has a version of its own. */
  readonly learnt: SavedLearnt;
  readonly lastChanges: readonly (readonly [Vmid, LastChange])[];
}

/** One moment on both clocks. */
export interface Instant {
  readonly nowMs: Milliseconds;
  readonly wallMs: Milliseconds;
}

/** To be raised when a field changes its meaning. */
export const SAVED_VERSION = 2;
/** A rate over a longer time than this says nothing of now. */
const OLDEST_SAMPLE_MS = 3_600_000;

export function toSaved(
  state: LoopState,
  boot: string | undefined,
  { nowMs, wallMs }: Instant,
): SavedState {
  return {
    ...{ version: SAVED_VERSION, boot: boot ?? '', savedMs: nowMs, savedWallMs: wallMs },
    identities: [...state.identities],
    grants: [...state.grants],
    samples: [...state.samples],
    failures: [...state.failures],
    shrinkRetry: [...state.shrinkRetry],
    pendingCores: [...state.pendingCores],
    startedMs: [...state.startedMs],
    oomKills: [...state.oomKills],
    changedMs: [...state.changedMs],
    grownMs: [...state.grownMs],
    waited: [...state.waited],
    taken: [...state.taken],
    shrunk: [...state.shrunk],
    oomFloors: [...state.oomFloors],
    boosts: [...state.boosts],
    offPeak: [...state.offPeak],
    known: [...state.known],
    intended: [...state.intended],
    handHolds: [...state.handHolds],
    differing: [...state.differing],
    learnt: saveLearnt(state.learnt),
    lastChanges: [...state.lastChanges],
  };
}

/**
 * Takes over what a former process left. Missing where that is not of this version or not whole;
 * then nothing was taken over.
 *
 * @param boot the boot of now, undefined where it is not known; of another one only what was
 *   granted counts
 */
export function takeOver(
  state: LoopState,
  saved: unknown,
  boot: string | undefined,
  instant: Instant,
): Reading<true> {
  if (!isObject(saved)) return missing('malformed', 'it is no JSON object');
  if (saved['version'] !== SAVED_VERSION) {
    return missing('malformed', `its version is ${String(saved['version'])}, not ${SAVED_VERSION}`);
  }
  const wrong = Object.entries(FIELDS).find(
    ([name, check]) => !isMap(saved[name] ?? LATER_FIELDS[name], check),
  );
  const field = wrong?.[0] ?? WHEN.find(([name, check]) => !check(saved[name], name))?.[0];
  if (field !== undefined) return missing('malformed', `its field ${field} is not as it should be`);
  const whole = saved as unknown as SavedState;
  const { nowMs } = instant;
  fill(state.identities, whole.identities ?? []);
  fill(state.grants, whole.grants);
  fill(state.known, whole.known);
  fill(state.intended, whole.intended);
  fill(state.lastChanges, whole.lastChanges);
  takeLearnt(state.learnt, saved['learnt']);
  if (whole.boot !== boot || whole.savedMs > nowMs) {
    fillFromOtherBoot(state, whole, instant);
    return present(true);
  }
  // An earlier version of this program did not say whether a container was frozen.
  const isUseful = ({ atMs, life }: CgroupSample): boolean =>
    nowMs - atMs <= OLDEST_SAMPLE_MS && isReading(life);
  const young = whole.samples.filter(([, sample]) => isUseful(sample));
  fill(state.samples, young);
  fill(state.failures, whole.failures);
  fill(state.shrinkRetry, whole.shrinkRetry);
  fill(state.pendingCores, whole.pendingCores);
  fill(state.startedMs, whole.startedMs);
  fill(state.oomKills, whole.oomKills);
  fill(state.changedMs, whole.changedMs);
  fill(state.grownMs, whole.grownMs);
  fill(state.waited, whole.waited ?? []);
  fill(state.taken, whole.taken ?? []);
  fill(state.shrunk, whole.shrunk);
  fill(state.oomFloors, whole.oomFloors);
  fill(state.boosts, whole.boosts);
  fill(state.offPeak, whole.offPeak);
  fill(state.handHolds, whole.handHolds);
  fill(state.differing, whole.differing ?? []);
  return present(true);
}

/**
 * What was given or taken for a while outlives the boot, though its times do not: a boost is over,
 * what the off-peak time took is still to be given back, and a hand's hold and the
 * memory of an OOM kill and of shrinks go on by the wall clock.
 */
function fillFromOtherBoot(
  state: LoopState,
  { boosts, offPeak, handHolds, oomFloors, taken = [], savedMs, savedWallMs }: SavedState,
  { nowMs, wallMs }: Instant,
): void {
  fill(
    state.boosts,
    boosts.map(([key, boost]) => [key, { ...boost, endMs: nowMs }] as const),
  );
  fill(
    state.offPeak,
    offPeak.filter(([, { givenBackMs }]) => givenBackMs === undefined),
  );
  const awayMs = Math.max(0, wallMs - savedWallMs);
  const here = (atMs: number): Milliseconds => milliseconds(nowMs - (savedMs - atMs + awayMs));
  for (const [vmid, { limitMib, atMs }] of oomFloors) {
    state.oomFloors.set(vmid, { limitMib, atMs: here(atMs) });
  }
  for (const [key, one] of taken) {
    const flapped = one.flappedMs === undefined ? {} : { flappedMs: here(one.flappedMs) };
    state.taken.set(key, { ...one, shrunkMs: here(one.shrunkMs), ...flapped });
  }
  for (const [key, untilMs] of handHolds) {
    const leftMs = untilMs - savedMs - awayMs;
    if (leftMs > 0) state.handHolds.set(key, milliseconds(nowMs + leftMs));
  }
}

function fill<K, V>(map: Map<K, V>, entries: readonly (readonly [K, V])[]): void {
  for (const [key, value] of entries) map.set(key, value);
}

type Check = (value: unknown, key: unknown) => boolean;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isNumber = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value);

const hasNumbers =
  (...names: readonly string[]): Check =>
  (value) =>
    isObject(value) && names.every((name) => isNumber(value[name]));

const isVmid = (key: unknown): boolean =>
  typeof key === 'number' && parseVmid(String(key)) !== undefined;

const ofVmid =
  (check: Check): Check =>
  (value, key) =>
    isVmid(key) && check(value, key);

/** A reading: the named numbers, or that it was missing. */
const isReading = (value: unknown, ...names: readonly string[]): boolean =>
  isObject(value) && (value['ok'] === false || hasNumbers(...names)(value['value'], undefined));

const isSample: Check = (value) =>
  hasNumbers('atMs', 'identity')(value, undefined) &&
  isObject(value) &&
  isReading(value['cpu'], 'usageUs', 'throttledUs') &&
  isReading(value['memory'], 'currentBytes', 'swapBytes', 'oomKills', 'limitHits', 'refaults') &&
  isReading(value['cpuPressure'], 'someTotalUs') &&
  isReading(value['memoryPressure'], 'someTotalUs');

const ofResource =
  (check: Check): Check =>
  (value, key) =>
    /^[1-9][0-9]{2,8}\/(cores|memory)$/.test(String(key)) && check(value, key);

const isMaybe = (value: unknown): boolean => value === undefined || isNumber(value);
const isOrNull = (value: unknown): boolean => value === null || isNumber(value);

const isValues: Check = (value) =>
  isObject(value) &&
  isOrNull(value['cores']) &&
  isOrNull(value['cpuLimit']) &&
  isNumber(value['memoryMib']);

const isBoost = hasNumbers('before', 'boosted', 'endMs');

const isIntended: Check = (value) =>
  isValues(value, undefined) &&
  isObject(value) &&
  isMaybe(value['sinceMs']) &&
  (value['boosts'] === undefined || isMap(value['boosts'], ofResource(isBoost))) &&
  (value['reasons'] === undefined || areTexts(value['reasons']));

const areTexts = (value: unknown): boolean =>
  isObject(value) && Object.values(value).every((text) => typeof text === 'string');

const FIELDS: Readonly<Record<string, Check>> = {
  identities: ofVmid((value) => parseGuestIdentity(value) !== undefined),
  grants: ofVmid((value) => isNumber(value)),
  samples: ofVmid(isSample),
  failures: ofVmid(hasNumbers('count', 'retryAtMs')),
  shrinkRetry: ofVmid(hasNumbers('count', 'retryAtMs')),
  pendingCores: ofVmid(hasNumbers('cores', 'sinceMs')),
  startedMs: ofVmid((value) => isNumber(value)),
  oomKills: ofVmid((value) => isNumber(value)),
  changedMs: ofResource((value) => isNumber(value)),
  grownMs: ofResource((value) => isNumber(value)),
  waited: ofResource(
    (value, key) =>
      hasNumbers('before', 'after', 'share', 'atMs', 'count')(value, key) &&
      isObject(value) &&
      isMaybe(value['retryAtMs']),
  ),
  taken: ofResource(
    (value, key) =>
      hasNumbers('norm', 'shrunkMs', 'flaps')(value, key) &&
      isObject(value) &&
      isMaybe(value['flappedMs']),
  ),
  shrunk: ofVmid(hasNumbers('fromMib', 'atMs')),
  oomFloors: ofVmid(hasNumbers('limitMib', 'atMs')),
  boosts: ofResource(isBoost),
  offPeak: ofResource(
    (value) => isObject(value) && isNumber(value['before']) && isMaybe(value['givenBackMs']),
  ),
  known: ofVmid(isValues),
  intended: ofVmid(isIntended),
  handHolds: ofResource((value) => isNumber(value)),
  differing: ofResource(
    (value) =>
      isObject(value) &&
      isOrNull(value['live']) &&
      isOrNull(value['configured']) &&
      isNumber(value['sinceMs']),
  ),
  lastChanges: ofVmid(
    (value) =>
      isObject(value) &&
      isMoment(value['wallMs']) &&
      typeof value['text'] === 'string' &&
      typeof value['status'] === 'string',
  ),
};

/** What a state that an earlier release has saved lacks. */
const LATER_FIELDS: Readonly<Record<string, readonly never[]>> = {
  identities: [],
  waited: [],
  taken: [],
  differing: [],
};

/** Of which boot and time it is. */
const WHEN: readonly (readonly [string, Check])[] = [
  ['boot', (value) => typeof value === 'string'],
  ['savedMs', isNumber],
  ['savedWallMs', isMoment],
];

function isMap(entries: unknown, check: Check): boolean {
  return (
    Array.isArray(entries) &&
    entries.every(
      (entry) => Array.isArray(entry) && entry.length === 2 && check(entry[1], entry[0]),
    )
  );
}
