import { cloneLedger } from '../core/groups/disk-wish.ts';
import {
  type GroupLedger,
  isEntryOf,
  type LedgerMember,
  newLedger,
} from '../core/groups/ledger.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import type { DiskWorld } from './disk-plan.ts';

/**
 * Which guests were cloned here because a person asked for it. What makes one ours is a ledger that
 * only root can write, as for members of groups.
 */

/** Longer than any clone may take. */
const LONGEST_CLONE_S = 7200;

export function clonesOnRecord({ ledgers, node }: DiskWorld): Reading<GroupLedger> {
  const read = ledgers.read(cloneLedger(node));
  return !read.ok && read.why === 'absent' ? present(newLedger()) : read;
}

export const newEntry = ({ node, clock }: DiskWorld, vmid: Vmid, nonce: string): LedgerMember => ({
  vmid,
  node,
  nonce,
  address: undefined,
  madeS: Math.floor(clock.wallMs() / 1000),
  state: 'cloning',
  served: false,
  identity: undefined,
});

/** Whether it may still be copied. */
export const isYoung = (
  { clock }: Pick<DiskWorld, 'clock'>,
  { madeS }: Pick<LedgerMember, 'madeS'>,
): boolean => clock.wallMs() / 1000 - madeS < LONGEST_CLONE_S;

/** Whether no node of the cluster has it: one that was migrated comes back. */
export function isGone(world: DiskWorld, vmid: Vmid): boolean {
  const here = world.guestNow(vmid);
  if (here.ok || here.why !== 'absent') return false;
  const cluster = world.cluster.read();
  return cluster.ok && !cluster.value.takenIds.has(vmid);
}

const isOver = (world: DiskWorld, entry: LedgerMember): boolean =>
  !(entry.state === 'cloning' && isYoung(world, entry)) && isGone(world, entry.vmid);

/** How many there are, be it on another node by now. */
export const countClones = (world: DiskWorld, { members }: GroupLedger): number =>
  [...members.values()].filter((entry) => !isOver(world, entry)).length;

/** Returns what went wrong. Entries of what is gone go with it. */
export function editClones(
  world: DiskWorld,
  change: (ledger: GroupLedger) => unknown,
): string | undefined {
  const ledger = clonesOnRecord(world);
  if (!ledger.ok) return `what was cloned here cannot be read: ${ledger.detail}`;
  const { members } = ledger.value;
  for (const [vmid, entry] of members) if (isOver(world, entry)) members.delete(vmid);
  change(ledger.value);
  return world.ledgers.write(cloneLedger(world.node), ledger.value);
}

/**
 * The entry of a clone that is seen whole for the first time. Until then only a line of its
 * description tells it, which others can read and write: so it must be young, and never have run.
 * From then on its hardware address and its root volume tell it. Missing: why it is not ours yet.
 */
export function asSeenWhole(world: DiskWorld, entry: LedgerMember): Reading<LedgerMember> {
  const seen = world.guestNow(entry.vmid);
  if (!seen.ok) return seen;
  const not = (why: string) => missing('malformed', why);
  const { lock, identity, template } = seen.value.config;
  if (lock !== undefined || identity === undefined) return not('it is not whole');
  if (template || !isEntryOf(entry, seen.value)) return not('it is another guest');
  if (!isYoung(world, entry)) return not('nobody saw it while it was new');
  if (world.runs(seen.value) !== false) return not('it was started before it was seen whole');
  return present({ ...entry, state: 'new', identity });
}
