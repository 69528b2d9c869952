import { LOG_COMPONENTS } from '../core/log-line.ts';
import { EVENT_KINDS, type EventKind, type Severity } from '../core/notify/event.ts';
import type { Vmid } from '../core/units.ts';
import {
  type HoursOfDay,
  MAIL_ADDRESS,
  PROXMOX_TYPES,
  readEvents,
  readHours,
  readSeverity,
  SHORT_DAYS,
  WEEKDAYS,
} from './notify-values.ts';
import { nearPresets, PRESET_NAMES } from './presets.ts';
import type { ReadMembers } from './read-values.ts';
import {
  absolutePath,
  addresses,
  command,
  containerIds,
  containers,
  cores,
  cronOrNothing,
  type Entry,
  factor,
  fileOrNothing,
  gateway,
  hostNames,
  httpTokens,
  jsonTemplate,
  listenOrNothing,
  logLevels,
  mailAddresses,
  numberOrNothing,
  oneOf,
  oneOfMany,
  orShareOfGiven,
  overcommitRatio,
  perChannel,
  percent,
  share,
  someOf,
  syslogOrNothing,
  text,
  textfileOrNothing,
  timezone,
  token,
  upAndDown,
  vmid,
  vmidOnNode,
  webAddress,
  wholeNumber,
  yesOrNo,
} from './schema.ts';
import { closest } from './suggest.ts';
import { WEBHOOK_FORMATS } from './webhook-formats.ts';

/**
 * The keys of the configuration, by section. An entry is all that is said of a key: kind and range
 * of its values, unit, sentence, default. Checks, messages, the manual page, the JSON Schema and
 * the tables of docs/configuration.md are made of it.
 */

/** Larger than any host has, so that a slip of the finger is caught and no machine is. */
const MAX_MEMORY_MIB = 16_777_216;
/** What `pct set --memory` takes at least. */
const MIN_MEMORY_MIB = 16;
const MAX_SECONDS = 86_400;
const MAX_HOLD_SECONDS = 30 * 86_400;
const MAX_OFF_PEAK_MINUTES = 7 * 24 * 60;
const MAX_LOG_SIZE_MB = 10_240;

/** Ids of clones begin here by default, above those that people give by hand. */
const FIRST_CLONE = 99_000 as Vmid;
const NOBODY: ReadMembers = { ids: [], names: [], tags: [] };

const POLL_INTERVAL_SECONDS = { min: 1, max: MAX_SECONDS } as const;
export const LOG_FORMATS = ['text', 'json'] as const;
const MANAGED = ['all', 'listed', 'tagged'] as const;
const SCALING_MODES = ['threshold', 'boost', 'adaptive', 'observe'] as const;
const MODES_MEANT = {
  ...Object.fromEntries(['off', 'no', 'none', 'false', 'dry-run'].map((no) => [no, 'observe'])),
  ...Object.fromEntries(['on', 'yes', 'true', 'active', 'auto'].map((on) => [on, 'threshold'])),
};
const CPU_UNITS = ['cores', 'cpulimit'] as const;
const MEMORY_SHRINKS = ['proven', 'unproven'] as const;
const WHEN_UNPROVEN =
  'By the API: whether memory may shrink though nothing can be proven, after a whole day was seen';
const ADMISSIONS = ['normal', 'strict'] as const;
const BEHAVIOURS = ['conservative', 'normal', 'aggressive'] as const;
/** The help that `scaling_mode: boost` gives a container whose CPU is saturated. */
const boostKeys = {
  saturation_threshold: share(
    'A container that uses this share of its CPU, or more, is saturated',
  ).usually(0.95),
  consecutive_samples: wholeNumber(
    1,
    60,
    '',
    'A container gets a boost after this many saturated samples in a row',
  ).usually(3),
  boost_factor: factor(10, 'A boost multiplies the cores by this').usually(1.5),
  boost_fallback_factor: factor(
    10,
    'A boost multiplies the cores by this if boost_factor does not fit',
  ).usually(1.25),
  boost_duration: wholeNumber(
    10,
    MAX_SECONDS,
    'seconds',
    'How long a boost lasts; then the container gets its previous cores back',
  ).usually(120),
};

