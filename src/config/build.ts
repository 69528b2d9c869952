import { LEAST_MEMORY_MIB, MOST_CORES } from '../core/allocation.ts';
import type { ContainerPolicy, HostPolicy, OfGiven, PresetInUse } from '../core/policy.ts';
import { cores, mib, percentToRatio, ratio, secondsToMs } from '../core/units.ts';
import type { EffectiveValues } from './defaults.ts';
import { DEFAULTS, GROUP_DEFAULTS, inForce, over } from './defaults.ts';
import { groupNode } from './group-node.ts';
import type { DefaultValues, GroupValues, NodeValues, TierValues } from './keys.ts';
import type { Config, Group, Members, Selector, Tier } from './model.ts';
import { deepFreeze } from './model.ts';
import { nodeConfig, withAliases } from './nodes.ts';
import { notifyConfig } from './notify.ts';
import { type PresetName, presetOf } from './presets.ts';
import type { ReadMembers } from './read-values.ts';
import type { ShareOfGiven } from './schema.ts';
import type { Section } from './sections.ts';
import { settingsOf } from './settings.ts';
import { groupLabel, groupTag, tierTag } from './tags.ts';

/** Checked values, as they stand in the file, into the words and units of the program. */

const STEP_FACTOR = { conservative: 0.5, normal: 1, aggressive: 2 } as const;

/** The keys of `DEFAULT` that a tier may set too. */
type ContainerValues = Omit<EffectiveValues<TierValues>, OfTierOnly>;
type OfTierOnly = 'lxc_containers' | 'virtual_machines' | 'guests' | 'preset';

/** The minima that an admin has set; one that is as it is by default raises nobody. */
type OwnMinima = Readonly<Record<'cores' | 'memory', boolean>>;

function containerPolicy(
  source: string,
  values: ContainerValues,
  raises: OwnMinima,
): ContainerPolicy {
  const band = (lower: number, upper: number) => ({
    lower: percentToRatio(lower),
    upper: percentToRatio(upper),
  });
  return {
    source,
    cpu: {
      unit: values.cpu_unit,
      band: band(values.cpu_lower_threshold, values.cpu_upper_threshold),
      minIncrement: cores(values.core_min_increment),
      maxIncrement: cores(values.core_max_increment),
      min: cores(numberOr(values.min_cores, LEAST_CORES)),
      raises: raises.cores,
      max: cores(numberOr(values.max_cores, MOST_CORES)),
      ...ofGiven(values.min_cores, values.max_cores),
    },
    memory: {
      band: band(values.memory_lower_threshold, values.memory_upper_threshold),
      minIncrementMib: mib(values.memory_min_increment),
      minDecreaseMib: mib(values.min_decrease_chunk),
      minMib: mib(numberOr(values.min_memory, LEAST_MEMORY_MIB)),
      raises: raises.memory,
      maxMib: typeof values.max_memory === 'number' ? mib(values.max_memory) : undefined,
      ...ofGiven(values.min_memory, values.max_memory),
      mayUseSwap: values.shrink_into_swap,
      ...(values.memory_shrink === 'unproven' && { unproven: true }),
      ...(values.memory_guard && { guard: true }),
      ...(values.vm_memory_unplug && { unplugs: true }),
    },
    stepFactor: STEP_FACTOR[values.behaviour],
    timing: {
      cooldownUpMs: secondsToMs(values.cooldown_seconds.up),
      cooldownDownMs: secondsToMs(values.cooldown_seconds.down),
      periodsUp: values.evaluation_periods.up,
      periodsDown: values.evaluation_periods.down,
      firstShrinkMs: secondsToMs(values.first_shrink_seconds),
      startGraceMs: secondsToMs(values.start_grace_seconds),
      manualHoldMs: secondsToMs(values.manual_hold_seconds),
    },
    scaling: values.scaling_mode,
    ...(values.write_notes && { writesNotes: true as const }),
    ...(values.scale.length === 1 && {
      only: values.scale[0] === 'cpu' ? ('cores' as const) : ('memory' as const),
    }),
    boost: {
      saturation: ratio(values.saturation_threshold),
      consecutiveSamples: values.consecutive_samples,
      factor: values.boost_factor,
      fallbackFactor: values.boost_fallback_factor,
      durationMs: secondsToMs(values.boost_duration),
    },
    priority: values.priority,
  };
}

type Bound = number | ShareOfGiven | undefined;

const LEAST_CORES = 1;

/** Where a share stands in its place, each guest gets a number of its own later. */
const numberOr = (bound: Bound, otherwise: number): number =>
  typeof bound === 'number' ? bound : otherwise;

function ofGiven(least: Bound, most: Bound): { readonly ofGiven?: OfGiven } {
  const shares: OfGiven = {
    ...(typeof least === 'object' && { min: least.ofGiven }),
    ...(typeof most === 'object' && { max: most.ofGiven }),
  };
  return Object.keys(shares).length === 0 ? {} : { ofGiven: shares };
}

const membersOf = ({ ids }: ReadMembers): Members[] =>
  ids.map(({ from, to, node }) => ({ from, to, ...(node !== undefined && { node }) }));

const selector = (...lists: readonly ReadMembers[]): Selector => ({
  ids: lists.flatMap(membersOf),
  names: lists.flatMap(({ names }) => names),
  tags: lists.flatMap(({ tags }) => tags),
});

const NOBODY: ReadMembers = { ids: [], names: [], tags: [] };

/** The sample file names every default, which is no wish to have small containers raised. */
const minimaOf = ({ min_cores, min_memory }: EffectiveValues<DefaultValues>): OwnMinima => ({
  cores: min_cores !== DEFAULTS.min_cores,
  memory: min_memory !== DEFAULTS.min_memory,
});

