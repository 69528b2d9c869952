import { nonceLine } from '../core/groups/description.ts';
import { hasOwnAddress } from '../core/groups/disk-wish.ts';
import {
  type GroupLedger,
  isEntryOf,
  type LedgerMember,
  newLedger,
} from '../core/groups/ledger.ts';
import { guestInside, guestLabel } from '../core/guest-words.ts';
import type { GuestIdentity } from '../core/identity.ts';
import { plainText } from '../core/plain-text.ts';
import { present, type Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import type { GuestNow } from '../node/port.ts';
import {
  change,
  type DiskContext,
  type DiskEnd,
  type DiskPlan,
  type DiskRefusal,
  type DiskWorld,
  refusal,
  run,
} from './disk-plan.ts';
import { snapshotProblem } from './disk-steps.ts';

/**
 * Clones that a person asks for, and their end. What makes one ours is a ledger that only root can
 * write, as for members of groups; no group can be called as it is.
 */
const ledgerName = (node: string): string => `_clones-of-${node}`;

const MOST_CLONES = 100;
const HOST_NAME = /^(?=.{1,63}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/;

export function planClone(
  context: DiskContext,
  guest: GuestNow,
  newVmid: Vmid,
  given: string,
): DiskPlan | DiskRefusal {
  const { world } = context;
  const label = guestLabel(guest.config);
  const name = given.replaceAll('_', '-');
  if (!HOST_NAME.test(name)) {
    return refusal('A clone is called by 1 to 63 letters, digits and -, as a host is.');
  }
  const cluster = world.cluster.read();
  if (!cluster.ok) return refusal(`The cluster cannot be seen: ${cluster.detail}.`);
  if (cluster.value.takenIds.has(newVmid)) return refusal(`The id ${newVmid} is taken.`);
  const ledger = ledgerOf(world);
  if (!ledger.ok) return refusal(`What was cloned before cannot be read: ${ledger.detail}.`);
  if (ledger.value.members.size >= MOST_CLONES) {
    return refusal(`There are ${MOST_CLONES} clones; delete some first.`);
  }
  const hasDevice = [...guest.values.keys()].some((key) => /^net[0-9]+$/.test(key));
  if (!hasDevice) return refusal(`${label} has no network device, by which clones are told apart.`);
  const isContainer = guest.config.kind !== 'qemu';
  const needsSnapshot = isContainer && !guest.config.template && world.runs(guest);
  const problem = needsSnapshot ? snapshotProblem(context, guest) : undefined;
  if (problem !== undefined) return refusal(`${label} runs, and ${problem}; stop it first.`);
  const stays = whyNotStarted(world, guest);
  const after = stays === undefined ? 'It is started then' : `It is not started, since ${stays}`;
  return {
    ok: true,
    guest,
    facts: { vm_id: guest.config.vmid, new_vm_id: newVmid },
    says: `${label} is cloned to ${newVmid} (${name}), with all of its disks. ${after}.`,
    run: () => clone(context, guest, newVmid, name, needsSnapshot, stays === undefined),
  };
}

/** Two guests with one address would keep each other from the network. */
function whyNotStarted(world: DiskWorld, { config, values }: GuestNow): string | undefined {
  if (config.kind === 'qemu') return 'a virtual machine may have an address that is not seen here';
  if (hasOwnAddress(values)) return 'it has the address of its source: change that first';
  const room = world.room();
  if (!room.ok) return `it is not known what the host can spare: ${room.detail}`;
  if (room.value >= config.memoryMib) return undefined;
  return `it needs ${config.memoryMib} MB, and the host can spare ${Math.floor(room.value)}`;
}

async function clone(
  context: DiskContext,
  source: GuestNow,
  vmid: Vmid,
  hostname: string,
  needsSnapshot: boolean,
  starts: boolean,
): Promise<DiskEnd> {
  const { world, by } = context;
  await dropLeft(context);
  const free = await world.eyes.isIdFree(vmid);
  if (!free.ok)
    return { ok: false, why: `it is not known whether ${vmid} is free: ${free.detail}` };
  if (!free.value) return { ok: false, why: `the id ${vmid} is taken` };
  const tight = await storageProblem(world, source);
  if (tight !== undefined) return { ok: false, why: tight };
  const nonce = world.nonce();
  const from = source.config.vmid;
  const snapshot = needsSnapshot ? `autoscale-clone-${nonce.slice(0, 12)}` : undefined;
  const entry = newEntry(world, vmid, nonce);
  const noted = edit(world, (ledger) => {
    ledger.members.set(vmid, entry);
    if (snapshot === undefined) return;
    const { madeS } = entry;
    ledger.snapshots.set(snapshot, { name: snapshot, source: from, madeS, snaptime: undefined });
  });
  if (noted !== undefined) return { ok: false, why: noted };
  if (snapshot !== undefined) {
    const description = `For a clone that ${by} has asked for; removed afterwards.`;
    const taken = await change(context, source, {
      kind: 'snapshot',
      vmid: from,
      name: snapshot,
      description,
    });
    if (!taken.ok) return brokenOff(context, from, vmid, snapshot, `no snapshot: ${taken.why}`);
  }
  const made = await run(context, source, {
    kind: 'clone',
    vmid,
    source: from,
    snapshot,
    full: true,
    hostname,
    description: cloneDescription(context, source, nonce),
  });
  const seen = world.guestNow(vmid);
  const identity = seen.ok ? wholeIdentity(entry, seen.value) : undefined;
  if (!made.ok || !seen.ok || identity === undefined) {
    const why = made.ok ? 'it is not there as a whole' : made.why;
    return brokenOff(context, from, vmid, snapshot, `the clone ${vmid} failed: ${why}`);
  }
  const kept = edit(world, ({ members }) =>
    members.set(vmid, { ...entry, state: 'new', identity }),
  );
  const notes = [kept, snapshot && (await dropSnapshot(context, from, snapshot))];
  if (starts) {
    const started = await run(context, seen.value, { kind: 'start', vmid });
    if (!started.ok) notes.push(`The clone is made, and was not started: ${started.why}.`);
  }
  const said = notes.filter((note) => note !== undefined);
  return { ok: true, note: said.length === 0 ? undefined : said.join(' ') };
}

const cloneDescription = ({ by }: DiskContext, { config }: GuestNow, nonce: string): string =>
  [
    `Cloned by lxc-autoscale from ${guestInside(config)}, as ${by} has asked.`,
    'Its API may destroy it again. To keep it, set its protection.',
    nonceLine(nonce),
  ].join('\n');

const newEntry = ({ node, clock }: DiskWorld, vmid: Vmid, nonce: string): LedgerMember => ({
  vmid,
  node,
  nonce,
  address: undefined,
  madeS: Math.floor(clock.wallMs() / 1000),
  state: 'cloning',
  served: false,
  identity: undefined,
});

const wholeIdentity = (entry: LedgerMember, guest: GuestNow): GuestIdentity | undefined =>
  guest.config.lock === undefined && isEntryOf(entry, guest) ? guest.config.identity : undefined;

/** It came to nothing: what is left of it is named, and is still ours to delete. */
async function brokenOff(
  context: DiskContext,
  source: Vmid,
  vmid: Vmid,
  snapshot: string | undefined,
  why: string,
): Promise<DiskEnd> {
  const { world } = context;
  const left = world.guestNow(vmid);
  if (!left.ok && left.why === 'absent') edit(world, ({ members }) => members.delete(vmid));
  const there = left.ok ? `; ${vmid} is there, and is not whole` : '';
  const dropped =
    snapshot === undefined ? undefined : await dropSnapshot(context, source, snapshot);
  return { ok: false, why: `${why}${there}${dropped === undefined ? '' : `. ${dropped}`}` };
}

/** Snapshots of clones whose daemon has ended meanwhile; one clone is made at a time. */
async function dropLeft(context: DiskContext): Promise<void> {
  const ledger = ledgerOf(context.world);
  if (!ledger.ok) return;
  for (const { name, source } of ledger.value.snapshots.values()) {
    await dropSnapshot(context, source, name);
  }
}

/** Returns what is left to be done by hand. */
async function dropSnapshot(
  context: DiskContext,
  vmid: Vmid,
  name: string,
): Promise<string | undefined> {
  const { world } = context;
  const source = world.guestNow(vmid);
  if (!source.ok) return `${vmid} cannot be seen, and may keep the snapshot ${name}.`;
  const gone = (): undefined => {
    edit(world, ({ snapshots }) => snapshots.delete(name));
    return undefined;
  };
  if (!source.value.snapshots.has(name)) return gone();
  const end = await change(context, source.value, {
    kind: 'delete-snapshot',
    vmid,
    name,
    force: false,
  });
  return end.ok ? gone() : `The snapshot ${name} of ${vmid} is left: ${end.why}.`;
}

async function storageProblem(world: DiskWorld, source: GuestNow): Promise<string | undefined> {
  const [storage] = source.storages.filter((one) => !one.startsWith('/'));
  const needMib = [...source.sizes.values()].reduce((sum, mib) => sum + mib, 0);
  if (storage === undefined) return undefined;
  const room = await world.eyes.storageRoom(storage, source.config.vmid);
  if (!room.ok) return `the room on ${storage} is not known: ${room.detail}`;
  const { freeMib, thin, sourceUsedMib } = room.value;
  const need = thin ? Math.min(needMib, sourceUsedMib ?? needMib) : needMib;
  if (need <= freeMib) return undefined;
  return `the storage ${storage} has ${Math.floor(freeMib)} MB left, and it needs ${need} MB`;
}

export function planDestroy(context: DiskContext, guest: GuestNow): DiskPlan | DiskRefusal {
  const { world } = context;
  const { vmid, template } = guest.config;
  const label = `${guestLabel(guest.config)} (${plainText(guest.config.name, 64)})`;
  const ledger = ledgerOf(world);
  if (!ledger.ok) return refusal(`What was cloned here cannot be read: ${ledger.detail}.`);
  const entry = ledger.value.members.get(vmid);
  if (entry === undefined || !isEntryOf(entry, guest)) {
    return refusal(`${label} was not made by a clone/create of this program, so it stays.`);
  }
  if (guest.protection) return refusal(`${label} is protected.`);
  if (template || world.isSource(vmid)) return refusal(`${label} is what others are cloned from.`);
  const stops = world.runs(guest) ? 'stopped and destroyed' : 'destroyed';
  return {
    ok: true,
    guest,
    facts: { vm_id: vmid },
    says: `${label} is ${stops}, with all of its disks.`,
    run: () => destroy(context, entry, guest),
  };
}

async function destroy(
  context: DiskContext,
  entry: LedgerMember,
  guest: GuestNow,
): Promise<DiskEnd> {
  const { world } = context;
  const { vmid } = guest.config;
  if (world.runs(guest)) {
    const stopped = await run(context, guest, { kind: 'shutdown', vmid });
    if (!stopped.ok && world.runs(guest)) return stopped;
  }
  // Meanwhile somebody may have taken it in hand.
  const now = world.guestNow(vmid);
  if (!now.ok) return { ok: false, why: now.detail };
  if (!isEntryOf(entry, now.value)) return { ok: false, why: 'it is another guest by now' };
  if (now.value.protection) return { ok: false, why: 'it is protected by now' };
  const end = await change(context, now.value, { kind: 'destroy', vmid });
  const after = world.guestNow(vmid);
  if (after.ok || after.why !== 'absent') {
    return { ok: false, why: end.ok ? 'it is still there' : end.why };
  }
  const problem = edit(world, ({ members }) => members.delete(vmid));
  return { ok: true, note: problem };
}

function ledgerOf({ ledgers, node }: DiskWorld): Reading<GroupLedger> {
  const read = ledgers.read(ledgerName(node));
  return !read.ok && read.why === 'absent' ? present(newLedger()) : read;
}

/** Longer than any clone may take. */
const FORGET_S = 7200;

/** Returns what went wrong. Entries of what is gone go with it. */
function edit(world: DiskWorld, change: (ledger: GroupLedger) => unknown): string | undefined {
  const ledger = ledgerOf(world);
  if (!ledger.ok) return `what was cloned here cannot be read: ${ledger.detail}`;
  const nowS = world.clock.wallMs() / 1000;
  for (const [vmid, { state, madeS }] of ledger.value.members) {
    if (state === 'cloning' && nowS - madeS < FORGET_S) continue;
    const guest = world.guestNow(vmid);
    if (!guest.ok && guest.why === 'absent') ledger.value.members.delete(vmid);
  }
  change(ledger.value);
  return world.ledgers.write(ledgerName(world.node), ledger.value);
}
