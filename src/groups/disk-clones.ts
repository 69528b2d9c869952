import { nonceLine } from '../core/groups/description.ts';
import { hasOwnAddress } from '../core/groups/disk-wish.ts';
import { isEntryOf, type LedgerMember } from '../core/groups/ledger.ts';
import { guestInside, guestLabel } from '../core/guest-words.ts';
import type { Vmid } from '../core/units.ts';
import type { GuestNow } from '../node/port.ts';
import {
  asSeenWhole,
  clonesOnRecord,
  countClones,
  editClones,
  isGone,
  newEntry,
} from './clone-ledger.ts';
import { keepOff, removeByHand, settleClones } from './clone-rest.ts';
import { dropSnapshot } from './clone-snapshots.ts';
import {
  change,
  type DiskContext,
  type DiskEnd,
  type DiskPlan,
  type DiskRefusal,
  type DiskWorld,
  failed,
  lookAt,
  named,
  refusal,
  run,
  stillThere,
} from './disk-plan.ts';
import { snapshotProblem, takeSnapshot } from './disk-steps.ts';
import { copyNeeds, whyNoRoom } from './storage-room.ts';

/** Clones that a person asks for, and their end. */

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
  const ledger = clonesOnRecord(world);
  if (!ledger.ok) return refusal(`What was cloned before cannot be read: ${ledger.detail}.`);
  if (countClones(world, ledger.value) >= MOST_CLONES) {
    return refusal(`There are ${MOST_CLONES} clones; delete some first.`);
  }
  const hasDevice = [...guest.values.keys()].some((key) => /^net[0-9]+$/.test(key));
  if (!hasDevice) return refusal(`${label} has no network device, by which clones are told apart.`);
  const way = wayToCopy(context, guest);
  if (!way.ok) return refusal(`${label} cannot be cloned: ${way.why}.`);
  const stays = whyNotStarted(world, guest);
  const after = stays === undefined ? 'It is started then' : `It is not started, since ${stays}`;
  return {
    ok: true,
    guest,
    facts: { vm_id: guest.config.vmid, new_vm_id: newVmid },
    says: `${label} is cloned to ${newVmid} (${name}), with all of its disks. ${after}.`,
    run: () => clone(context, guest, newVmid, name, stays === undefined),
  };
}

type WayToCopy =
  | { readonly ok: true; readonly bySnapshot: boolean }
  | { readonly ok: false; readonly why: string };

