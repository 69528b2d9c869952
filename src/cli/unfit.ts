import { existsSync } from 'node:fs';
import { cgroupVersion } from '../host/cgroup-version.ts';
import type { Surroundings } from './world.ts';

/** Why this is no host to run on; undefined on a Proxmox VE node. */
export function whyUnfit({ paths }: Pick<Surroundings, 'paths'>): string | undefined {
  if (!existsSync(paths.pveDir) || !existsSync(paths.guestDirectory())) {
    return (
      `This is not a Proxmox VE node, or its cluster file system is not running: there is no ` +
      `${paths.guestDirectory()}. On a node, look at: systemctl status pve-cluster`
    );
  }
  const version = cgroupVersion(paths);
  return version.ok ? undefined : version.message;
}
