import { existsSync } from 'node:fs';
import type { LoadResult } from '../config/load.ts';
import type { Config } from '../config/model.ts';
import { cgroupVersion } from '../node/local/kernel/cgroup-version.ts';
import { isOnNode, noNode, type Paths } from '../node/local/paths.ts';
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

/** Whether the program runs on a host that is no node, and looks after other nodes only. */
export const isAway = (
  { nodes }: Pick<Config, 'nodes'>,
  { paths }: Pick<ProcessContext, 'paths'>,
): boolean => nodes.length > 0 && !isOnNode(paths.at);

const NAMES_NO_NODE =
  'A group that names no node is not looked after here: write `node` below it, one that is ' +
  'reached by SSH.';

/** What there is elsewhere than on a node, and what of the configuration has no effect. */
export function awayLines({ nodes, groups }: Config): readonly string[] {
  const names = nodes.map(({ name }) => name).join(', ');
  return [
    `This host is no Proxmox VE node, so only the nodes below NODES are looked after: ${names}.`,
    ...(groups.some(({ node }) => node === undefined) ? [NAMES_NO_NODE] : []),
  ];
}

/** Why the program cannot run on this host; undefined on a Proxmox VE node, and away from one. */
export const whyUnfit = (
  loaded: LoadResult,
  context: Pick<ProcessContext, 'paths'>,
): string | undefined =>
  loaded.ok && isAway(loaded.config, context) ? undefined : whyNotHere(context);

/** Why guests of this host cannot be looked after; undefined on a Proxmox VE node. */
export function whyNotHere({ paths }: Pick<ProcessContext, 'paths'>): string | undefined {
  const elsewhere = whyNoNode(paths);
  if (elsewhere !== undefined) return elsewhere;
  const version = cgroupVersion(paths);
  return version.ok ? undefined : version.message;
}

const NAME_NODES = '. Elsewhere, name the nodes below NODES in the configuration';

/** A sentence; undefined on a Proxmox VE node. */
function whyNoNode(paths: Paths): string | undefined {
  if (existsSync(paths.pveDir) && existsSync(paths.guestDirectory())) return undefined;
  const why = noNode(paths.guestDirectory());
  return `${why.charAt(0).toUpperCase()}${why.slice(1)}${isOnNode(paths.at) ? '' : NAME_NODES}`;
}

/** The same, but only if there is no configuration either. */
export function whyNoConfiguration(
  { configFile }: Pick<ConfigurationChoice, 'configFile'>,
  { paths }: Pick<ProcessContext, 'paths'>,
): string | undefined {
  return existsSync(configurationFile(configFile, paths)) ? undefined : whyNoNode(paths);
}
