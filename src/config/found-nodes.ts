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

/**
 * A new text of the file, with the nodes that are in use since the start, each reached as it was.
 * If the text has no entry for a node, or another node under its name, its lists of guests may mean
 * guests of other nodes. So nothing is changed there.
 */
export function keepingNodes(config: Config, start: Config): Config {
  const now = entriesIn(config);
  const used = entriesIn(start);
  const kept = used.map((was) =>
    asNow(
      was,
      now.find(({ name }) => isSameName(name, was.name)),
    ),
  );
  const added = now.filter(({ name }) => !used.some((was) => isSameName(was.name, name)));
  return deepFreeze({ ...config, nodes: [...kept, ...added] });
}

function asNow(was: NodeConfig, now: NodeConfig | undefined): NodeConfig {
  if (now === undefined || !isSamePlace(was, now)) return { ...was, isGone: true };
  const [api] = waysOf(now).flatMap((way) => (way.connection === 'api' ? [way] : []));
  const said = { alias: now.alias, unproven: api?.unproven };
  return { ...was, ...said, ...(was.instead && { instead: { ...was.instead, ...said } }) };
}

const isSamePlace = (one: NodeConfig, other: NodeConfig): boolean =>
  waysOf(one).some((way) =>
    waysOf(other).some((now) => PLACE.every((key) => way[key] === now[key])),
  );
const PLACE = ['connection', 'host', 'port', 'node'] as const;

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
  const { instead, discovers, alias: _, ...way } = by;
  if (instead !== undefined || discovers !== true) return undefined;
  const found = { by: by.name, leftMs: leftToObserve(one) };
  const own = { name: one.name, node: one.name, found };
  if (way.connection === 'api') return { ...way, ...own };
  return one.host === undefined ? undefined : { ...way, ...own, host: one.host };
}
