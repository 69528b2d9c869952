import { isIP } from 'node:net';
import type { ClusterSeen, Member } from '../../../core/found-nodes.ts';
import { missing, present, type Reading } from '../../../core/reading.ts';
import type { ReadSmallFile } from '../../../os/file-reader.ts';
import { asObject, parseJsonObject } from '../../../os/json-object.ts';
import { noNode, type Paths } from '../paths.ts';

/**
 * Whether `/etc/pve` takes changes, of `/etc/pve/.members`. Without quorum of its cluster a node
 * can read everything and write nothing. A node that stands alone has no `cluster` there:
 *
 *     { "nodename": "pve1", "version": 0 }
 *     { "nodename": "pve1", "version": 3, "cluster": { "name": "lab", "nodes": 2, "quorate": 0 } }
 */
export function readQuorum(
  { members }: Pick<Paths, 'members'>,
  read: ReadSmallFile,
): Reading<boolean> {
  const file = read(members);
  if (!file.ok) return file.why === 'absent' ? missing('absent', noNode(members)) : file;
  const quorum = parseQuorum(file.value.toString('utf8'));
  return quorum === undefined
    ? missing('malformed', `${members}: not understood`)
    : present(quorum);
}

/**
 * The nodes of the cluster, with their addresses, as the same file has them; undefined if it is not
 * understood. One that stands alone has no `nodelist`:
 *
 *     "nodelist": { "pve1": { "id": 1, "online": 1, "ip": "10.0.0.1" }, ... }
 */
export function parseMembers(text: string): ClusterSeen | undefined {
  const content = parseJsonObject(text);
  const own = content?.['nodename'];
  const isQuorate = parseQuorum(text);
  if (typeof own !== 'string' || isQuorate === undefined) return undefined;
  const listed = asObject(content?.['nodelist']);
  const members = Object.entries(listed ?? {}).map(([name, about]): Member => {
    const ip = asObject(about)?.['ip'];
    return { name, ...(typeof ip === 'string' && isIP(ip) !== 0 && { host: ip }) };
  });
  return { own, members: listed === undefined ? [{ name: own }] : members, isQuorate };
}

export function parseQuorum(text: string): boolean | undefined {
  const content = parseJsonObject(text);
  if (typeof content?.['nodename'] !== 'string') return undefined;
  if (content['cluster'] === undefined) return true;
  const quorate = asObject(content['cluster'])?.['quorate'];
  return quorate === 1 ? true : quorate === 0 ? false : undefined;
}