/** When a container may be changed. */
const timingKeys = {
  cooldown_seconds: upAndDown(
    0,
    MAX_SECONDS,
    'seconds',
    '{up: 0, down: 300}',
    'Minimum time from a change to the next one that goes up, and to the next one that goes down',
  ).usually({ up: 0, down: 300 }),
  evaluation_periods: upAndDown(
    1,
    60,
    '',
    '{up: 1, down: 3}',
    'Number of cycles a change is based on: their average decides',
  ).usually({ up: 1, down: 3 }),
  first_shrink_seconds: wholeNumber(
    0,
    MAX_SECONDS,
    'seconds',
    'How long a container is observed before its memory shrinks for the first time',
  ).usually(3600),
  start_grace_seconds: wholeNumber(
    0,
    MAX_SECONDS,
    'seconds',
    'Do not shrink memory for this long after a start or an OOM kill',
  ).usually(600),
  manual_hold_seconds: wholeNumber(
    0,
    MAX_HOLD_SECONDS,
    'seconds',
    'How long a value that somebody changed by hand stays',
  ).usually(3600),
};

/** What a `TIER_*` section may set for its containers, and `DEFAULT` for all others. */
const containerKeys = {
  scaling_mode: oneOf(
    SCALING_MODES,
    'How a container is scaled: threshold uses the thresholds; boost also gives a boost if its ' +
      'CPU is saturated; adaptive uses a forecast of its demand; observe only reports',
    {},
    MODES_MEANT,
  ).usually('threshold'),
  scale: someOf(
    ['cpu', 'memory'],
    'What of a guest is scaled; the other resource is left as it is',
  ).usually(['cpu', 'memory']),
  cpu_upper_threshold: percent(0, 100, 'Above this CPU usage a container gets more cores').usually(
    80,
  ),
  cpu_lower_threshold: percent(0, 100, 'Below this CPU usage a container gives cores back').usually(
    20,
  ),
  memory_upper_threshold: percent(
    0,
    100,
    'Above this memory usage a container gets more memory',
  ).usually(80),
  memory_lower_threshold: percent(
    0,
    100,
    'Below this memory usage a container gives memory back',
  ).usually(20),
  cpu_unit: oneOf(
    CPU_UNITS,
    'How CPU is scaled: in whole cores, or by cpulimit, which takes fractions and acts at once',
  ).usually('cores'),
  core_min_increment: cores(
    'Smallest step of cores; 0.1 by default if cpu_unit is cpulimit',
  ).usually(1),
  core_max_increment: cores('Largest step of cores').usually(4),
  memory_min_increment: wholeNumber(
    1,
    MAX_MEMORY_MIB,
    'MiB',
    'Smallest step by which memory grows',
  ).usually(512),
  min_decrease_chunk: wholeNumber(
    1,
    MAX_MEMORY_MIB,
    'MiB',
    'Smallest step by which memory shrinks',
  ).usually(512),
  min_cores: orShareOfGiven(cores('No container gets fewer cores than this')).usually(1),
  max_cores: orShareOfGiven(cores('No container gets more cores than this')).usually(8),
  min_memory: orShareOfGiven(
    wholeNumber(MIN_MEMORY_MIB, MAX_MEMORY_MIB, 'MiB', 'No container gets less memory than this'),
  ).usually(512),
  max_memory: orShareOfGiven(
    numberOrNothing(
      MIN_MEMORY_MIB,
      MAX_MEMORY_MIB,
      'MiB',
      'No container gets more memory than this; empty: as much as the host can give',
    ),
  ),
  shrink_into_swap: yesOrNo(
    'Whether memory may shrink so far that a container has to swap out',
  ).usually(false),
  memory_shrink: oneOf(MEMORY_SHRINKS, WHEN_UNPROVEN).usually('proven'),
  memory_guard: yesOrNo(
    'Whether memory.high stays below the limit, so that a leap is slowed until that grows',
  ).usually(false),
  vm_memory_unplug: yesOrNo(
    'Whether memory modules of virtual machines are taken out again, one at a time',
  ).usually(false),
  write_notes: yesOrNo(
    'Whether the last change of a guest is written in its notes, beside what is there',
  ).usually(false),
  behaviour: oneOf(
    BEHAVIOURS,
    'How large the steps are: conservative halves them, aggressive doubles them',
  ).usually('normal'),
  ...timingKeys,
  ...boostKeys,
  priority: wholeNumber(
    1,
    100,
    '',
    'If memory is scarce, containers with a higher number are served first',
  ).usually(50),
};

