import {
  type Allocation,
  allocationOf,
  isSameValue,
  LEVERS,
  type Lever,
  pick,
  withDiff,
} from './allocation.ts';
import { isBetweenChanges, type StoredBackup } from './backup.ts';
import { type GuestIdentity, isSameGuest } from './identity.ts';
import type { GuestConfig } from './observation.ts';
import type { Reading } from './reading.ts';
import { isBetween } from './verify-machine.ts';

/** Whose backups a guest may go back to, and which values an administrator has given it. Pure. */

/**
 * The backups of the guest that has this identity, the newest first. Its devices may have been
 * replaced one after the other, so each copy that is the same guest as a later one counts. A copy
 * that cannot be read may be of any guest, so it counts too: whoever takes it must look.
 *
 * @param backups all of one id
 */
export function backupsOfGuest(
  identity: GuestIdentity | undefined,
  backups: readonly StoredBackup[],
): readonly StoredBackup[] {
  const links = new Set([identity]);
  return newestFirst(backups).filter(({ config }) => {
    if (!config.ok) return true;
    const own = config.value.identity;
    if (![...links].some((link) => isSameGuest(link, own))) return false;
    links.add(own);
    return true;
  });
}

/** In the order of time, whatever the order of the list. */
export const newestFirst = (backups: readonly StoredBackup[]): readonly StoredBackup[] =>
  [...backups].sort((a, b) => b.takenAtMs - a.takenAtMs || (a.id < b.id ? 1 : -1));

export interface OwnValues {
  /** As an administrator has set them last. */
  readonly values: Allocation;
  /** What this program had changed, and somebody else has set since. */
  readonly setSince: readonly Lever[];
}

/**
 * Tells the values of an administrator from those of this program, by the backups of the guest. A
 * value is this program's if it is what its last change was to bring about, or what was there
 * before a change that failed; of a virtual machine also if it lies in between, since such a change
 * is made piece by piece. Otherwise an administrator has set it since. Each backup carries on what
 * was known before it, so the older ones need not be there any more.
 *
 * @param own the backups of this guest
 */
export function ownValues(now: GuestConfig, own: readonly StoredBackup[]): OwnValues {
  const values = allocationOf(now);
  const [last, ...older] = newestFirst(own).filter(isLink);
  if (last === undefined) return { values, setSince: [] };
  const before = allocationOf(last.config.value);
  const { madeFor } = last;
  const made = madeFor.ok ? madeFor.value : undefined;
  const known = made?.own ?? ownValues(last.config.value, older).values;
  const after = withDiff(before, made ?? {});
  const isOurs = (lever: Lever): boolean =>
    isSameValue(lever, values[lever], after[lever]) ||
    isSameValue(lever, values[lever], before[lever]) ||
    (now.kind === 'qemu' && isBetween(lever, before[lever], after[lever], values[lever]));
  const others = LEVERS.filter((lever) => !isOurs(lever));
  return {
    values: { ...known, ...pick(values, others) },
    setSince: others.filter((lever) => !isSameValue(lever, known[lever], after[lever])),
  };
}

/** A copy from the middle of a change says nothing of what was there before or is there after. */
const isLink = (
  backup: StoredBackup,
): backup is StoredBackup & { readonly config: Extract<Reading<GuestConfig>, { ok: true }> } =>
  backup.config.ok && !isBetweenChanges(backup);
