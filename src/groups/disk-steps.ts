import { isNameOfOthers, isSnapshotName, mainDisk, volumeOf } from '../core/groups/disk-wish.ts';
import { snapshotHindrance } from '../core/groups/storages.ts';
import { plainText } from '../core/plain-text.ts';
import type { GuestNow, SnapshotNow } from '../node/port.ts';
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
  stillThere,
} from './disk-plan.ts';

/** A disk that grows, a snapshot, and back to one. */

const GIB = 1024;
/** More of them slow a guest down, and fill its storage. */
const MOST_SNAPSHOTS = 50;

const sizeWords = (mib: number): string => `${Number((mib / GIB).toFixed(3))} GiB`;

export function planGrow(
  context: DiskContext,
  guest: GuestNow,
  wanted: string | undefined,
  gib: number,
): DiskPlan | DiskRefusal {
  const { values, config } = guest;
  const disk = wanted ?? mainDisk(values);
  if (disk === undefined) return refusal(`${named(guest)} has several disks; name one as "disk".`);
  const volume = volumeOf(values, disk);
  if (volume === undefined) return refusal(`${named(guest)} has no disk ${disk} that can grow.`);
  const before = sizeOf(guest, disk);
  if (before === undefined) return refusal(`The size of ${disk} of ${named(guest)} is not known.`);
  if (config.template)
    return refusal(`${named(guest)} is a template, whose disks stay as they are.`);
  const after = before + gib * GIB;
  const storage = volume.slice(0, volume.indexOf(':'));
  const facts = { vm_id: config.vmid, disk, before_mib: before, after_mib: after };
  const sizes = `${disk} ${sizeWords(before)} -> ${sizeWords(after)} on ${storage}`;
  return {
    ok: true,
    guest,
    facts,
    says: `${named(guest)}: ${sizes}. A disk cannot be made smaller again.`,
    needsConfirmation: true,
    run: () => grow(context, guest, { disk, storage, gib, before, after }),
  };
}

interface Growth {
  readonly disk: string;
  readonly storage: string;
  readonly gib: number;
  /** In MiB. */
  readonly before: number;
  readonly after: number;
}

async function grow(
  context: DiskContext,
  planned: GuestNow,
  { disk, storage, gib, before, after }: Growth,
): Promise<DiskEnd> {
  const { world } = context;
  const { vmid, kind } = planned.config;
  const room = (await world.eyes.storageRooms(vmid))(storage);
  if (!room.ok) return failed(`the room on ${storage} is not known: ${room.detail}`);
  const { freeMib, thin } = room.value;
  if (!thin && freeMib < gib * GIB) return failed(`${storage} has ${sizeWords(freeMib)} left`);
  const there = await stillThere(world, planned);
  if (!there.ok) return failed(there.detail);
  const guest = there.value;
  if (guest.values.get(disk) !== planned.values.get(disk)) {
    return failed(`${disk} was changed meanwhile`);
  }
  const { digest } = guest.config;
  const end = await change(context, guest, { kind: 'resize', vmid, disk, moreGib: gib, digest });
  const now = await lookAt(world, vmid);
  const size = now.ok ? sizeOf(now.value, disk) : undefined;
  if (!end.ok) {
    const isOther = size !== undefined && size !== before;
    return failed(`${end.why}${isOther ? `; ${disk} says ${sizeWords(size)} all the same` : ''}`);
  }
  // Storages round up, and the volume may have been larger than it said.
  if (size === undefined || size < after) {
    const said = size === undefined ? 'its size is not known' : `it says ${sizeWords(size)}`;
    return failed(`${disk} did not grow as asked for: ${said}`);
  }
  const larger = `It has ${sizeWords(size)}: the storage has rounded up.`;
  const inside = 'Its partition and file system are for the machine itself to grow.';
  const scarce = `${storage} has only ${sizeWords(freeMib)} left for what is written there.`;
  const notes = [
    ...(size > after ? [larger] : []),
    ...(kind === 'qemu' ? [inside] : []),
    ...(freeMib < gib * GIB ? [scarce] : []),
  ];
  const note = notes.length === 0 ? undefined : notes.join(' ');
  return { ok: true, facts: { after_mib: size }, note };
}

function sizeOf({ values, sizes }: GuestNow, disk: string): number | undefined {
  return values.has(disk) ? sizes.get(disk) : undefined;
}

/** Why a snapshot cannot be taken; undefined: nothing is known to be in the way. */
export function snapshotProblem({ world }: DiskContext, guest: GuestNow): string | undefined {
  if (guest.config.kind === 'qemu') return undefined;
  const cluster = world.cluster.read();
  return cluster.ok
    ? snapshotHindrance(guest.storages, cluster.value.storageTypes)
    : cluster.detail;
}

