import { readFileSync } from 'node:fs';
import { proxyIn } from '../../../core/notify/proxy-for.ts';
import { AnsweringFiles } from '../../../os/answering-files.ts';
import type { Paths } from '../paths.ts';

/** What the cluster's `datacenter.cfg` says that concerns this program. */

/** The proxy that the node's own downloads and notifications go through; undefined: none. */
export async function nodeProxy(paths: Paths): Promise<string | undefined> {
  const cluster = paths.at('/etc/pve');
  const files = new AnsweringFiles();
  await files.ask({ cluster, others: [] });
  if (files.problem(cluster) !== undefined) return undefined;
  try {
    return proxyIn(readFileSync(paths.at('/etc/pve/datacenter.cfg'), 'utf8'));
  } catch {
    return undefined;
  }
}
