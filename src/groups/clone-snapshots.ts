import type { Vmid } from '../core/units.ts';
import { editClones, isGone } from './clone-ledger.ts';
import { change, type DiskContext, type DiskRecord, lookAt, named, record } from './disk-plan.ts';

/** Snapshots that were taken for a clone, and are removed afterwards. */

/**
 * Returns what is left to be done by hand, or with the next start.
 *
 * @param isLeft it is of another clone, which was cut off: then it has a record of its own
 */
export async function dropSnapshot(
  context: DiskContext,
  vmid: Vmid,
  name: string,
  isLeft = false,
): Promise<string | undefined> {
  const { world, by } = context;
  const source = await lookAt(world, vmid);
  const forget = (): string | undefined => editClones(world, (all) => all.snapshots.delete(name));
  if (!source.ok) {
    if (isGone(world, vmid)) return forget();
    return `${vmid} cannot be seen, and may keep the snapshot ${name}.`;
  }
  const guest = source.value;
  if (!guest.snapshots.has(name)) return forget();
  const left = (why: string) => `The snapshot ${name} of ${vmid} is left: ${why}.`;
  const { lock } = guest.config;
  if (lock !== undefined) return left(`${named(guest)} is locked (${lock})`);
  const ignored = isLeft ? world.ignored(guest.config) : undefined;
  if (ignored !== undefined) return left(`${named(guest)} is skipped: ${ignored}`);
  const says = `${named(guest)}: the snapshot ${name} goes, left by a clone that was cut off.`;
  const facts = { vm_id: vmid, snapshot_name: name };
  const put = (end: Parameters<typeof record>[3]): void => {
    const what: DiskRecord = { step: 'delete-snapshot', guest, says, facts };
    if (isLeft) record(world, what, by, end);
  };
  put({ status: 'asked' });
  const end = await change(context, guest, { kind: 'delete-snapshot', vmid, name, force: false });
  const now = await lookAt(world, vmid);
  const isThere = !now.ok || now.value.snapshots.has(name);
  if (!isThere) {
    put({ status: 'confirmed' });
    return forget();
  }
  const why = end.ok ? (now.ok ? 'it is still there' : now.detail) : end.why;
  put({ status: 'failed', note: why });
  return left(why);
}
