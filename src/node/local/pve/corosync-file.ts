import { readFileSync } from 'node:fs';
import type { Paths } from '../paths.ts';

/**
 * The nodes of this cluster, as corosync knows them. The file lies on the disk of each node, so it
 * can be read while `/etc/pve` hangs. Empty for a node that stands alone. Source: corosync.conf(5).
 */
export function clusterNodes({ at }: Pick<Paths, 'at'>): readonly string[] {
  try {
    return nodesIn(readFileSync(at('/etc/corosync/corosync.conf'), 'utf8'));
  } catch {
    return [];
  }
}

/** `name:` of each block `node { ... }`. */
export function nodesIn(text: string): readonly string[] {
  return [...text.matchAll(/^\s*node\s*\{([^{}]*)\}/gm)].flatMap(([, block = '']) => {
    const [, name] = /^\s*name:\s*(\S+)\s*$/m.exec(block) ?? [];
    return name === undefined ? [] : [name];
  });
}
