import type { GroupValues } from './keys.ts';
import type { Reader, Section } from './sections.ts';
import { report } from './sections.ts';

/** Which node a group is on. */

type OfGroup = Partial<Pick<GroupValues, 'node' | 'source' | 'lxc_containers'>>;

/** In lower case; undefined: the one that the program runs on. */
export function groupNode({ node, source, lxc_containers }: OfGroup): string | undefined {
  if (node !== undefined && node !== '') return node.toLowerCase();
  if (source?.node !== undefined) return source.node;
  const ids = lxc_containers?.ids ?? [];
  const first = ids[0]?.node;
  return ids.every((one) => one.node === first) ? first : undefined;
}

/** A group is on one node. */
export function checkGroupNode({ values, given }: Section<GroupValues>, reader: Reader): void {
  const called = values.node?.toLowerCase() ?? '';
  const from = values.source?.node;
  if (called === '' || from === undefined || from === called) return;
  const message = `names a container of ${from}, and the group is on ${called}; change one`;
  report(reader, given.get('source')?.line, 'source', message);
}

/** The nodes that a group names beside its list, each with its key and what stands there. */
export function nodesNamedBy({ node, source }: OfGroup) {
  const from = source?.node;
  return [
    ...(node ? [{ key: 'node', node: node.toLowerCase(), shown: node }] : []),
    ...(from ? [{ key: 'source', node: from, shown: `${from}/${source?.vmid}` }] : []),
  ];
}
