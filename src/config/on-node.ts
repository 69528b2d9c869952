import type { ContainerPolicy } from '../core/policy.ts';
import {
  type Config,
  deepFreeze,
  type Group,
  type Members,
  type NodeConfig,
  type Selector,
  waysOf,
} from './model.ts';
import { scopeOf } from './node-scope.ts';

/** What a configuration comes to on one node: who is named for another node only is not in it. */

export interface ConfigOnNode extends Config {
  readonly here: string;
  /** Why nothing is changed here yet; left out: nothing keeps it. */
  readonly onlyObserved?: string;
}

/** @param node what it is called here: its own name, or that of its entry in `NODES` */
export function onNode(config: Config, node: string): ConfigOnNode {
  const name = node.toLowerCase();
  const entry = config.nodes.find((one) => one.name.toLowerCase() === name);
  const here = new Set([name, ...(entry?.alias === undefined ? [] : [entry.alias])]);
  const texts = (all: readonly string[]): readonly string[] =>
    all.map(scopeOf).flatMap((one) => (isHere(one, here) ? [one.rest] : []));
  const members = (ids: readonly Members[]): readonly Members[] =>
    ids.flatMap((one) => (isHere(one, here) ? [{ from: one.from, to: one.to }] : []));
  const own = ({ ids, names, tags }: Selector): Selector => ({
    ids: members(ids),
    names: texts(names),
    tags: texts(tags),
  });
  return deepFreeze({
    ...config,
    here: node,
    ...onlyObserved(entry),
    ignored: own(config.ignored),
    defaults: policyOn(config.defaults, entry),
    tiers: config.tiers.map((tier) => ({
      ...tier,
      policy: policyOn(tier.policy, entry),
      containers: own(tier.containers),
      machines: own(tier.machines),
    })),
    groups: config.groups
      .filter((group) => (entry === undefined && group.node === undefined) || isOf(group, here))
      .map((group) => ({ ...group, members: members(group.members) })),
  });
}

function onlyObserved(entry: NodeConfig | undefined): Pick<ConfigOnNode, 'onlyObserved'> {
  if (entry?.isGone === true) return { onlyObserved: GONE };
  return (entry?.found?.leftMs ?? 0) > 0 ? { onlyObserved: NEWLY_FOUND } : {};
}

const GONE = 'a change of NODES; restart the daemon';
const NEWLY_FOUND = 'the first day of a node that was found';

/** Where a policy does not say whether memory shrinks without a proof, the node does. */
function policyOn(policy: ContainerPolicy, entry: NodeConfig | undefined): ContainerPolicy {
  const ways = entry === undefined ? [] : waysOf(entry);
  const [unproven] = ways.flatMap((way) => (way.connection === 'api' ? [way.unproven] : []));
  if (policy.memory.unproven !== undefined || unproven === undefined) return policy;
  return { ...policy, memory: { ...policy.memory, unproven } };
}

const isOf = ({ node }: Pick<Group, 'node'>, here: ReadonlySet<string>): boolean =>
  node !== undefined && here.has(node);

const isHere = (
  { node }: { readonly node?: string | undefined },
  here: ReadonlySet<string>,
): boolean => node === undefined || here.has(node);
