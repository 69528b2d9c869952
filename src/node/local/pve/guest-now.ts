import { createHash } from 'node:crypto';
import { join } from 'node:path/posix';
import type { SnapshotSeen } from '../../../core/groups/group-view.ts';
import { missing, present, type Reading } from '../../../core/reading.ts';
import type { Vmid } from '../../../core/units.ts';
import { readRegularFile } from '../../../os/regular-file.ts';
import {
  type ConfSection,
  EMPTY_SECTION,
  isProtected,
  sectionsOf,
  sizesIn,
  snapshotsIn,
  storagesOf,
} from '../../guests/conf-sections.ts';
import { GUEST_CONFIG_LIMIT_BYTES, parseGuestConfig } from '../../guests/lxc-conf.ts';
import { parseMachineConfig } from '../../guests/qemu.ts';
import type { GuestNow, SnapshotNow } from '../../port.ts';
import type { Paths } from '../paths.ts';

/** A guest of this node by its file, read now. Missing with `absent` if it is not on this node. */
export function readGuestNow(paths: Paths, vmid: Vmid): Reading<GuestNow> {
  const container = readRegularFile(paths.guestConfig(vmid), GUEST_CONFIG_LIMIT_BYTES);
  if (container.ok) return guestNow((text) => parseGuestConfig(vmid, text), container.value);
  if (container.why !== 'absent') return container;
  const path = join(paths.vmDirectory(), `${vmid}.conf`);
  const machine = readRegularFile(path, GUEST_CONFIG_LIMIT_BYTES);
  if (machine.ok) return guestNow((text) => machineIn(vmid, text), machine.value);
  return machine.why === 'absent' ? missing('absent', `${vmid} is not on this node`) : machine;
}

type Parse = (text: Buffer) => Reading<GuestNow['config']>;

const machineIn = (vmid: Vmid, text: Buffer): Reading<GuestNow['config']> =>
  parseMachineConfig(vmid, text.toString('utf8'), createHash('sha1').update(text).digest('hex'));

function guestNow(parse: Parse, content: Buffer): Reading<GuestNow> {
  const config = parse(content);
  if (!config.ok) return config;
  const [live = EMPTY_SECTION, ...others] = sectionsOf(content.toString('utf8'));
  const seen = snapshotsIn(others);
  const snapshots = others.flatMap(({ heading, values }) => {
    const snapshot = seen.get(heading);
    return snapshot === undefined ? [] : [[heading, snapshotNow(snapshot, values, parse)] as const];
  });
  return present({
    config: config.value,
    content,
    values: live.values,
    sizes: sizesIn(live),
    description: live.lines,
    snapshots: new Map(snapshots),
    protection: isProtected(live),
    storages: storagesOf(live.values),
  });
}

/** A section of a snapshot is a whole configuration. */
function snapshotNow(
  snapshot: SnapshotSeen,
  values: ConfSection['values'],
  parse: Parse,
): SnapshotNow {
  const lines = Array.from(values, ([key, value]) => `${key}: ${value}\n`);
  const then = parse(Buffer.from(lines.join('')));
  const memoryMib = then.ok ? present(then.value.memoryMib) : then;
  return { ...snapshot, memoryMib, hasState: values.has('vmstate') };
}
