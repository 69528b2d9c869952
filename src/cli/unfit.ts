import { existsSync } from 'node:fs';
import type { LoadResult } from '../config/load.ts';
import { whyHanging } from '../host/answering-files.ts';
import { cgroupVersion } from '../host/cgroup-version.ts';
import { placesIn, type Surroundings } from './world.ts';

/**
 * Why nothing can be looked at now: a file system does not answer. A sentence; undefined where
 * those that matter do: of the configuration where it could be read, else `/etc/pve` alone.
 */
export async function whyNotNow(
  loaded: LoadResult,
  { paths }: Pick<Surroundings, 'paths'>,
): Promise<string | undefined> {
  const cluster = { cluster: paths.pveDir, others: [] };
  const hanging = await whyHanging(loaded.ok ? placesIn(loaded.config, paths) : cluster);
  if (hanging === undefined) return undefined;
  const where = 'Look at the network storage there; for /etc/pve, at: systemctl status pve-cluster';
  return `Nothing can be done now: ${hanging}. ${where}`;
}

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
