import type { ContainerPolicy } from '../core/policy.ts';
import type { Milliseconds } from '../core/units.ts';
import { cores, mib, milliseconds, percentToRatio, secondsToMs } from '../core/units.ts';
import type { InForce } from './defaults.ts';
import { GROUP_DEFAULTS, over } from './defaults.ts';
import type { Config, Group, Members, Selector, Tier } from './model.ts';
import { deepFreeze } from './model.ts';
import type { ReadMembers } from './read-values.ts';
import type { DefaultValues, GroupValues, TierValues } from './schema.ts';
import type { Section } from './sections.ts';
import { tierTag } from './tags.ts';

/** Checked values, as they stand in the file, into the words and units of the program. */

const STEP_FACTOR = { conservative: 0.5, normal: 1, aggressive: 2 } as const;

/** The keys of `DEFAULT` that a tier may set too. */
type ContainerValues = Omit<InForce<TierValues>, 'lxc_containers'>;

function containerPolicy(source: string, values: ContainerValues): ContainerPolicy {
  const band = (lower: number, upper: number) => ({
    lower: percentToRatio(lower),
    upper: percentToRatio(upper),
  });
  return {
    source,
    cpu: {
      unit: 'cores',
      band: band(values.cpu_lower_threshold, values.cpu_upper_threshold),
      minIncrement: cores(values.core_min_increment),
      maxIncrement: cores(values.core_max_increment),
      min: cores(values.min_cores),
      max: cores(values.max_cores),
    },
    memory: {
      band: band(values.memory_lower_threshold, values.memory_upper_threshold),
      minIncrementMib: mib(values.memory_min_increment),
      minDecreaseMib: mib(values.min_decrease_chunk),
      minMib: mib(values.min_memory),
      maxMib: values.max_memory === undefined ? undefined : mib(values.max_memory),
      mayUseSwap: false,
    },
    stepFactor: STEP_FACTOR[values.behaviour],
    timing: {
      cooldownUpMs: secondsToMs(values.cooldown_seconds.up),
      cooldownDownMs: secondsToMs(values.cooldown_seconds.down),
      periodsUp: values.evaluation_periods.up,
      periodsDown: values.evaluation_periods.down,
      startGraceMs: secondsToMs(values.start_grace_seconds),
      manualHoldMs: secondsToMs(0),
    },
    scaling: 'threshold',
    boost: {
      saturation: percentToRatio(95),
      consecutiveSamples: 3,
      factor: 1.5,
      fallbackFactor: 1.25,
      durationMs: secondsToMs(120),
    },
    priority: values.priority,
  };
}

const membersOf = ({ ids }: ReadMembers): Members[] => ids.map(({ from, to }) => ({ from, to }));

const selector = (members: ReadMembers): Selector => ({
  ids: membersOf(members),
  names: [...members.names],
  tags: [...members.tags],
});

const NOBODY: ReadMembers = { ids: [], names: [], tags: [] };

function tier({ name, values }: Section<TierValues>, defaults: InForce<DefaultValues>): Tier {
  const { lxc_containers: members = NOBODY, ...own } = values;
  return {
    name,
    ownTag: tierTag(name),
    containers: selector(members),
    policy: containerPolicy(name, over<Omit<TierValues, 'lxc_containers'>>(defaults, own)),
  };
}

/** undefined for a group without source, which has been reported as a problem before. */
function group(section: Section<GroupValues>): Group | undefined {
  const values = { ...GROUP_DEFAULTS, ...section.values };
  const source = values.source ?? values.base_snapshot_name;
  if (source === undefined) return undefined;
  return {
    name: section.name,
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
    tag: values.group_tag,
    onReady: values.on_ready,
    onTerminating: values.on_terminating,
  };
}

/** The JSON log beside `/var/log/a.log` is `/var/log/a.json`; beside `/var/log/a` it is too. */
export const jsonLogFileOf = (logFile: string): string =>
  `${logFile.endsWith('.log') ? logFile.slice(0, -'.log'.length) : logFile}.json`;

const SECONDS_PER_DAY = 86_400;

/** The counters are read at least as often as a cycle runs. */
export const sampleInterval = (wanted: Milliseconds, poll: Milliseconds): Milliseconds =>
  milliseconds(Math.min(wanted, poll));

/** The configuration of the checked values, deeply frozen. */
export function buildConfig(
  values: InForce<DefaultValues>,
  tiers: readonly Section<TierValues>[],
  groups: readonly Section<GroupValues>[],
): Config {
  const pollIntervalMs = secondsToMs(values.poll_interval);
  return deepFreeze<Config>({
    pollIntervalMs,
    sampleIntervalMs: sampleInterval(secondsToMs(values.sample_interval), pollIntervalMs),
    urgentSamples: values.urgent_samples,
    maxConcurrentOperations: values.max_concurrent_operations,
    logFile: values.log_file,
    jsonLogFile: jsonLogFileOf(values.log_file),
    logLevel: values.log_level,
    lockFile: values.lock_file,
    backupDir: values.backup_dir,
    backupsKeep: values.backups_keep,
    backupsKeepMs: secondsToMs(values.backups_keep_days * SECONDS_PER_DAY),
    timezone: values.timezone,
    energyMode: values.energy_mode,
    offPeakStartHour: values.off_peak_start,
    offPeakEndHour: values.off_peak_end,
    gotify: { url: values.gotify_url, token: values.gotify_token },
    onlyTagged: values.manage === 'tagged',
    ignored: selector(values.ignore_lxc),
    host: {
      reserveCpu: percentToRatio(values.reserve_cpu_percent),
      reserveMemoryMib: mib(values.reserve_memory_mb),
      overcommitRatio: 2,
      emergency: percentToRatio(98),
    },
    defaults: containerPolicy('DEFAULT', values),
    tiers: tiers.map((section) => tier(section, values)),
    groups: groups.map(group).filter((one) => one !== undefined),
  });
}
