import { type Allocation, differing, pick, resourceOf } from './allocation.ts';
import { isBetweenChanges, parseBackupId, type StoredBackup } from './backup.ts';
import { withUnit } from './explain.ts';
import { memoryNeed } from './guards.ts';
import type { CgroupSample, GuestConfig } from './observation.ts';
import { newestFirst } from './own-values.ts';
import type { ContainerPolicy } from './policy.ts';
import { takesMemory } from './proof.ts';
import type { Reading } from './reading.ts';
import type { Mib, Milliseconds } from './units.ts';
import { memoryUsage } from './usage.ts';

/** Which backup a rollback goes to, what it restores of it, and whether that is safe. Pure. */

export type RestorePoint =
  /** The state before the last change. */
  | { readonly kind: 'newest' }
  /** What was there before the first change of this guest. */
  | { readonly kind: 'first' }
  /** What an administrator has set last, of what this program has changed since. */
  | { readonly kind: 'own' }
  | { readonly kind: 'id'; readonly id: string }
  /** A day, a minute or a second in local time: `2026-11-21`, `2026-11-21 22:04:45`. */
  | { readonly kind: 'time'; readonly text: string }
  /** A moment, as a span up to now has it: local times come twice when the clock goes back. */
  | { readonly kind: 'moment'; readonly ms: Milliseconds };

const TIME = /^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(?::([0-9]{2}))?)?$/;

/** Reads what follows `--to`; undefined for what is no word, time or id of a backup. */
export function parseRestorePoint(text: string): RestorePoint | undefined {
  if (text === 'first' || text === 'own') return { kind: text };
  if (parseBackupId(text) !== undefined) return { kind: 'id', id: text };
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const [, day = '', minute, second] = match;
  const whole = `${day}T${minute ?? '00:00'}:${second ?? '00'}.000Z`;
  const time = new Date(whole);
  // Times that the calendar does not have (30 February, 24:00) are moved on by the parser.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== whole) return undefined;
  return { kind: 'time', text: text.replace('T', ' ') };
}

/**
 * The backup that a rollback goes to. A backup holds what was in force until the change that it was
 * made for; so what was in force at a time stands in the first one made then or later, and the
 * newest one takes back the last change. Copies that a rollback makes of its own do not count, so
 * that the same rollback once more does nothing instead of undoing itself.
 *
 * @param localTime writes a time as `2026-11-21 22:04:45`; such texts are compared, since that is
 *   what a person has read in a list or a log
 */
export function chooseBackup(
  backups: readonly StoredBackup[],
  point: RestorePoint,
  localTime: (wallMs: Milliseconds) => string,
): StoredBackup | undefined {
  if (point.kind === 'id') return backups.find(({ id }) => id === point.id);
  const oldestFirst = [...newestFirst(backups)].reverse();
  if (point.kind === 'first') return oldestFirst.find(precedesAll);
  const candidates = oldestFirst.filter(precedesChange);
  if (point.kind === 'newest' || point.kind === 'own') return candidates.at(-1);
  if (point.kind === 'moment') return candidates.find(({ takenAtMs }) => takenAtMs >= point.ms);
  const { text } = point;
  return candidates.find(({ takenAtMs }) => localTime(takenAtMs).slice(0, text.length) >= text);
}

/** A copy that nothing is known about may be the one from before the change that did harm. */
const precedesChange = ({ madeFor }: StoredBackup): boolean =>
  !madeFor.ok || madeFor.value.kind === 'change';

/** The first thing that is done to a guest may be a rollback, to the values of another one. */
const precedesAll = (backup: StoredBackup): boolean => !isBetweenChanges(backup);

/** Why there is nothing to go back to, as the end of a sentence that begins with the container. */
export function explainNoBackup(
  backups: readonly StoredBackup[],
  point: RestorePoint,
  localTime: (wallMs: Milliseconds) => string,
): string {
  const newest = [...backups].sort((a, b) => a.takenAtMs - b.takenAtMs).at(-1);
  if (newest === undefined) return 'it has no backups';
  switch (point.kind) {
    case 'id':
      return `it has no backup ${point.id}; the command backups lists those it has`;
    case 'time':
    case 'moment': {
      const itsTime = localTime(newest.takenAtMs);
      const since = point.kind === 'time' ? point.text : localTime(point.ms);
      return `it was not changed since ${since}; its newest backup is of ${itsTime}`;
    }
    case 'newest':
    case 'first':
    case 'own':
      return 'its backups are all of rollbacks; name one of them with --to';
  }
}

/** What a rollback changes of a container, and what it must leave as it is. */
export interface RestorePlan {
  /** What is there now, of what `target` names. */
  readonly before: Partial<Allocation>;
  /** Only what differs. Empty: nothing is to be changed. */
  readonly target: Partial<Allocation>;
  /** Why the memory must not be restored. */
  readonly refused?: string;
}

/**
 * Compares the configuration now with that of a backup. Cores, cpulimit and memory only: all else,
 * swap too, this program never sets.
 *
 * @param tooMuch why the host cannot give so much memory; undefined if it can
 */
export function planRestore(
  now: GuestConfig,
  then: GuestConfig,
  sample: Reading<CgroupSample>,
  tooMuch?: string,
): RestorePlan {
  const all = differing(now, then);
  const refused = all.includes('memoryMib')
    ? (tooMuch ?? refuseMemory(sample, then.memoryMib))
    : undefined;
  const levers = all.filter((lever) => lever !== 'memoryMib' || refused === undefined);
  const [before, target] = [pick(now, levers), pick(then, levers)];
  return { before, target, ...(refused !== undefined && { refused }) };
}

/**
 * Why a memory limit must not be set: lowering it below what is in use kills, and `pct` says
 * nothing.
 */
export function refuseMemory(sample: Reading<CgroupSample>, limitMib: Mib): string | undefined {
  if (!takesMemory(sample, limitMib)) return undefined;
  const usage = sample.ok ? memoryUsage(undefined, sample.value) : sample;
  if (!usage.ok) return `its use of memory could not be read: ${usage.detail}`;
  const needMib = Math.ceil(memoryNeed(usage.value.workingSetMib + usage.value.swapMib));
  if (needMib <= limitMib) return undefined;
  return `it needs ${needMib} MB now, so ${limitMib} MB would be too little`;
}

/**
 * Why somebody who is bound to the policy of a guest may not bring it there; undefined: he may.
 * Without a line of its own, a lever gives as much as the other one.
 */
export function whyOutside(
  now: Allocation,
  then: Allocation,
  { cpu, memory }: Pick<ContainerPolicy, 'cpu' | 'memory'>,
): string | undefined {
  for (const lever of differing(now, then)) {
    const resource = resourceOf(lever);
    const { min, max = Number.POSITIVE_INFINITY } =
      resource === 'cores' ? cpu : { min: memory.minMib, max: memory.maxMib };
    const value = then[lever] ?? then.cores ?? then.cpuLimit ?? Number.POSITIVE_INFINITY;
    if (value >= min && value <= max) continue;
    const had = Number.isFinite(value) ? withUnit(resource, value) : 'no limit of its CPU';
    const bound =
      value < min
        ? `no less than ${withUnit(resource, min)}`
        : `at most ${withUnit(resource, max)}`;
    return `it had ${had} then, and its policy allows ${bound}`;
  }
  return undefined;
}
