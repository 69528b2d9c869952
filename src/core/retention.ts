import type { StoredBackup } from './backup.ts';
import { backupsOfGuest, newestFirst } from './own-values.ts';
import type { Milliseconds } from './units.ts';

/**
 * Which backups of an id have to go. The first one of each guest holds what its administrator had
 * set, so it stays. A burst of changes must not push out what was there before it, so older ones
 * are thinned by age: all of the last day, one of each day of a week, one of each week. Pure.
 */

export interface RetentionLimits {
  /** How many stay of each id, besides the first one of each guest. */
  readonly keep: number;
  readonly keepMs: Milliseconds;
}

/** This many of the newest ones stay, whatever number and age say. */
const ALWAYS_KEPT = 3;
/** An id that is given away again and again, by a CI system say, must not fill the disk. */
const MOST_GUESTS = 100;
const DAY_MS = 86_400_000;
const DAILY_MS = 7 * DAY_MS;

/** @param backups all of one id, with the one that was just made */
export function surplusBackups(
  backups: readonly StoredBackup[],
  current: string,
  nowMs: Milliseconds,
  { keep, keepMs }: RetentionLimits,
): readonly StoredBackup[] {
  // The one just made counts as the newest, even if the clock has gone back.
  const others = newestFirst(backups.filter(({ id }) => id !== current));
  const firsts = firstOfEachGuest(backups);
  const changes = others.filter((each) => !isOfNotes(each));
  const newest = changes.slice(0, ALWAYS_KEPT - 1);
  const young = changes.filter(({ takenAtMs }) => nowMs - takenAtMs <= keepMs);
  const kept = new Set(newest);
  for (const each of [...sparse(young, nowMs), ...young.filter(isOfLastDay(nowMs))]) {
    if (kept.size + 1 >= keep) break;
    if (!firsts.has(each)) kept.add(each);
  }
  const ofNotes = backups.find(({ id }) => id === current);
  const [newestOfNotes] = ofNotes && isOfNotes(ofNotes) ? [] : others.filter(isOfNotes);
  if (newestOfNotes !== undefined) kept.add(newestOfNotes);
  return others.filter((each) => !kept.has(each) && !firsts.has(each));
}

/** They come after each change, and take back none: of all of them the newest stays. */
const isOfNotes = ({ madeFor }: StoredBackup): boolean =>
  madeFor.ok && madeFor.value.kind === 'notes';

const isOfLastDay =
  (nowMs: Milliseconds) =>
  ({ takenAtMs }: StoredBackup): boolean =>
    nowMs - takenAtMs < DAY_MS;

/** The oldest of each day and then of each week. By the calendar (UTC), so it stays the one. */
function sparse(young: readonly StoredBackup[], nowMs: Milliseconds): readonly StoredBackup[] {
  const oldest = new Map<string, StoredBackup>();
  for (const each of young) {
    const day = Math.floor(each.takenAtMs / DAY_MS);
    // 1970 began on a Thursday.
    const week = Math.floor((day + 3) / 7);
    oldest.set(nowMs - each.takenAtMs <= DAILY_MS ? `day ${day}` : `week ${week}`, each);
  }
  return [...oldest.values()];
}

/** Those from before the first change of each guest that has had this id. */
export function firstOfEachGuest(backups: readonly StoredBackup[]): ReadonlySet<StoredBackup> {
  const firsts = new Set<StoredBackup>();
  let rest = newestFirst(backups.filter(({ config }) => config.ok && config.value.identity));
  while (firsts.size < MOST_GUESTS) {
    const [newest] = rest;
    if (newest === undefined || !newest.config.ok) break;
    const own = new Set(backupsOfGuest(newest.config.value.identity, rest));
    const first = [...own].at(-1);
    if (first !== undefined) firsts.add(first);
    rest = rest.filter((each) => !own.has(each));
  }
  return firsts;
}
