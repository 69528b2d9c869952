import type { GuestIdentity } from '../core/identity.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import { milliseconds } from '../core/units.ts';
import { UsageGuests } from '../core/usage-guests.ts';
import type { UsageRecord } from '../core/usage-history.ts';
import type { Paths } from '../node/local/paths.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { readUsage } from '../store/usage-files.ts';

/**
 * The history of usage without what other guests have used that had an id before. It is read
 * twice: whose a record is may be known only by a later one.
 *
 * @param leftOut is told at the end of whose records some are missing
 */
export async function* readOwnUsage(
  paths: Paths,
  sinceMs: Milliseconds,
  complain: (problem: string) => void,
  leftOut: (vmids: readonly Vmid[]) => void,
): AsyncGenerator<UsageRecord> {
  const guests = new UsageGuests();
  for await (const record of readUsage(paths, milliseconds(0), () => {})) guests.take(record);
  const isOwn = guests.filter(guestsNow(paths));
  const others = new Set<Vmid>();
  for await (const record of readUsage(paths, sinceMs, complain)) {
    if (isOwn(record)) yield record;
    else others.add(record.vmid);
  }
  if (others.size > 0) leftOut([...others].sort((a, b) => a - b));
}

export const leftOutWords = (vmids: readonly Vmid[]): string =>
  `Left out: the usage of other containers that had the id ${vmids.join(', ')} before.`;

/** A machine that is no node has none. */
function guestsNow(paths: Paths): ReadonlyMap<Vmid, GuestIdentity | undefined> {
  const list = createGuests(paths).list();
  if (!list.ok) return new Map();
  return new Map(
    [...list.value].flatMap(([vmid, config]) =>
      config.ok ? [[vmid, config.value.identity] as const] : [],
    ),
  );
}