function tier({ name, values }: Section<TierValues>, defaults: Partial<DefaultValues>): Tier {
  const { lxc_containers: members = NOBODY, virtual_machines: vms = NOBODY, ...rest } = values;
  const { guests = NOBODY, preset, ...own } = rest;
  const known = preset === undefined ? undefined : presetOf(preset);
  const lowest = inForce(defaults, own.cpu_unit);
  const below = over<Omit<TierValues, OfTierOnly>>(lowest, known?.values ?? {});
  const differs = minimaOf(lowest);
  const policy = containerPolicy(name, over<Omit<TierValues, OfTierOnly>>(below, own), {
    cores: own.min_cores !== undefined || (differs.cores && !known?.values.min_cores),
    memory: own.min_memory !== undefined || (differs.memory && !known?.values.min_memory),
  });
  return {
    name,
    ownTag: tierTag(name),
    containers: selector(members, guests),
    machines: selector(vms, guests),
    policy: {
      ...(own.memory_shrink === 'proven' ? neverUnproven(policy) : policy),
      ...(preset !== undefined && { preset: presetInUse(preset, own) }),
    },
  };
}

/** A tier says so against its node; `DEFAULT` does not, since the sample file names its default. */
const neverUnproven = (policy: ContainerPolicy): ContainerPolicy => ({
  ...policy,
  memory: { ...policy.memory, unproven: false },
});

function presetInUse(name: PresetName, own: Partial<TierValues>): PresetInUse {
  const { values, because } = presetOf(name);
  const gives = Object.entries(values).filter(([key]) => !Object.hasOwn(own, key));
  return { name, gives: gives.map(([key, value]) => `${key}: ${value}`), because };
}

/** undefined for a group without source, which has been reported as a problem before. */
function group(section: Section<GroupValues>): Group | undefined {
  const values = { ...GROUP_DEFAULTS, ...section.values };
  const source = values.source?.vmid ?? values.base_snapshot_name;
  if (source === undefined) return undefined;
  const node = groupNode(section.values);
  return {
    name: section.name,
    ...(node !== undefined && { node }),
    members: membersOf(values.lxc_containers),
    source,
    sourceSnapshot: values.source_snapshot,
    minInstances: values.min_instances,
    maxInstances: values.max_instances,
    startingCloneId: values.starting_clone_id,
    cloneMode: values.clone_mode,
    network: {
      type: values.clone_network_type,
      addresses: values.static_ip_range,
      bridge: values.bridge,
      gateway: values.gateway,
    },
    startOrder: values.start_order,
    upperPercent: {
      cpu: values.horiz_cpu_upper_threshold,
      memory: values.horiz_memory_upper_threshold,
    },
    lowerPercent: {
      cpu: values.horiz_cpu_lower_threshold,
      memory: values.horiz_memory_lower_threshold,
    },
    scaleIn: values.scale_in,
    scaleOutGraceMs: secondsToMs(values.scale_out_grace_period),
    scaleInGraceMs: secondsToMs(values.scale_in_grace_period),
    warmupMs: secondsToMs(values.warmup_seconds),
    health: {
      check: values.health_check,
      port: values.health_port,
      path: values.health_path,
      healthyCount: values.healthy_count,
      unhealthyCount: values.unhealthy_count,
    },
    readyTimeoutMs: secondsToMs(values.ready_timeout),
    cloneTimeoutMs: secondsToMs(values.clone_timeout),
    hookTimeoutMs: secondsToMs(values.hook_timeout),
    label: groupLabel(section.name),
    tag: values.group_tag === '' ? groupTag(section.name) : values.group_tag,
    onReady: values.on_ready,
    onTerminating: values.on_terminating,
  };
}

/** Allotting no more memory than there is. */
const STRICT_RATIO = 1;

function hostPolicy(values: EffectiveValues<DefaultValues>): HostPolicy {
  const wanted = values.memory_overcommit_ratio;
  return {
    reserveCpu: percentToRatio(values.reserve_cpu_percent),
    reserveMemoryMib: mib(values.reserve_memory_mb),
    overcommitRatio: values.admission === 'strict' ? Math.min(wanted, STRICT_RATIO) : wanted,
    emergency: percentToRatio(values.host_emergency_percent),
    mostCpu: percentToRatio(values.max_cpu_usage_threshold),
    mostMemory: percentToRatio(values.max_memory_usage_threshold),
  };
}

/** The sections of a file, each checked. */
export interface Sections {
  readonly defaults: Section<DefaultValues>;
  readonly tiers: readonly Section<TierValues>[];
  readonly groups: readonly Section<GroupValues>[];
  readonly nodes: readonly Section<NodeValues>[];
}

/**
 * The configuration of the checked values of `DEFAULT` and the others, deeply frozen.
 *
 * @param self what this node is called; undefined: it is not known
 */
export function buildConfig({ defaults, tiers, groups, nodes }: Sections, self?: string): Config {
  const own = defaults.values;
  const values = inForce(own);
  return deepFreeze<Config>({
    ...settingsOf(values),
    notify: notifyConfig(values),
    ignored: selector(values.ignore_lxc),
    host: hostPolicy(values),
    defaults: containerPolicy('DEFAULT', values, minimaOf(values)),
    tiers: tiers.map((section) => tier(section, own)),
    groups: groups.map(group).filter((one) => one !== undefined),
    nodes: withAliases(
      nodes.map(nodeConfig).filter((one) => one !== undefined),
      self,
    ),
  });
}
