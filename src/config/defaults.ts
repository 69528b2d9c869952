import type { Vmid } from '../core/units.ts';
import type { DefaultValues, GroupValues } from './schema.ts';

/** What holds where a key of `DEFAULT` is left out. */
export const DEFAULTS: DefaultValues = {
  poll_interval: 300,
  cpu_upper_threshold: 80,
  cpu_lower_threshold: 20,
  memory_upper_threshold: 80,
  memory_lower_threshold: 20,
  core_min_increment: 1,
  core_max_increment: 4,
  memory_min_increment: 512,
  min_decrease_chunk: 512,
  min_cores: 1,
  max_cores: 8,
  min_memory: 512,
  max_memory: undefined,
  behaviour: 'normal',
  reserve_cpu_percent: 10,
  reserve_memory_mb: 2048,
  ignore_lxc: [],
  energy_mode: false,
  off_peak_start: 22,
  off_peak_end: 6,
  timezone: undefined,
  gotify_url: '',
  gotify_token: '',
  log_file: '/var/log/lxc_autoscale.log',
  log_level: 'info',
  lock_file: '/var/lock/lxc_autoscale.lock',
  backup_dir: '/var/lib/lxc_autoscale/backups',
};

/** Keys of a group without which there is no sensible value: they have no default. */
type WithoutDefault =
  | 'source'
  | 'base_snapshot_name'
  | 'start_order'
  | 'horiz_cpu_lower_threshold'
  | 'horiz_memory_lower_threshold';

/** What holds where a key of a `HORIZONTAL_SCALING_GROUP_*` section is left out. */
export const GROUP_DEFAULTS: Omit<GroupValues, WithoutDefault> = {
  lxc_containers: [],
  source_snapshot: '',
  min_instances: 2,
  max_instances: 5,
  starting_clone_id: 99_000 as Vmid,
  clone_mode: 'full',
  clone_network_type: 'dhcp',
  static_ip_range: [],
  bridge: '',
  gateway: '',
  horiz_cpu_upper_threshold: 95,
  horiz_memory_upper_threshold: 95,
  scale_in: 'off',
  scale_out_grace_period: 300,
  scale_in_grace_period: 600,
  warmup_seconds: 60,
  group_tag: '',
  on_ready: [],
  on_terminating: [],
};
