import { EVENT_KINDS } from '../core/notify/event.ts';
import type { CpuUnit } from '../core/policy.ts';
import type { Vmid } from '../core/units.ts';
import type { DefaultValues, GroupValues, UpAndDown } from './schema.ts';

type Pair = 'cooldown_seconds' | 'evaluation_periods';

/** All values of a section, none left out in a pair either. */
export type InForce<V extends Pick<DefaultValues, Pair>> = Omit<V, Pair> &
  Readonly<Record<Pair, UpAndDown<number>>>;

/** What holds where a key of `DEFAULT` is left out. */
export const DEFAULTS: InForce<DefaultValues> = {
  poll_interval: 300,
  sample_interval: 10,
  urgent_samples: 2,
  scaling_mode: 'threshold',
  cpu_upper_threshold: 80,
  cpu_lower_threshold: 20,
  memory_upper_threshold: 80,
  memory_lower_threshold: 20,
  cpu_unit: 'cores',
  core_min_increment: 1,
  core_max_increment: 4,
  memory_min_increment: 512,
  min_decrease_chunk: 512,
  min_cores: 1,
  max_cores: 8,
  min_memory: 512,
  max_memory: undefined,
  shrink_into_swap: false,
  behaviour: 'normal',
  cooldown_seconds: { up: 0, down: 300 },
  evaluation_periods: { up: 1, down: 3 },
  first_shrink_seconds: 3600,
  start_grace_seconds: 600,
  manual_hold_seconds: 3600,
  saturation_threshold: 0.95,
  consecutive_samples: 3,
  boost_factor: 1.5,
  boost_fallback_factor: 1.25,
  boost_duration: 120,
  priority: 50,
  reserve_cpu_percent: 10,
  reserve_memory_mb: 2048,
  memory_overcommit_ratio: 2,
  admission: 'normal',
  host_emergency_percent: 98,
  manage: 'all',
  tags_first: false,
  ignore_lxc: { ids: [], names: [], tags: [] },
  max_concurrent_operations: 3,
  energy_mode: false,
  off_peak_start: 22,
  off_peak_end: 6,
  off_peak_cron: undefined,
  off_peak_minutes: undefined,
  timezone: undefined,
  gotify_url: '',
  gotify_token: '',
  gotify_priority: 5,
  smtp_server: '',
  smtp_port: 587,
  smtp_security: 'starttls',
  smtp_username: '',
  smtp_password: '',
  smtp_from: '',
  smtp_to: [],
  ntfy_url: '',
  ntfy_token: '',
  webhook_url: '',
  webhook_token: '',
  webhook_body: '',
  uptime_kuma_url: '',
  notify_proxmox: false,
  notify_events: new Map([['', EVENT_KINDS]]),
  notify_min_severity: new Map([['', 'info']]),
  notify_quiet_hours: new Map([['', null]]),
  notify_per_hour: 60,
  notify_ca_file: '',
  metrics_listen: undefined,
  metrics_token: '',
  metrics_textfile: undefined,
  log_file: '/var/log/lxc_autoscale.log',
  log_level: 'info',
  log_format: 'text',
  log_syslog: undefined,
  log_journal_fields: false,
  log_max_size_mb: 50,
  log_keep: 5,
  lock_file: '/var/lock/lxc_autoscale.lock',
  backup_dir: '/var/lib/lxc_autoscale/backups',
  backups_keep: 20,
  backups_keep_days: 30,
  usage_history: true,
  usage_history_days: 14,
};

/** The same where a section scales by that unit: fractions of a core go in smaller steps. */
export const builtIn = (unit: CpuUnit): InForce<DefaultValues> =>
  unit === 'cores' ? DEFAULTS : { ...DEFAULTS, core_min_increment: 0.1 };

/** What `DEFAULT` comes to; for a tier, below it, with the tier's unit. */
export const inForce = (
  own: Partial<DefaultValues>,
  unit: CpuUnit = own.cpu_unit ?? DEFAULTS.cpu_unit,
): InForce<DefaultValues> => over<DefaultValues>(builtIn(unit), own);

/** The values of a section over those of the section below it. */
export function over<V extends Pick<DefaultValues, Pair>>(
  below: InForce<V>,
  own: Partial<V>,
): InForce<V> {
  const pair = (key: Pair): UpAndDown<number> => ({
    up: own[key]?.up ?? below[key].up,
    down: own[key]?.down ?? below[key].down,
  });
  const pairs = {
    cooldown_seconds: pair('cooldown_seconds'),
    evaluation_periods: pair('evaluation_periods'),
  };
  return { ...below, ...own, ...pairs };
}

/** Keys of a group without which there is no sensible value: they have no default. */
type WithoutDefault =
  | 'source'
  | 'base_snapshot_name'
  | 'start_order'
  | 'health_port'
  | 'horiz_cpu_lower_threshold'
  | 'horiz_memory_lower_threshold';

/** What holds where a key of a `HORIZONTAL_SCALING_GROUP_*` section is left out. */
export const GROUP_DEFAULTS: Omit<GroupValues, WithoutDefault> = {
  lxc_containers: { ids: [], names: [], tags: [] },
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
  health_check: 'none',
  health_path: '/',
  healthy_count: 2,
  unhealthy_count: 3,
  ready_timeout: 300,
  clone_timeout: 3600,
  hook_timeout: 60,
  group_tag: '',
  on_ready: [],
  on_terminating: [],
};
