import { isSnapshotName, mainDisk, volumeOf } from '../core/groups/disk-wish.ts';
import { snapshotHindrance } from '../core/groups/storages.ts';
import { guestLabel } from '../core/guest-words.ts';
import { plainText } from '../core/plain-text.ts';
import type { GuestNow } from '../node/port.ts';
import {
  change,
  type DiskContext,
  type DiskEnd,
  type DiskPlan,
  type DiskRefusal,
  refusal,
} from './disk-plan.ts';

/** A disk that grows, a snapshot, and back to one. */

const GIB = 1024;
/** More of them slow a guest down, and fill its storage. */
const MOST_SNAPSHOTS = 50;

const named = ({ config }: GuestNow): string => {
  const name = plainText(config.name, 64);
  return `${guestLabel(config)} (${name})`;
};

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
    run: () => grow(context, guest, disk, storage, gib, after),
  };
}

async function grow(
  context: DiskContext,
  guest: GuestNow,
  disk: string,
  storage: string,
  gib: number,
  after: number,
): Promise<DiskEnd> {
  const { world } = context;
  const { vmid, digest, kind } = guest.config;
  const room = await world.eyes.storageRoom(storage, vmid);
  if (!room.ok) return { ok: false, why: `the room on ${storage} is not known: ${room.detail}` };
  const { freeMib, thin } = room.value;
  if (!thin && freeMib < gib * GIB) {
    return { ok: false, why: `${storage} has ${sizeWords(freeMib)} left` };
  }
  const end = await change(context, guest, { kind: 'resize', vmid, disk, moreGib: gib, digest });
  const now = world.guestNow(vmid);
  const size = now.ok ? sizeOf(now.value, disk) : undefined;
  if (!end.ok) {
    const grown = size === after ? `; ${disk} says ${sizeWords(after)} all the same` : '';
    return { ok: false, why: `${end.why}${grown}` };
  }
  if (size !== after) {
    const said = size === undefined ? 'its size is not known' : `it says ${sizeWords(size)}`;
    return { ok: false, why: `${disk} did not grow as asked for: ${said}` };
  }
  const inside = 'Its partition and file system are for the machine itself to grow.';
  const scarce = `${storage} has only ${sizeWords(freeMib)} left for what is written there.`;
  const notes = [...(kind === 'qemu' ? [inside] : []), ...(freeMib < gib * GIB ? [scarce] : [])];
  return { ok: true, note: notes.length === 0 ? undefined : notes.join(' ') };
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
    run: async () => {
      const end = await change(context, guest, { kind: 'snapshot', vmid, name, description });
      if (!end.ok) return end;
      const now = context.world.guestNow(vmid);
      const seen = now.ok ? now.value.snapshots.get(name) : undefined;
      if (seen?.snaptime !== undefined && !seen.unfinished) return end;
      return { ok: false, why: `the snapshot ${name} is not in its configuration` };
    },
  };
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
  const lost = 'What was written since is lost';
  const stops = runs ? ', and it is stopped and started again' : '';
  return {
    ok: true,
    guest,
    facts: { vm_id: vmid, snapshot_name: name },
    says: `${named(guest)}: back to its snapshot ${name}. ${lost}${stops}.`,
    run: async () => {
      const end = await change(context, guest, { kind: 'rollback', vmid, name, start: runs });
      const now = world.guestNow(vmid);
      if (!end.ok) return { ok: false, why: `${end.why}${standing(now.ok && now.value, world)}` };
      if (!now.ok) return { ok: false, why: `it cannot be seen afterwards: ${now.detail}` };
      const { config, values } = now.value;
      if (values.get('parent') !== name || config.lock !== undefined) {
        return { ok: false, why: `its configuration does not say that it is back at ${name}` };
      }
      if (runs && !world.runs(now.value)) return { ok: true, note: 'It does not run by now.' };
      return end;
    },
  };
}

/** A rollback that failed may have stopped it, and left it locked. */
function standing(now: GuestNow | false, world: DiskContext['world']): string {
  if (now === false) return '; it cannot be seen now';
  const lock = now.config.lock === undefined ? '' : `, locked (${now.config.lock})`;
  return `; it ${world.runs(now) ? 'runs' : 'is stopped'}${lock}`;
}
