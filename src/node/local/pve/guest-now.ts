import { createHash } from 'node:crypto';
import { join } from 'node:path/posix';
import { missing, present, type Reading } from '../../../core/reading.ts';
import type { Vmid } from '../../../core/units.ts';
import { readRegularFile } from '../../../os/regular-file.ts';
import {
  EMPTY_SECTION,
  isProtected,
  sectionsOf,
  sizesIn,
  snapshotsIn,
  storagesOf,
} from '../../guests/conf-sections.ts';
import { GUEST_CONFIG_LIMIT_BYTES, parseGuestConfig } from '../../guests/lxc-conf.ts';
import { parseMachineConfig } from '../../guests/qemu.ts';
import type { GuestNow } from '../../port.ts';
import type { Paths } from '../paths.ts';

/** A guest of this node by its file, read now. Missing with `absent` if it is not on this node. */
export function readGuestNow(paths: Paths, vmid: Vmid): Reading<GuestNow> {
  const container = readRegularFile(paths.guestConfig(vmid), GUEST_CONFIG_LIMIT_BYTES);
  if (container.ok) return guestNow(parseGuestConfig(vmid, container.value), container.value);
  if (container.why !== 'absent') return container;
  const path = join(paths.vmDirectory(), `${vmid}.conf`);
  const machine = readRegularFile(path, GUEST_CONFIG_LIMIT_BYTES);
  if (!machine.ok) {
    return machine.why === 'absent' ? missing('absent', `${vmid} is not on this node`) : machine;
  }
  const digest = createHash('sha1').update(machine.value).digest('hex');
  return guestNow(parseMachineConfig(vmid, machine.value.toString('utf8'), digest), machine.value);
}

function guestNow(config: Reading<GuestNow['config']>, content: Buffer): Reading<GuestNow> {
  if (!config.ok) return config;
  const [live = EMPTY_SECTION, ...others] = sectionsOf(content.toString('utf8'));
  return present({
    config: config.value,
    content,
    values: live.values,
    sizes: sizesIn(live),
    description: live.lines,
    snapshots: snapshotsIn(others),
    protection: isProtected(live),
    storages: storagesOf(live.values),
  });
}
