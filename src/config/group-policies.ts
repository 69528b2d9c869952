import type { GroupPolicy } from '../core/groups/group-policy.ts';
import { percentToRatio } from '../core/units.ts';
import type { Group } from './model.ts';
import type { ConfigOnNode } from './on-node.ts';

const orNothing = (text: string): string | undefined => (text === '' ? undefined : text);
const share = (percent: number | undefined) =>
  percent === undefined ? undefined : percentToRatio(percent);

/** The groups of a configuration, in the words of the core. */
export const groupPolicies = ({ groups }: ConfigOnNode): readonly GroupPolicy[] =>
  groups.map(policyOf);

function policyOf(group: Group): GroupPolicy {
  const { network, upperPercent, lowerPercent, health } = group;
  return {
    name: group.name,
    label: group.label,
    tag: group.tag.toLowerCase(),
    listed: group.members,
    source: group.source,
    sourceSnapshot: orNothing(group.sourceSnapshot),
    minInstances: group.minInstances,
    maxInstances: group.maxInstances,
    firstId: group.startingCloneId,
    cloneMode: group.cloneMode,
    network: {
      type: network.type,
      addresses: network.addresses,
      bridge: orNothing(network.bridge),
      gateway: orNothing(network.gateway),
    },
    startOrder: group.startOrder,
    upper: {
      cpu: percentToRatio(upperPercent.cpu),
      memory: percentToRatio(upperPercent.memory),
    },
    lower: { cpu: share(lowerPercent.cpu), memory: share(lowerPercent.memory) },
    scaleIn: group.scaleIn,
    outGraceMs: group.scaleOutGraceMs,
    inGraceMs: group.scaleInGraceMs,
    warmupMs: group.warmupMs,
    readyTimeoutMs: group.readyTimeoutMs,
    cloneTimeoutMs: group.cloneTimeoutMs,
    health: {
      kind: health.check,
      port: health.port ?? 0,
      path: health.path,
      healthyCount: health.healthyCount,
      unhealthyCount: health.unhealthyCount,
    },
    onReady: group.onReady,
    onTerminating: group.onTerminating,
    hookTimeoutMs: group.hookTimeoutMs,
  };
}
