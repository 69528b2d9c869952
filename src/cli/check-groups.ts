import { groupPolicies } from '../config/group-policies.ts';
import type { ConfigOnNode } from '../config/on-node.ts';
import { printable } from '../config/printable.ts';
import { addressCount, sharedAddress } from '../core/groups/addresses.ts';
import type { GroupPolicy } from '../core/groups/group-policy.ts';
import type { ClusterView } from '../core/groups/group-view.ts';
import { snapshotHindrance, WITHOUT_SNAPSHOTS } from '../core/groups/storages.ts';
import type { Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import { table } from '../output/table.ts';

/** What `check-config` says of the horizontal groups. */

/** What hinders a program from being run, as `is not there`; undefined: nothing. */
export type ProgramProblem = (path: string) => string | undefined;

/** Asked only where there is a group. */
export type ReadCluster = () => Reading<ClusterView>;

export interface CheckedGroups {
  /** Each begins with the name of its group. */
  readonly remarks: readonly string[];
  /** One for each group below a heading; none if there is no group. */
  readonly lines: readonly string[];
}

const MAX_CHARS = 32;

/**
 * @param guests those of the node; undefined if they could not be seen
 * @param where the node, as ` on pve2`; left out: the one that the program runs on
 */
export function checkGroups(
  config: ConfigOnNode,
  guests: { has(vmid: Vmid): boolean } | undefined,
  programProblem: ProgramProblem,
  readCluster: ReadCluster,
  where = '',
): CheckedGroups {
  const groups = groupPolicies(config);
  if (groups.length === 0) return { remarks: [], lines: [] };
  const cluster = readCluster();
  const remarks = groups.flatMap((group, index) =>
    [
      ...sourceRemarks(group, guests),
      ...(cluster.ok ? snapshotRemarks(group, cluster.value) : []),
      ...addressRemarks(group),
      ...scaleInRemarks(group),
      ...hookRemarks(group, programProblem),
      ...groups.slice(0, index).flatMap((other) => sharingRemarks(group, other)),
    ].map((remark) => `${printable(group.name)} ${remark}`),
  );
  const head = ['GROUP', 'SOURCE', 'MEMBERS', 'MIN-MAX', 'SCALE IN', 'NETWORK'];
  const lines = ['', `The groups${where}:`, '', ...table([head, ...groups.map(groupCells)])];
  return { remarks, lines };
}

function groupCells({ listed, network, ...group }: GroupPolicy): string[] {
  const members = listed.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`));
  const many = addressCount(network);
  const fixed = `static, ${many} ${many === 1 ? 'address' : 'addresses'}`;
  const bridge = network.bridge === undefined ? '' : `, on ${network.bridge}`;
  return [
    printable(group.label, MAX_CHARS),
    `${group.source}`,
    members.length === 0 ? '-' : printable(members.join(', '), MAX_CHARS),
    `${group.minInstances}-${group.maxInstances}`,
    group.scaleIn,
    `${network.type === 'static' ? fixed : 'dhcp'}${bridge}`,
  ];
}

function sourceRemarks(
  { source }: GroupPolicy,
  guests: { has(vmid: Vmid): boolean } | undefined,
): readonly string[] {
  if (guests === undefined || guests.has(source)) return [];
  return [`has the source ${source}, which is not on this node: no clones are made here`];
}

/** A running source is cloned from a snapshot, which not every storage has. */
function snapshotRemarks(
  { source, sourceSnapshot }: GroupPolicy,
  { guests, storageTypes }: ClusterView,
): readonly string[] {
  const reading = guests.get(source);
  if (reading?.ok !== true || reading.value.template || sourceSnapshot !== undefined) return [];
  const hindrance = snapshotHindrance(reading.value.storages, storageTypes);
  if (hindrance === undefined) return [];
  const what = `has the source ${source}, of which no clone is made while it runs`;
  return [`${what}: ${printable(hindrance, 200)}; ${WITHOUT_SNAPSHOTS}`];
}

/** The listed members have addresses of their own; only clones take some of the range. */
function addressRemarks({ network, listed, maxInstances }: GroupPolicy): readonly string[] {
  if (network.type !== 'static') return [];
  const many = addressCount(network);
  const own = listed.reduce((sum, { from, to }) => sum + (to - from + 1), 0);
  const clones = Math.max(0, maxInstances - own);
  if (many >= clones) return [];
  const range = `has ${many} in static_ip_range for the ${clones} clones that max_instances allows`;
  return [`${range}; give it more addresses, or lower max_instances`];
}

function scaleInRemarks({ scaleIn, lower }: GroupPolicy): readonly string[] {
  if (scaleIn === 'off' || lower.cpu !== undefined || lower.memory !== undefined) return [];
  const what = `has scale_in: ${scaleIn} and no lower threshold, so it never has fewer members`;
  return [`${what}; set horiz_cpu_lower_threshold or horiz_memory_lower_threshold`];
}

function hookRemarks(group: GroupPolicy, programProblem: ProgramProblem): readonly string[] {
  const hooks = [['on_ready', group.onReady] as const, ['on_terminating', group.onTerminating]];
  return hooks.flatMap(([key, [program]]) => {
    const problem = program === undefined ? undefined : programProblem(program);
    if (program === undefined || problem === undefined) return [];
    return [`has a program in ${key} that cannot be run: ${printable(program, 200)} ${problem}`];
  });
}

function sharingRemarks(group: GroupPolicy, other: GroupPolicy): readonly string[] {
  const name = printable(other.name);
  const isStatic = group.network.type === 'static' && other.network.type === 'static';
  const shared = isStatic ? sharedAddress(group.network, other.network) : undefined;
  return [
    ...(group.source === other.source ? [`has the same source as ${name}: ${group.source}`] : []),
    ...(shared === undefined
      ? []
      : [`has addresses in static_ip_range that ${name} has too, such as ${shared}`]),
  ];
}
