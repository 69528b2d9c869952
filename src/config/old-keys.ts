/**
 * The keys of the Python daemon's files, versions 1 and 2, that are called otherwise here or have
 * nothing to answer them. Facts taken from its published configuration files and its reference.
 */

/** What has another name here. It counts only where a section knows the new name. */
export const NEW_NAMES: Readonly<Record<string, string>> = {
  nodes: 'lxc_containers',
  containers: 'lxc_containers',
  min_containers: 'min_instances',
  max_containers: 'max_instances',
  base_snapshot_name: 'source',
  interval: 'poll_interval',
  ignore: 'ignore_lxc',
  uptime_kuma_webhook_url: 'uptime_kuma_url',
};

export interface OldKey {
  /** dropped: nothing is lost without it. */
  readonly verdict: 'dropped' | 'not supported';
  /** Why; completes "dropped: ...". */
  readonly why: string;
  /** Its value is never shown nor copied. */
  readonly secret?: true;
}

const ON_THE_NODE = 'this program runs on the node itself and needs no way to it';
const STORAGE = 'storage is not scaled, nor was it by the program that this file is of';
const STEPS = 'steps follow from what a container needs, so there is no such factor';

const dropped = (why: string): OldKey => ({ verdict: 'dropped', why });
const unsupported = (why: string): OldKey => ({ verdict: 'not supported', why });
const secret = (why: string): OldKey => ({ verdict: 'not supported', why, secret: true });

const OLD_KEYS: Readonly<Record<string, OldKey>> = {
  storage_upper_threshold: dropped(STORAGE),
  storage_lower_threshold: dropped(STORAGE),
  storage_increment: dropped(STORAGE),
  reserve_storage_mb: dropped(STORAGE),
  cpu_scale_divisor: dropped(STEPS),
  memory_scale_factor: dropped(STEPS),
  timeout_extended: dropped('every command has a time limit of its own'),
  lxc_tier_associations: dropped('tiers name their containers themselves, by lxc_containers'),
  horizontal_scaling_groups: dropped('groups are sections of their own'),
  proxmox_host: unsupported(ON_THE_NODE),
  proxmox_node: unsupported(ON_THE_NODE),
  use_proxmox_api: unsupported(ON_THE_NODE),
  ssh_user: unsupported(ON_THE_NODE),
  ssh_port: unsupported(ON_THE_NODE),
  ssh_key_path: unsupported(ON_THE_NODE),
  ssh_host_key_policy: unsupported(ON_THE_NODE),
  ssh_password: secret(ON_THE_NODE),
  proxmox_api: secret(ON_THE_NODE),
  cpu_pinning: unsupported(
    'CPUs are left to Proxmox VE to hand out; a line lxc.cgroup2.cpuset.cpus that stands in the ' +
      'configuration of a container stays there',
  ),
};

/** The words that switch something off in that program's files. */
export const isNo = (value: string): boolean =>
  /^(?:false|no|off|n|0|none|null|~|)$/i.test(value.trim());

/** What became of a key of that program; undefined for one that it did not have either. */
export function oldKey(key: string, value: string): OldKey | undefined {
  if (key === 'memory_exclude_cache') {
    const never = 'file cache that the kernel can take back never counts as used here';
    return isNo(value) ? unsupported(never) : dropped(never);
  }
  if (key === 'use_remote_proxmox') return isNo(value) ? dropped(ON_THE_NODE) : REMOTE;
  if (key === 'backend') {
    return value.trim().toLowerCase() === 'cli' ? dropped('there is only this way here') : REMOTE;
  }
  if (key.startsWith('proxmox_api')) return OLD_KEYS['proxmox_api'];
  return Object.hasOwn(OLD_KEYS, key) ? OLD_KEYS[key] : undefined;
}

const REMOTE = unsupported(ON_THE_NODE);

/**
 * What the Python tool took where a key was left out, in its YAML files. Its INI files named every
 * key. Source: the defaults that it publishes.
 */
export const OLD_DEFAULTS: readonly (readonly [key: string, value: string])[] = [
  ['poll_interval', '300'],
  ['cpu_upper_threshold', '80'],
  ['cpu_lower_threshold', '20'],
  ['memory_upper_threshold', '80'],
  ['memory_lower_threshold', '20'],
  ['core_min_increment', '1'],
  ['core_max_increment', '2'],
  ['memory_min_increment', '256'],
  ['min_decrease_chunk', '128'],
  ['min_cores', '1'],
  ['max_cores', '4'],
  ['min_memory', '512'],
  ['reserve_cpu_percent', '10'],
  ['reserve_memory_mb', '2048'],
  ['behaviour', 'normal'],
  ['energy_mode', 'False'],
  ['off_peak_start', '22'],
  ['off_peak_end', '6'],
];

/** Keys besides that the Python tool had too. A file with any other key of ours is not its file. */
const FURTHER_OLD_KEYS: ReadonlySet<string> = new Set([
  'lxc_containers',
  'ignore_lxc',
  'log_file',
  'lock_file',
  'backup_dir',
  'log_level',
  'timezone',
  'gotify_url',
  'gotify_token',
  'smtp_server',
  'smtp_port',
  'smtp_username',
  'smtp_password',
  'smtp_from',
  'smtp_to',
  'scaling_mode',
  'boost_factor',
  'boost_fallback_factor',
  'boost_duration',
  'saturation_threshold',
  'consecutive_samples',
  'base_snapshot_name',
  'min_instances',
  'max_instances',
  'starting_clone_id',
  'clone_network_type',
  'static_ip_range',
  'horiz_cpu_upper_threshold',
  'horiz_memory_upper_threshold',
  'horiz_cpu_lower_threshold',
  'horiz_memory_lower_threshold',
  'scale_out_grace_period',
  'scale_in_grace_period',
  'group_tag',
]);

/** Whether the Python tool's files had a key that this program has too. */
export const isSharedKey = (key: string): boolean =>
  FURTHER_OLD_KEYS.has(key) || OLD_DEFAULTS.some(([name]) => name === key);
