import type { StoredBackup } from './backup.ts';
import { type KnownValues, valuesOf } from './guest-record.ts';
import { type GuestIdentity, isSameGuest } from './identity.ts';
import type { GuestConfig } from './observation.ts';
import type { Reading } from './reading.ts';
import { isSameCpuLimit } from './verify.ts';

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
  readonly values: KnownValues;
  /** What this program had changed, and somebody else has set since. */
  readonly setSince: readonly (keyof KnownValues)[];
}

const VALUES = ['cores', 'cpuLimit', 'memoryMib'] as const;

/**
 * Tells the values of an administrator from those of this program, by the backups of the guest. A
 * value is this program's if it is what its last change was to bring about, or what was there
 * before a change that failed. Otherwise an administrator has set it since. Each backup carries on
 * what was known before it, so the older ones need not be there any more.
 *
 * @param own the backups of this guest
 */
export function ownValues(now: GuestConfig, own: readonly StoredBackup[]): OwnValues {
  const values = valuesOf(now);
  const [last, ...older] = newestFirst(own).filter(isLink);
  if (last === undefined) return { values, setSince: [] };
  const before = valuesOf(last.config.value);
  const { madeFor } = last;
  const made = madeFor.ok ? madeFor.value : undefined;
  const known = made?.own ?? ownValues(last.config.value, older).values;
  const after: KnownValues = {
    ...before,
    ...(made?.cores && { cores: made.cores.to }),
    ...(made?.cpuLimit && { cpuLimit: made.cpuLimit.to }),
    ...(made?.memoryMib && { memoryMib: made.memoryMib.to as KnownValues['memoryMib'] }),
  };
  const isOurs = (of: keyof KnownValues): boolean =>
    isSame(of, values[of], after[of]) || isSame(of, values[of], before[of]);
  const others = VALUES.filter((of) => !isOurs(of));
  return {
    values: { ...known, ...pick(values, others) },
    setSince: others.filter((of) => !isSame(of, known[of], after[of])),
  };
}

/** A copy from the middle of a change says nothing of what was there before or is there after. */
const isLink = (
  backup: StoredBackup,
): backup is StoredBackup & { readonly config: Extract<Reading<GuestConfig>, { ok: true }> } =>
  backup.config.ok && !(backup.madeFor.ok && backup.madeFor.value.kind === 'half-done');

const isSame = (of: keyof KnownValues, one: number | null, other: number | null): boolean =>
  of === 'cpuLimit' ? isSameCpuLimit(one, other) : one === other;

const pick = (values: KnownValues, keys: readonly (keyof KnownValues)[]): Partial<KnownValues> =>
  Object.fromEntries(keys.map((key) => [key, values[key]]));
