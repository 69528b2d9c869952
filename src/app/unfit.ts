import { existsSync } from 'node:fs';
import type { LoadResult } from '../config/load.ts';
import { cgroupVersion } from '../node/local/kernel/cgroup-version.ts';
import { noNode, type Paths } from '../node/local/paths.ts';
import { whyHanging } from '../os/answering-files.ts';
import { type ConfigurationChoice, configurationFile } from './configuration.ts';
import type { ProcessContext } from './context.ts';
import { placesIn } from './outputs.ts';

/**
 * A sentence if a file system does not answer that the program needs: those of the configuration,
 * or `/etc/pve` alone if the configuration could not be read.
 */
export async function whyNotNow(
  loaded: LoadResult,
  { paths }: Pick<ProcessContext, 'paths'>,
): Promise<string | undefined> {
  const cluster = { cluster: paths.pveDir, others: [] };
  const hanging = await whyHanging(loaded.ok ? placesIn(loaded.config, paths) : cluster);
  if (hanging === undefined) return undefined;
  const where = 'Look at the network storage there; for /etc/pve, at: systemctl status pve-cluster';
  return `Nothing can be done now: ${hanging}. ${where}`;
}

/** Why the program cannot run on this host; undefined on a Proxmox VE node. */
export function whyUnfit({ paths }: Pick<ProcessContext, 'paths'>): string | undefined {
  const elsewhere = whyNoNode(paths);
  if (elsewhere !== undefined) return elsewhere;
  const version = cgroupVersion(paths);
  return version.ok ? undefined : version.message;
}

/** A sentence; undefined on a Proxmox VE node. */
function whyNoNode(paths: Paths): string | undefined {
  if (existsSync(paths.pveDir) && existsSync(paths.guestDirectory())) return undefined;
  const why = noNode(paths.guestDirectory());
  return `${why.charAt(0).toUpperCase()}${why.slice(1)}`;
}

/** The same, but only if there is no configuration either. */
export function whyNoConfiguration(
  { configFile }: Pick<ConfigurationChoice, 'configFile'>,
  { paths }: Pick<ProcessContext, 'paths'>,
): string | undefined {
  return existsSync(configurationFile(configFile, paths)) ? undefined : whyNoNode(paths);
}
