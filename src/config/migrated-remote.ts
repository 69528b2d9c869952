import { withoutValue } from './foreign-draft.ts';
import type { Refusal } from './foreign-file.ts';
import { ForeignReport, type Written } from './foreign-keys.ts';
import { NO_PASSWORD, type Placed, place } from './foreign-place.ts';
import type { Carried } from './migrate-keys.ts';
import type { Whereabouts } from './migrated.ts';
import type { Block } from './migrated-block.ts';
import { remoteOf } from './old-remote.ts';
import { printable } from './printable.ts';
import { sectionKind } from './unknown-keys.ts';
import type { Environment } from './variables.ts';
import type { YamlEntry } from './yaml.ts';
import { yamlScalar } from './yaml-text.ts';

/**
 * A file of the Python daemon that is for another node: the same for that node, and nothing for the
 * one that this program runs on.
 */

/** Where the file acts. */
export type Reach =
  | { readonly kind: 'here' }
  | ({ readonly kind: 'refused' } & Refusal)
  | Elsewhere;

interface Elsewhere {
  readonly kind: 'far';
  /** How each node is named in a list of guests: `pve2/`. */
  readonly scopes: readonly string[];
  readonly nodes: readonly Placed[];
}

/** @param entries of the defaults that count; of a key that stands twice the last does */
export function reachOf(
  entries: readonly YamlEntry[],
  env: Environment,
  where: Whereabouts,
): Reach {
  const report = new ForeignReport(env);
  const remote = remoteOf(entries, report);
  if (!remote.ok) return { kind: 'refused', line: remote.line, message: remote.message };
  if (remote.host === undefined) return { kind: 'here' };
  const nodes: Placed[] = [];
  const scopes = place(remote.host, where, report, nodes);
  const [fault] = report.faults;
  if (fault !== undefined) return { kind: 'refused', ...fault };
  return nodes.length === 0 ? { kind: 'here' } : { kind: 'far', scopes, nodes };
}

/** Keys that say how a node is reached. */
const isConnection = (key: string): boolean =>
  /^(?:use_proxmox_api|use_remote_proxmox|proxmox_host|proxmox_node|backend)$/.test(key) ||
  /^(?:proxmox_api[._]|ssh_(?:user|port|key_path)$)/.test(key);

/** What says how this node is reached is not needed on it. */
export function reachedHere(blocks: readonly Block[]): void {
  for (const one of connectionsIn(blocks)) {
    if (one.verdict === 'not supported') one.verdict = 'dropped';
  }
}

/** Whether a file says no more than that it is for this node, and that is understood. */
export const saysItIsHere = (blocks: readonly Block[]): boolean =>
  connectionsIn(blocks).some(({ oldKey }) => /^proxmox_api[._]host$/.test(oldKey)) &&
  !blocks.some(({ carried }) => carried.some(({ verdict }) => verdict === 'not supported'));

/** What the file says of how its node is reached. */
const connectionsIn = (blocks: readonly Block[]): readonly Carried[] =>
  blocks
    .filter(({ name, dead }) => name === 'DEFAULT' && dead === undefined)
    .flatMap(({ carried }) => carried.filter(({ oldKey }) => isConnection(oldKey)));

const ONLY = 'the old file is for other nodes, and for none of the guests here';

/** Makes each list of guests one of those nodes, and leaves all others alone. */
export function bindTo({ scopes, nodes }: Elsewhere, blocks: Block[]): void {
  for (const one of connectionsIn(blocks)) describeConnection(one, nodes);
  const defaults = blocks.find(({ name, dead }) => name === 'DEFAULT' && dead === undefined);
  for (const one of defaults?.carried ?? []) {
    if (one.oldKey === 'ssh_password') one.why = NO_PASSWORD;
  }
  for (const block of blocks) {
    if (block.dead !== undefined) continue;
    const kind = sectionKind(block.name);
    if (kind === 'group') block.dead = 'groups are on one node each; write `node` below it';
    if (kind !== 'tier') continue;
    for (const one of block.carried) {
      if (one.key !== 'lxc_containers' || typeof one.written !== 'object') continue;
      one.written = one.written.flatMap((item) => scoped(item, scopes));
      one.verdict = 'converted';
    }
  }
  defaults?.carried.push(added('manage', 'listed', ONLY));
  blocks.splice(1, 0, {
    ...blockOf('NODES'),
    carried: nodes.map((node) => added(node.name, flow(node.keys), HOW + toSet(node))),
  });
  const all = scopes.map((scope) => yamlScalar(`${scope}*`));
  blocks.push({
    ...blockOf('TIER_all_others'),
    carried: [added('lxc_containers', all, 'all others there have the values of DEFAULT')],
  });
}

const HOW = 'as the old file reaches it';

const toSet = ({ variables }: Placed): string =>
  variables.map(({ name }) => `; set ${name} in /etc/lxc_autoscale/environment`).join('');

function describeConnection(one: Carried, nodes: readonly Placed[]): void {
  const names = nodes.map(({ name }) => name).join(', ');
  const isOfSsh = /^(?:ssh_|use_remote|proxmox_host$)/.test(one.oldKey);
  const isBySsh = nodes.some(({ keys }) => keys.some(({ key }) => key === 'connection'));
  one.written = undefined;
  if (isOfSsh && !isBySsh) {
    one.verdict = 'dropped';
    one.why = 'the API is used, as that program does first';
  } else if (/timeout$/.test(one.oldKey)) {
    one.verdict = 'dropped';
    one.why = 'requests have a time limit of their own';
  } else {
    one.verdict = 'converted';
    const secret = nodes.find(({ variables }) => variables.some(({ line }) => line === one.line));
    const how = secret === undefined ? '' : `; its value is not copied${toSet(secret)}`;
    one.why = `now in NODES: ${printable(names, 200)}${how}`;
  }
}

/** Why the new file could not have the nodes; without them it would be for others. */
export function whyUnbound(blocks: readonly Block[]): Refusal | undefined {
  const nodes = blocks.filter(({ name }) => name === 'NODES');
  const managed = blocks.flatMap(({ carried }) => carried.filter(({ key }) => key === 'manage'));
  const [own] = managed;
  if (nodes.length > 0 && managed.length > 1) {
    const what = 'manage stands in a file that acts on another node';
    return { line: own?.line, message: `${what}; remove it, and migrate again` };
  }
  const lost = nodes.flatMap(({ carried }) => carried).find((one) => one.written === undefined);
  const why = lost?.why ?? nodes.find(({ dead }) => dead !== undefined)?.dead;
  if (why === undefined) return undefined;
  const what = `the node that it acts on cannot be taken over: ${withoutValue(why)}`;
  return { line: undefined, message: `${what}; mend that and migrate again` };
}

const blockOf = (name: string) => ({
  oldName: name,
  name,
  line: undefined,
  further: [],
  dead: undefined,
});

const added = (key: string, value: string | readonly string[], why: string): Carried => ({
  line: undefined,
  oldKey: key,
  key,
  verdict: 'added',
  why,
  written: value,
  lost: false,
  shown: typeof value === 'string' ? value : value.join(', '),
});

/** An item of a list, which is YAML already. */
function scoped(item: string, scopes: readonly string[]): readonly string[] {
  const plain = item.startsWith("'") ? item.slice(1, -1).replaceAll("''", "'") : item;
  return scopes.map((scope) => yamlScalar(`${scope}${plain}`));
}

const flow = (keys: readonly Written[]): string =>
  `{${keys.map(({ key, value }) => `${key}: ${value}`).join(', ')}}`;
