import type { Failure, LoopState, PendingCores } from './loop-state.ts';
import type { CgroupSample } from './observation.ts';
import { missing, present, type Reading } from './reading.ts';
import { type Mib, type Milliseconds, parseVmid, type Vmid } from './units.ts';

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
  readonly grants: readonly (readonly [Vmid, Mib])[];
  readonly samples: readonly (readonly [Vmid, CgroupSample])[];
  readonly failures: readonly (readonly [Vmid, Failure])[];
  readonly shrinkRetry: readonly (readonly [Vmid, Failure])[];
  readonly pendingCores: readonly (readonly [Vmid, PendingCores])[];
  readonly startedMs: readonly (readonly [Vmid, Milliseconds])[];
  readonly oomKills: readonly (readonly [Vmid, Milliseconds])[];
  readonly changedMs: readonly (readonly [string, Milliseconds])[];
}

/** To be raised when a field changes its meaning. */
export const SAVED_VERSION = 1;
/** A rate over a longer time than this says nothing of now. */
const OLDEST_SAMPLE_MS = 3_600_000;

export function toSaved(
  state: LoopState,
  boot: string | undefined,
  nowMs: Milliseconds,
): SavedState {
  return {
    ...{ version: SAVED_VERSION, boot: boot ?? '', savedMs: nowMs },
    grants: [...state.grants],
    samples: [...state.samples],
    failures: [...state.failures],
    shrinkRetry: [...state.shrinkRetry],
    pendingCores: [...state.pendingCores],
    startedMs: [...state.startedMs],
    oomKills: [...state.oomKills],
    changedMs: [...state.changedMs],
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
  nowMs: Milliseconds,
): Reading<true> {
  if (!isObject(saved)) return missing('malformed', 'it is no JSON object');
  if (saved['version'] !== SAVED_VERSION) {
    return missing('malformed', `its version is ${String(saved['version'])}, not ${SAVED_VERSION}`);
  }
  const wrong = Object.entries(FIELDS).find(([name, check]) => !isMap(saved[name], check));
  if (wrong !== undefined || typeof saved['boot'] !== 'string') {
    return missing('malformed', `its field ${wrong?.[0] ?? 'boot'} is not as it should be`);
  }
  const whole = saved as unknown as SavedState;
  fill(state.grants, whole.grants);
  if (whole.boot !== boot || whole.savedMs > nowMs) return present(true);
  const young = whole.samples.filter(([, { atMs }]) => nowMs - atMs <= OLDEST_SAMPLE_MS);
  fill(state.samples, young);
  fill(state.failures, whole.failures);
  fill(state.shrinkRetry, whole.shrinkRetry);
  fill(state.pendingCores, whole.pendingCores);
  fill(state.startedMs, whole.startedMs);
  fill(state.oomKills, whole.oomKills);
  fill(state.changedMs, whole.changedMs);
  return present(true);
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
  isReading(value['memory'], 'currentBytes', 'swapBytes', 'oomKills', 'limitHits');

const FIELDS: Readonly<Record<string, Check>> = {
  grants: ofVmid((value) => isNumber(value)),
  samples: ofVmid(isSample),
  failures: ofVmid(hasNumbers('count', 'retryAtMs')),
  shrinkRetry: ofVmid(hasNumbers('count', 'retryAtMs')),
  pendingCores: ofVmid(hasNumbers('cores', 'sinceMs')),
  startedMs: ofVmid((value) => isNumber(value)),
  oomKills: ofVmid((value) => isNumber(value)),
  changedMs: (value, key) => isNumber(value) && /^[1-9][0-9]*\/(cores|memory)$/.test(String(key)),
};

function isMap(entries: unknown, check: Check): boolean {
  return (
    Array.isArray(entries) &&
    entries.every(
      (entry) => Array.isArray(entry) && entry.length === 2 && check(entry[1], entry[0]),
    )
  );
}