export function planSnapshot(
  context: DiskContext,
  guest: GuestNow,
  name: string,
): DiskPlan | DiskRefusal {
  const { vmid, template } = guest.config;
  if (!isSnapshotName(name)) return refusal(WRONG_NAME);
  if (isNameOfOthers(name))
    return refusal(`${name} is the name of a snapshot that is removed again.`);
  if (guest.snapshots.has(name)) return refusal(`${named(guest)} has a snapshot ${name} already.`);
  if (guest.snapshots.size >= MOST_SNAPSHOTS) {
    return refusal(`${named(guest)} has ${MOST_SNAPSHOTS} snapshots; remove some first.`);
  }
  if (template) return refusal(`${named(guest)} is a template, which has no snapshots.`);
  const problem = snapshotProblem(context, guest);
  if (problem !== undefined) return refusal(`${named(guest)}: ${problem}.`);
  const description = `Made by lxc-autoscale, as ${context.by} has asked.`;
  return {
    ok: true,
    guest,
    facts: { vm_id: vmid, snapshot_name: name },
    says: `${named(guest)}: the snapshot ${name} of what it has now.`,
    run: () => takeSnapshot(context, guest, name, description),
  };
}

export async function takeSnapshot(
  context: DiskContext,
  guest: GuestNow,
  name: string,
  description: string,
): Promise<DiskEnd> {
  const { vmid } = guest.config;
  const end = await change(context, guest, { kind: 'snapshot', vmid, name, description });
  if (!end.ok) return end;
  const now = await lookAt(context.world, vmid);
  const seen = now.ok ? now.value.snapshots.get(name) : undefined;
  if (seen?.snaptime !== undefined && !seen.unfinished) return end;
  return failed(now.ok ? `the snapshot ${name} is not in its configuration` : now.detail);
}

const WRONG_NAME =
  'A snapshot is called by 2 to 40 letters, digits, - and _, of which the first is a letter.';

export function planRollback(
  context: DiskContext,
  guest: GuestNow,
  name: string,
): DiskPlan | DiskRefusal {
  const { vmid } = guest.config;
  const { world } = context;
  const seen = guest.snapshots.get(name);
  if (!isSnapshotName(name) || seen === undefined) {
    const known = [...guest.snapshots.keys()].slice(0, 10).join(', ');
    const there = known === '' ? 'it has none' : `it has ${known}`;
    return refusal(`${named(guest)} has no snapshot ${plainText(name, 40)}; ${there}.`);
  }
  if (seen.unfinished) return refusal(`The snapshot ${name} of ${named(guest)} is not whole.`);
  const runs = world.runs(guest);
  if (runs === undefined) return refusal(`It is not known whether ${named(guest)} runs.`);
  const tooMuch = whyNotRestored(world, guest, seen, runs);
  if (tooMuch !== undefined) {
    return refusal(`${named(guest)} is not taken back to its snapshot ${name}: ${tooMuch}.`);
  }
  const lost = 'What was written since is lost';
  const stops = runs ? ', and it is stopped and started again' : '';
  const starts = !runs && seen.hasState ? ', and it runs then' : '';
  return {
    ok: true,
    guest,
    facts: { vm_id: vmid, snapshot_name: name },
    says: `${named(guest)}: back to its snapshot ${name}. ${lost}${stops}${starts}.`,
    run: () => rollBackTo(context, guest, name, seen),
  };
}

/** With the snapshot the memory of that time comes back. */
function whyNotRestored(
  world: DiskWorld,
  { config }: GuestNow,
  { memoryMib, hasState }: SnapshotNow,
  runs: boolean,
): string | undefined {
  if (!memoryMib.ok) return `its memory of that time is not known: ${memoryMib.detail}`;
  const then = memoryMib.value;
  if (runs || !hasState) return world.whyNotGiven(config, then);
  const room = world.room();
  if (!room.ok) return `it would run then, and the host: ${room.detail}`;
  if (then <= room.value) return undefined;
  return `it would run then with ${then} MB, and the host can spare ${Math.floor(room.value)}`;
}

async function rollBackTo(
  context: DiskContext,
  guest: GuestNow,
  name: string,
  { hasState, memoryMib }: SnapshotNow,
): Promise<DiskEnd> {
  const { world } = context;
  const { vmid } = guest.config;
  const ran = world.runs(guest) !== false;
  // It is stopped meanwhile, and what it had would look free.
  if ((ran || hasState) && memoryMib.ok) context.keep(memoryMib.value);
  const end = await change(context, guest, { kind: 'rollback', vmid, name, start: ran });
  const now = await lookAt(world, vmid);
  if (!end.ok) return failed(`${end.why}${now.ok ? standing(now.value, world) : UNSEEN}`);
  if (!now.ok) return failed(`it cannot be seen afterwards: ${now.detail}`);
  const { config, values } = now.value;
  if (values.get('parent') !== name || config.lock !== undefined) {
    return failed(`its configuration does not say that it is back at ${name}`);
  }
  if (!ran || world.runs(now.value) === true) return end;
  return { ok: true, note: 'It does not run by now.' };
}

const UNSEEN = '; it cannot be seen now';

/** A rollback that failed may have stopped it, and left it locked. */
function standing(now: GuestNow, world: DiskWorld): string {
  const lock = now.config.lock === undefined ? '' : `, locked (${now.config.lock})`;
  const runs = world.runs(now);
  const state = runs === undefined ? 'may run' : runs ? 'runs' : 'is stopped';
  return `; it ${state}${lock}`;
}
