import { type FoundNode, isSameName, leftToObserve, type Member } from '../core/found-nodes.ts';
import { type Config, deepFreeze, entriesIn, type NodeConfig, waysOf } from './model.ts';

/** Nodes that were found, as if `NODES` had them: each is reached as the entry that found it is. */

/** The same configuration with them. What the file names itself is not found. */
export function withFound(config: Config, found: readonly FoundNode[], self: string): Config {
  const entries = entriesIn(config);
  const added = found.flatMap((one): readonly NodeConfig[] => {
    const by = entries.find(({ name, discovers }) => discovers === true && name === one.by);
    if (by === undefined || isSameName(one.name, self)) return [];
    if (entries.some((entry) => isOfEntry(one, entry))) return [];
    const node = foundConfig(by, one);
    return node === undefined ? [] : [node];
  });
  if (added.length === 0 && entries.length === config.nodes.length) return config;
  return deepFreeze({ ...config, nodes: [...entries, ...added] });
}

/** Whether an entry of the file may mean this node of a cluster. */
export const isOfEntry = ({ name, host }: Member, entry: NodeConfig): boolean =>
  isSameName(name, entry.name) ||
  waysOf(entry).some(
    (way) =>
      (way.node !== undefined && isSameName(name, way.node)) ||
      (way.connection === 'ssh' && way.host === host),
  );

/**
 * Whether a node is looked after by its own name, or by an entry of the file.
 * @param self what the node of this program is called; empty: there is none
 * @param ownOf what the node of an entry calls itself; undefined: it has not answered yet
 */
export const takenIn =
  (config: Config, self: string, ownOf: (entry: string) => string | undefined) =>
  (member: Member): boolean =>
    isSameName(member.name, self) ||
    entriesIn(config).some(
      (entry) => isOfEntry(member, entry) || isSameName(ownOf(entry.name) ?? '', member.name),
    );

/** undefined: it is not known how to reach it. */
export function foundConfig(by: NodeConfig, one: FoundNode): NodeConfig | undefined {
  const { instead, discovers, alias: _, ...way } = by as NodeConfig & { readonly alias?: string };
  if (instead !== undefined || discovers !== true) return undefined;
  const found = { by: by.name, leftMs: leftToObserve(one) };
  const own = { name: one.name, node: one.name, found };
  if (way.connection === 'api') return { ...way, ...own };
  return one.host === undefined ? undefined : { ...way, ...own, host: one.host };
}