/** When something is done, and how much at a time. */
const rhythmKeys = {
  poll_interval: wholeNumber(
    POLL_INTERVAL_SECONDS.min,
    POLL_INTERVAL_SECONDS.max,
    'seconds',
    'The time from one cycle to the next',
  ).usually(300),
  sample_interval: wholeNumber(
    1,
    3600,
    'seconds',
    'How often counters are read between cycles; at most poll_interval',
  ).usually(10),
  urgent_samples: wholeNumber(
    1,
    60,
    '',
    'Act after this many consecutive starved samples, instead of waiting for the next cycle',
  ).usually(2),
  max_concurrent_operations: wholeNumber(
    1,
    16,
    '',
    'How many containers are changed at the same time',
  ).usually(3),
};

/** Metrics for Prometheus. */
const metricsKeys = {
  metrics_listen: listenOrNothing(
    'Address that serves metrics and health: /metrics, /healthz and /readyz; empty: none',
  ),
  metrics_token: text(
    /^(?:[!-~]{16,256})?$/,
    'has blanks or less than 16 characters',
    { does: 'Token that a request must have, as `Authorization: Bearer TOKEN`', secret: true },
    'the token, 16 to 256 characters without blanks, or nothing',
  ).usually(''),
  metrics_textfile: textfileOrNothing(
    'File that the same metrics are written to after each cycle, for node_exporter; empty: none',
  ),
};

/** The page and the API. */
const httpKeys = {
  http_listen: listenOrNothing(
    'Address that serves the page, the API, metrics and health, to whoever logs in; empty: none',
  ),
  http_tokens: httpTokens(
    'Who may log in: read looks, scale also changes guests, admin may do all',
  ).usually([]),
  http_tls_cert: fileOrNothing('Certificate (PEM) of the listener, the whole chain; empty: no TLS'),
  http_tls_key: fileOrNothing('Private key (PEM) of http_tls_cert'),
  http_behind_proxy: yesOrNo(
    'Whether a proxy of yours before it does TLS, and says in X-Forwarded-For who asks',
  ).usually(false),
  http_proxmox_login: yesOrNo(
    'Whether users of Proxmox VE may log in on the page with their passwords',
  ).usually(false),
  http_hosts: hostNames(
    'Names under which browsers reach it, besides localhost, addresses and the name of the node',
  ).usually([]),
};

const IPV6 = '[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*';