/** A container that runs is copied from a snapshot. */
function wayToCopy(context: DiskContext, guest: GuestNow): WayToCopy {
  const { kind, template } = guest.config;
  if (kind === 'qemu' || template) return { ok: true, bySnapshot: false };
  const runs = context.world.runs(guest);
  if (runs === undefined) return { ok: false, why: 'it is not known whether it runs' };
  const problem = runs ? snapshotProblem(context, guest) : undefined;
  if (problem !== undefined) return { ok: false, why: `it runs, and ${problem}; stop it first` };
  return { ok: true, bySnapshot: runs };
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
  planned: GuestNow,
  vmid: Vmid,
  hostname: string,
  starts: boolean,
): Promise<DiskEnd> {
  const { world } = context;
  await settleClones(context);
  const problem = await whyNotCopied(world, planned, vmid);
  if (problem !== undefined) return failed(problem);
  const now = await stillThere(world, planned);
  if (!now.ok) return failed(now.detail);
  const source = now.value;
  const way = wayToCopy(context, source);
  if (!way.ok) return failed(way.why);
  const nonce = world.nonce();
  const snapshot = way.bySnapshot ? `autoscale-clone-${nonce.slice(0, 12)}` : undefined;
  const entry = newEntry(world, vmid, nonce);
  const from = source.config.vmid;
  const noted = editClones(world, ({ members, snapshots }) => {
    members.set(vmid, entry);
    if (snapshot === undefined) return;
    const { madeS } = entry;
    snapshots.set(snapshot, { name: snapshot, source: from, madeS, snaptime: undefined });
  });
  if (noted !== undefined) return failed(noted);
  const cut = (why: string) => brokenOff(context, from, entry, snapshot, why);
  if (snapshot !== undefined) {
    const about = `For a clone that ${context.by} has asked for; removed afterwards.`;
    const taken = await takeSnapshot(context, source, snapshot, about);
    if (!taken.ok) return cut(`no snapshot: ${taken.why}`);
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
  const blind = await world.look();
  if (blind !== undefined) return failed(`what came of it cannot be seen: ${blind}`);
  const whole = asSeenWhole(world, entry);
  if (!whole.ok) return cut(`the clone ${vmid} failed: ${made.ok ? whole.detail : made.why}`);
  const notes = [made.ok ? undefined : `It is whole, though its command failed: ${made.why}.`];
  if (!context.stop.aborted) notes.push(snapshot && (await dropSnapshot(context, from, snapshot)));
  // From its identity on nothing takes it in again, and it would start with the host for good.
  if (context.stop.aborted) notes.push(LEFT_TO_NEXT);
  else {
    notes.push(editClones(world, ({ members }) => members.set(vmid, whole.value)));
    notes.push(...(await settledIn(context, vmid, starts)));
  }
  const said = notes.filter((note) => note !== undefined);
  return { ok: true, note: said.length === 0 ? undefined : said.join(' ') };
}

const LEFT_TO_NEXT = 'The program is about to stop; its next start takes the clone in.';

async function whyNotCopied(
  world: DiskWorld,
  source: GuestNow,
  vmid: Vmid,
): Promise<string | undefined> {
  const free = await world.eyes.isIdFree(vmid);
  if (!free.ok) return `it is not known whether ${vmid} is free: ${free.detail}`;
  if (!free.value) return `the id ${vmid} is taken`;
  const needs = copyNeeds(source);
  return needs.ok ? whyNoRoom(world.eyes, source.config.vmid, needs.value) : needs.detail;
}

/**
 * Started, if it was to be and the host can still spare it: what it could minutes ago counts for
 * nothing. Else it does not start with the host either. Returns what is to be known of it.
 */
async function settledIn(
  context: DiskContext,
  vmid: Vmid,
  starts: boolean,
): Promise<readonly (string | undefined)[]> {
  const { world } = context;
  const why = starts ? await started(context, vmid) : undefined;
  if (starts && why === undefined) return [];
  const made = await lookAt(world, vmid);
  const off = made.ok ? await keepOff(context, made.value) : made.detail;
  return [why && `The clone was not started: ${why}.`, off];
}

/** Returns why it does not run; undefined: it does. */
async function started(context: DiskContext, vmid: Vmid): Promise<string | undefined> {
  const { world } = context;
  const made = await lookAt(world, vmid);
  if (!made.ok) return made.detail;
  const stays = whyNotStarted(world, made.value);
  if (stays !== undefined) return stays;
  context.keep(made.value.config.memoryMib);
  const end = await run(context, made.value, { kind: 'start', vmid });
  const now = await lookAt(world, vmid);
  context.keep(0);
  if (!now.ok) return now.detail;
  const runs = world.runs(now.value);
  if (runs === true) return undefined;
  if (!end.ok) return end.why;
  return runs === undefined ? 'it is not known whether it runs' : 'it does not run';
}

const cloneDescription = ({ by }: DiskContext, { config }: GuestNow, nonce: string): string =>
  [
    `Cloned by lxc-autoscale from ${guestInside(config)}, as ${by} has asked.`,
    'Its API may destroy it again. To keep it, set its protection.',
    nonceLine(nonce),
  ].join('\n');

/** It came to nothing: what is left of it is named. */
async function brokenOff(
  context: DiskContext,
  source: Vmid,
  entry: LedgerMember,
  snapshot: string | undefined,
  why: string,
): Promise<DiskEnd> {
  const { world } = context;
  const { vmid } = entry;
  const left = await lookAt(world, vmid);
  if (isGone(world, vmid)) editClones(world, ({ members }) => members.delete(vmid));
  const isOurs = left.ok && isEntryOf(entry, left.value);
  const there = isOurs ? `; ${removeByHand(left.value)}` : '';
  const dropped =
    snapshot === undefined ? undefined : await dropSnapshot(context, source, snapshot);
  return failed(`${why}${there}${dropped === undefined ? '' : `. ${dropped}`}`);
}

export function planDestroy(context: DiskContext, guest: GuestNow): DiskPlan | DiskRefusal {
  const { world } = context;
  const { vmid, template } = guest.config;
  const ledger = clonesOnRecord(world);
  if (!ledger.ok) return refusal(`What was cloned here cannot be read: ${ledger.detail}.`);
  const entry = onRecord(world, ledger.value.members.get(vmid));
  if (typeof entry === 'string') {
    return refusal(`${named(guest)} was begun by clone/create, and stays: ${entry}.`);
  }
  if (entry === undefined || !isEntryOf(entry, guest)) {
    return refusal(`${named(guest)} was not made by a clone/create of this program, so it stays.`);
  }
  if (guest.protection) return refusal(`${named(guest)} is protected.`);
  if (template || world.isSource(vmid)) {
    return refusal(`${named(guest)} is what others are cloned from.`);
  }
  const runs = world.runs(guest);
  if (runs === undefined) return refusal(`It is not known whether ${named(guest)} runs.`);
  const does = runs ? 'stopped and destroyed' : 'destroyed';
  return {
    ok: true,
    guest,
    facts: { vm_id: vmid },
    says: `${named(guest)} is ${does}, with all of its disks.`,
    run: () => destroy(context, entry, guest),
  };
}

/** An entry by which its guest can be told; a sentence on why that cannot be. */
function onRecord(
  world: DiskWorld,
  entry: LedgerMember | undefined,
): LedgerMember | string | undefined {
  if (entry === undefined || entry.identity !== undefined) return entry;
  const whole = asSeenWhole(world, entry);
  return whole.ok ? whole.value : whole.detail;
}

async function destroy(
  context: DiskContext,
  entry: LedgerMember,
  guest: GuestNow,
): Promise<DiskEnd> {
  const { world } = context;
  const { vmid } = guest.config;
  if (entry.identity !== undefined) {
    const kept = editClones(world, ({ members }) => members.set(vmid, entry));
    if (kept !== undefined) return failed(kept);
  }
  if (world.runs(guest) !== false) {
    const stopped = await run(context, guest, { kind: 'shutdown', vmid });
    const now = await lookAt(world, vmid);
    if (!now.ok) return failed(now.detail);
    if (world.runs(now.value) !== false) return stopped.ok ? failed('it still runs') : stopped;
  }
  // Meanwhile somebody may have taken it in hand.
  const now = await lookAt(world, vmid);
  if (!now.ok) return failed(now.detail);
  if (!isEntryOf(entry, now.value)) return failed('it is another guest by now');
  if (now.value.protection) return failed('it is protected by now');
  const end = await change(context, now.value, { kind: 'destroy', vmid });
  const blind = await world.look();
  if (blind !== undefined) return failed(`what came of it cannot be seen: ${blind}`);
  if (!isGone(world, vmid)) return failed(end.ok ? 'it is still there' : end.why);
  return { ok: true, note: editClones(world, ({ members }) => members.delete(vmid)) };
}