/** The channels that take messages. */
const channelKeys = {
  gotify_url: webAddress('Gotify server to send messages to; empty: none').usually(''),
  gotify_token: token('The token of the application on the Gotify server').usually(''),
  gotify_priority: wholeNumber(
    0,
    10,
    '',
    'Priority of messages that can wait; warnings get 2 more, errors 3',
  ).usually(5),
  smtp_server: text(
    new RegExp(`^(?:[A-Za-z0-9._-]*|${IPV6}|\\[${IPV6}\\])$`),
    'is not the name of a server alone (its port is smtp_port)',
    { does: 'Mail server to send messages through; empty: none' },
    'a name or an address such as mail.example.org, or nothing',
  ).usually(''),
  smtp_port: wholeNumber(1, 65_535, '', 'Port of the mail server').usually(587),
  smtp_security: oneOf(
    ['starttls', 'tls', 'none'],
    'Encryption of the connection to the mail server: STARTTLS, TLS from the beginning (mostly ' +
      'port 465), or none',
  ).usually('starttls'),
  smtp_username: text(
    /^[^\s]*$/,
    'holds a blank',
    { does: 'User name for the mail server; empty: no login' },
    'a name without blanks, or nothing',
  ).usually(''),
  smtp_password: text(
    /^/,
    'is not a password',
    { does: 'Password for the mail server', secret: true },
    'the password on one line',
  ).usually(''),
  smtp_from: text(
    new RegExp(`^(?:${MAIL_ADDRESS.source.slice(1, -1)})?$`),
    'is not a mail address',
    { does: 'Sender of the mails' },
    'a mail address such as pve@example.org, or nothing',
  ).usually(''),
  smtp_to: mailAddresses('Recipients of the mails').usually([]),
  ntfy_url: text(
    /^(?:https?:\/\/[^\s/?#]+(?:\/[^\s?#]*)?\/[^\s/?#]+\/?)?$/,
    'is not the address of a topic',
    { does: 'Topic of ntfy to send messages to; empty: none', secret: true },
    'an address such as https://ntfy.sh/topic, or nothing',
  ).usually(''),
  ntfy_token: token('Access token for ntfy; empty: none is needed').usually(''),
  webhook_url: webAddress('URL that messages are posted to as JSON; empty: none').usually(''),
  webhook_token: token('Bearer token for the webhook; empty: none').usually(''),
  webhook_format: oneOf(
    WEBHOOK_FORMATS,
    'Form of what is posted: an object, or what Discord, Slack, Telegram or Matrix take',
  ).usually('json'),
  webhook_body: jsonTemplate(
    'JSON that is posted, in place of webhook_format; empty: as webhook_format says',
  ).usually(''),
  uptime_kuma_url: webAddress(
    'Push URL of an Uptime Kuma monitor, called after each cycle; empty: none',
  ).usually(''),
  notify_proxmox: yesOrNo("Whether messages go to the node's own notification system").usually(
    false,
  ),
  notify_proxmox_type: oneOf(
    PROXMOX_TYPES,
    'What matchers there see: system-mail (a mail to root), or lxc-autoscale with its severity',
  ).usually('system-mail'),
};

/** Which messages are sent, and when. */
const messageKeys = {
  notify_events: perChannel<readonly EventKind[]>(
    readEvents,
    'all, none, or some of changed, failed, starving, emergency, group, daemon, ' +
      'configuration, report',
    '{email: failed, ntfy: [failed, emergency]}',
    'Events that messages are sent on',
    (word) => [closest(word, EVENT_KINDS) ?? []].flat(),
  ).usually(new Map([['', EVENT_KINDS]])),
  notify_min_severity: perChannel<Severity>(
    readSeverity,
    'info, warning or error',
    '{email: error}',
    'Least severity that messages are sent on',
  ).usually(new Map([['', 'info']])),
  notify_quiet_hours: perChannel<HoursOfDay | null>(
    readHours,
    'two hours of the day such as 22-7, or nothing',
    '{ntfy: 22-7}',
    'Hours in which only errors are sent; the rest follows in one message afterwards',
  ).usually(new Map([['', null]])),
  notify_per_hour: wholeNumber(
    1,
    1000,
    '',
    'Maximum messages an hour for a channel; the rest comes in one message',
  ).usually(60),
  notify_ca_file: fileOrNothing(
    'Certificates (PEM) to trust besides those of the system; empty: none',
  ),
  report: oneOf(
    ['none', 'weekly'],
    'A message on what the week has brought, through each channel: savings, changes, shortages',
    {
      no: 'none',
      false: 'none',
      off: 'none',
      week: 'weekly',
      yes: 'weekly',
      true: 'weekly',
      on: 'weekly',
    },
  ).usually('none'),
  report_day: oneOf(WEEKDAYS, 'Day of the weekly report', SHORT_DAYS).usually('monday'),
  report_hour: wholeNumber(0, 23, '', 'Hour of the weekly report, in the time zone').usually(8),
};

/** What is written, and for how long it is kept. */
const fileKeys = {
  log_file: absolutePath(
    'file',
    'The log for people; the JSON log has the same name with .json for .log',
  ).usually('/var/log/lxc_autoscale.log'),
  log_level: logLevels(
    'Least severity that is logged, for the whole program or for its parts ' +
      `${LOG_COMPONENTS.slice(0, -1).join(', ')} and ${LOG_COMPONENTS.at(-1)}`,
  ).usually('info'),
  log_format: oneOf(
    LOG_FORMATS,
    'Format of the lines on the console; the log file has text',
  ).usually('text'),
  log_syslog: syslogOrNothing('Syslog server that also gets the lines; empty: none'),
  log_quiet_cycles: yesOrNo(
    'Whether cycles in which nothing happened are logged too; without it the log has a summary ' +
      'of them each hour',
  ).usually(false),
  log_journal_fields: yesOrNo(
    'Whether lines in the journal of systemd have fields such as LXC_AUTOSCALE_VMID; this takes ' +
      'one more process',
  ).usually(false),
  log_max_size_mb: wholeNumber(
    0,
    MAX_LOG_SIZE_MB,
    'MiB',
    'A log file of this size is rotated; 0: never',
  ).usually(50),
  log_keep: wholeNumber(1, 9, '', 'Number of rotated files that are kept of each log').usually(5),
  lock_file: absolutePath(
    'file',
    'File with the process id while the daemon runs, for scripts that read it',
  ).usually('/var/lock/lxc_autoscale.lock'),
  backup_dir: absolutePath('directory', 'Directory for the backups of configurations').usually(
    '/var/lib/lxc_autoscale/backups',
  ),
  backups_keep: wholeNumber(
    1,
    1000,
    '',
    'Number of backups that are kept of a container: the newest 3, one of each day of the last ' +
      'week, one of each week before, and then those of the last day; the one from before its ' +
      'first change always stays, and is not counted',
  ).usually(20),
  backups_keep_days: wholeNumber(
    1,
    3650,
    'days',
    'How long backups are kept; the newest 3 of a container, and the one from before its first ' +
      'change, always stay',
  ).usually(30),
  usage_history: yesOrNo('Whether the usage of all containers is recorded, for export').usually(
    true,
  ),
  usage_history_days: wholeNumber(
    1,
    3650,
    'days',
    'How many days of usage are kept, in at most 50 MB; older ones go',
  ).usually(14),
};

const defaultSection = {
  ...rhythmKeys,
  ...containerKeys,
  reserve_cpu_percent: percent(
    0,
    90,
    'The share of the CPUs that the host keeps for itself',
  ).usually(10),
  reserve_memory_mb: wholeNumber(
    0,
    MAX_MEMORY_MIB,
    'MiB',
    'The memory the host keeps for itself',
  ).usually(2048),
  memory_overcommit_ratio: overcommitRatio(
    0.5,
    10,
    'Maximum of the memory limits of all running guests together, as a multiple of the memory ' +
      'of the host less its reserve',
  ).usually(2),
  admission: oneOf(
    ADMISSIONS,
    'Whether more memory may be promised than the host has; strict forbids it, whatever ' +
      'memory_overcommit_ratio says',
  ).usually('normal'),
  host_emergency_percent: percent(
    50,
    100,
    "Above this use of the host's memory no container gets more, and idle memory is taken back",
  ).usually(98),
  max_cpu_usage_threshold: percent(
    50,
    100,
    "From this use of the host's CPUs on no guest gets more cores",
  ).usually(95),
  max_memory_usage_threshold: percent(
    50,
    100,
    "From this use of the host's memory on no guest gets more memory; 100: only " +
      'host_emergency_percent counts',
  ).usually(100),
  manage: oneOf(
    MANAGED,
    'Which containers are managed: all; listed, only those that a tier or a group of this file ' +
      'names; tagged, only those tagged autoscale, autoscale-tier-NAME or autoscale-observe',
  ).usually('all'),
  manage_vms: yesOrNo(
    'Whether virtual machines are managed too; those that a tier lists or that have a tag ' +
      'autoscale, autoscale-tier-NAME or autoscale-observe are in any case',
  ).usually(false),
  tags_first: yesOrNo(
    'Whether the tag autoscale-tier-NAME of a container counts before the ids and names that ' +
      'tiers list',
  ).usually(false),
  ignore_lxc: containers('Containers that are ignored').usually(NOBODY),
  energy_mode: yesOrNo('Whether allocations shrink to the need in the off-peak time').usually(
    false,
  ),
  off_peak_start: wholeNumber(0, 23, 'hours', 'The hour at which the off-peak time begins').usually(
    22,
  ),
  off_peak_end: wholeNumber(0, 23, 'hours', 'The hour at which the off-peak time ends').usually(6),
  off_peak_cron: cronOrNothing(
    'When the off-peak time begins, instead of the two hours; empty: the hours count',
  ),
  off_peak_minutes: numberOrNothing(
    1,
    MAX_OFF_PEAK_MINUTES,
    'minutes',
    'Length of the off-peak time that off_peak_cron begins',
  ),
  timezone: timezone("Time zone of these times; empty: the host's"),
  ...channelKeys,
  ...messageKeys,
  ...metricsKeys,
  ...httpKeys,
  ...fileKeys,
};

const tierSection = {
  preset: oneOfMany(
    PRESET_NAMES,
    'Values for an application, which stand below those of the tier and above those of DEFAULT',
    'a name of docs/presets.md, such as nextcloud or postgres',
    nearPresets,
  ),
  lxc_containers: containers('The containers of this tier').usually(NOBODY),
  virtual_machines: containers('The virtual machines of this tier').usually(NOBODY),
  guests: containers('Containers and virtual machines of this tier').usually(NOBODY),
  ...containerKeys,
};

/** How a member is looked after from its making to its end. */
const memberCareKeys = {
  health_check: oneOf(
    ['none', 'tcp', 'http'],
    'Health check of a member: none, a TCP port that answers, or a page that is served',
  ).usually('none'),
  health_port: wholeNumber(1, 65_535, '', 'Port of the health check'),
  health_path: text(
    /^\/[!-~]*$/,
    'is not a path',
    { does: 'Page of the health check' },
    'a path that begins with / and has no blanks',
  ).usually('/'),
  healthy_count: wholeNumber(
    1,
    100,
    '',
    'A member is healthy after this many good answers in a row',
  ).usually(2),
  unhealthy_count: wholeNumber(
    1,
    100,
    '',
    'A member is unhealthy, and replaced, after this many bad answers in a row',
  ).usually(3),
  ready_timeout: wholeNumber(
    1,
    MAX_SECONDS,
    'seconds',
    'How long a new member may take until it is healthy',
  ).usually(300),
  clone_timeout: wholeNumber(1, MAX_SECONDS, 'seconds', 'How long cloning may take').usually(3600),
  hook_timeout: wholeNumber(
    1,
    MAX_SECONDS,
    'seconds',
    'How long on_ready and on_terminating may take',
  ).usually(60),
};

const memberNetworkKeys = {
  clone_network_type: oneOf(['dhcp', 'static'], 'How a clone gets its address').usually('dhcp'),
  static_ip_range: addresses('The addresses for clones').usually([]),
  bridge: text(
    /^(?:[A-Za-z][A-Za-z0-9_.-]{0,14})?$/,
    'is not the name of a bridge',
    { does: 'Bridge of the clones; empty: that of the source' },
    'a name such as vmbr0, or nothing',
  ).usually(''),
  gateway: gateway('Gateway of the clones; empty: that of the source').usually(''),
};

const groupSection = {
  lxc_containers: containerIds('The containers that the group begins with').usually(NOBODY),
  node: text(
    /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?$/,
    'is no name of a node',
    {
      does:
        'Node that the group is on, as NODES or its cluster calls it; empty: that of `source`, ' +
        'or else the one that the program runs on',
    },
    'letters, digits and - within, or nothing',
  ).usually(''),
  source: vmidOnNode('The container that is cloned; node/id if it is on another node'),
  base_snapshot_name: vmid('Name of `source` in existing files: an id, in spite of its name'),
  source_snapshot: text(
    /^(?:[A-Za-z][A-Za-z0-9_-]{1,39})?$/,
    'is not the name of a snapshot',
    { does: 'Snapshot of the source to clone from; empty: a new one is made' },
    'a letter, then letters, digits, - and _, up to 40 in all, or nothing',
  ).usually(''),
  min_instances: wholeNumber(1, 1000, '', 'The group never has fewer members').usually(2),
  max_instances: wholeNumber(1, 1000, '', 'The group never has more members').usually(5),
  starting_clone_id: vmid('Clones get free ids from this one upwards').usually(FIRST_CLONE),
  clone_mode: oneOf(['full', 'linked'], 'Whether a clone has a disk of its own').usually('full'),
  ...memberNetworkKeys,
  start_order: wholeNumber(0, 10_000, '', 'Position of the clones in the start order of the host'),
  horiz_cpu_upper_threshold: percent(0, 100, 'Above this mean CPU usage a member is added').usually(
    95,
  ),
  horiz_memory_upper_threshold: percent(
    0,
    100,
    'Above this mean memory usage a member is added',
  ).usually(95),
  horiz_cpu_lower_threshold: percent(0, 100, 'Below this mean CPU usage a member is taken away'),
  horiz_memory_lower_threshold: percent(
    0,
    100,
    'Below this mean memory usage a member is taken away',
  ),
  scale_in: oneOf(['off', 'stop', 'destroy'], 'What happens to a member that is not needed', {
    no: 'off',
    false: 'off',
  }).usually('off'),
  scale_out_grace_period: wholeNumber(
    0,
    MAX_SECONDS,
    'seconds',
    'Minimum time between two members added',
  ).usually(300),
  scale_in_grace_period: wholeNumber(
    0,
    MAX_SECONDS,
    'seconds',
    'Minimum time between two members taken away',
  ).usually(600),
  warmup_seconds: wholeNumber(
    0,
    MAX_SECONDS,
    'seconds',
    'How long a new member is not counted',
  ).usually(60),
  ...memberCareKeys,
  group_tag: text(
    /^(?:[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127})?$/,
    'is not a tag',
    { does: 'Tag that marks the members of the group; empty: made of its name' },
    'letters, digits, _ - + and ., or nothing',
  ).usually(''),
  on_ready: command('Program to run when a member is ready').usually([]),
  on_terminating: command('Program to run before a member is stopped or destroyed').usually([]),
};

/** A node of the section `NODES`: how it is reached, and who we are to it. */
const nodeSection = {
  connection: someOf(
    ['api', 'ssh', 'local'],
    'How the node is reached: by its REST API, by SSH, or local, the node that this program ' +
      'runs on; with [api, ssh] or [ssh, api] by the second while the first does not answer',
  ).usually(['api']),
  host: text(
    /^(?![^:]*:[^:]*$)[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?$/,
    'is neither a name nor an address alone (its port is `port`)',
    { does: 'Name or address of the node, or of any node of its cluster' },
    'a host name, an IPv4 or an IPv6 address',
  ),
  port: wholeNumber(
    1,
    65_535,
    '',
    'Port of the API; with ssh alone that of SSH, usually 22',
  ).usually(8006),
  ssh_port: wholeNumber(1, 65_535, '', 'With both connections: port of SSH').usually(22),
  node: text(
    /^(?:\*|[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?$/,
    'is no name of a node',
    {
      does:
        'What the cluster calls the node; empty: what it is called here; *: it is the only one, ' +
        'whatever it is called',
    },
    'letters, digits and - within, or *, or nothing',
  ).usually(''),
  discover: yesOrNo(
    'Whether the other nodes of its cluster are looked after too, with the same login; a node ' +
      'that is newly found is only observed for a day',
  ).usually(false),
  token_id: text(
    /^[^\s@!]+@[^\s@!]+![A-Za-z][A-Za-z0-9._-]*$/,
    'is no name of a token',
    { does: 'API token to log in with; lxc-autoscale setup-token says how to make one' },
    'user@realm!name',
  ),
  token_secret: token('Secret of the API token'),
  user: text(
    /^[A-Za-z0-9_][^\s@!:/]*(?:@[^\s@!:/]+)?$/,
    'is no name of a user',
    {
      does: 'User to log in with: to the API instead of a token, with ssh root if it is left out',
      secret: 'perhaps',
    },
    'user@realm for the API, user for ssh',
  ),
  password: text(
    /^.*$/,
    'is not a text',
    { does: 'Password of the user', secret: true },
    'text on one line',
  ),
  ca_file: absolutePath(
    'file',
    'Certificate of the authority that signed that of the node, such as a copy of ' +
      '/etc/pve/pve-root-ca.pem',
  ),
  fingerprint: text(
    /^[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31}$/,
    'is no SHA-256 fingerprint',
    { does: 'The one certificate that the node may have' },
    '32 bytes in hex with colons, as `pvenode cert info` shows them',
  ),
  verify_tls: yesOrNo('Whether the certificate of the node is checked').usually(true),
  memory_shrink: oneOf(MEMORY_SHRINKS, `${WHEN_UNPROVEN}; what a tier says counts first`),
  lease_dir: absolutePath(
    'directory',
    'With the API alone: a directory that all programs share which may scale the node, so that ' +
      'one of them does and the others wait',
  ),
  identity_file: absolutePath(
    'file',
    'With ssh: the private key to log in with, which must have no passphrase',
  ),
  known_hosts: absolutePath(
    'file',
    'With ssh: the host keys that are believed. The service does not see those in home directories',
  ),
  jump: text(
    /^(?:\w[\w.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?$/,
    'is no host to go through',
    { does: 'With ssh: a host in between, with the same key and the same known hosts' },
    '[user@]host[:port]',
  ),
};

/** The keys of each kind of section. */
export const KEYS = {
  default: defaultSection,
  tier: tierSection,
  group: groupSection,
  node: nodeSection,
} as const;

export type SectionKeys = Readonly<Record<string, Entry>>;
export type AllKeys = Readonly<Record<keyof typeof KEYS, SectionKeys>>;

type Values<S> = { -readonly [K in keyof S]: S[K] extends Entry<infer T> ? T : never };
export type DefaultValues = Values<typeof defaultSection>;
export type TierValues = Values<typeof tierSection>;
export type NodeValues = Values<typeof nodeSection>;
export type GroupValues = Values<typeof groupSection>;

/** What the keys of a section are where they are left out. */
type UsualValues<S> = {
  readonly [K in keyof S]: S[K] extends Entry<unknown, infer D> ? D : never;
};

export const usualValues = <S extends SectionKeys>(keys: S): UsualValues<S> =>
  Object.fromEntries(
    Object.entries(keys).map(([key, { usual }]) => [key, usual]),
  ) as UsualValues<S>;
