import { LOG_COMPONENTS, type LogComponent } from '../core/log-line.ts';
import {
  type Bytes,
  type Milliseconds,
  mib,
  mibToBytes,
  milliseconds,
  secondsToMs,
} from '../core/units.ts';
import type { EffectiveValues } from './defaults.ts';
import type { DefaultValues } from './keys.ts';
import type { Levels, LOG_LEVELS } from './schema.ts';

/** Settings of the whole program that are one value each, in the words and units of the program. */

export type Settings = Readonly<ReturnType<typeof settingsOf>>;

export type LogLevel = (typeof LOG_LEVELS)[number];

export interface OffPeakCron {
  /** Five fields. */
  readonly expression: string;
  readonly lastsMs: Milliseconds;
}

type Values = EffectiveValues<DefaultValues>;

const SECONDS_PER_DAY = 86_400;
const SECONDS_PER_MINUTE = 60;

export function settingsOf(values: Values) {
  const pollIntervalMs = secondsToMs(values.poll_interval);
  return {
    pollIntervalMs,
    sampleIntervalMs: sampleInterval(secondsToMs(values.sample_interval), pollIntervalMs),
    /** Act after this many consecutive starved samples, not only in the next cycle. */
    urgentSamples: values.urgent_samples,
    /** How many containers are changed at the same time. */
    maxConcurrentOperations: values.max_concurrent_operations,
    logFile: values.log_file,
    jsonLogFile: jsonLogFileOf(values.log_file),
    ...logLevels(values.log_level),
    /** Of the console; the file has text. */
    logFormat: values.log_format,
    /** The server that also gets the lines. */
    logSyslog: values.log_syslog,
    logJournalFields: values.log_journal_fields,
    logQuietCycles: values.log_quiet_cycles,
    logRotation: logRotation(values),
    metrics: metrics(values),
    http: http(values),
    lockFile: values.lock_file,
    backupDir: values.backup_dir,
    /** How many backups of one container stay, and how long; see `surplusBackups`. */
    backupsKeep: values.backups_keep,
    backupsKeepMs: secondsToMs(values.backups_keep_days * SECONDS_PER_DAY),
    usageHistory: values.usage_history,
    /** How many days of it are kept. */
    usageHistoryDays: values.usage_history_days,
    /** IANA name; undefined: the host's. */
    timezone: values.timezone,
    energyMode: values.energy_mode,
    /** 0 to 23. What they, the cron expression and the time zone mean is for off-peak.ts to say. */
    offPeakStartHour: values.off_peak_start,
    offPeakEndHour: values.off_peak_end,
    offPeakCron: offPeakCron(values),
    /** Which guests are managed: all, those that this file names, or those that a tag opts in. */
    managed: values.manage,
    /** Virtual machines are managed without being listed or tagged. */
    manageVms: values.manage_vms,
    /** The tag `autoscale-tier-NAME` counts before the ids and names that tiers list. */
    tagsFirst: values.tags_first,
  };
}

/** The counters are read at least as often as a cycle runs. */
export const sampleInterval = (wanted: Milliseconds, poll: Milliseconds): Milliseconds =>
  milliseconds(Math.min(wanted, poll));

/** The JSON log beside `/var/log/a.log` is `/var/log/a.json`; beside `/var/log/a` it is too. */
export const jsonLogFileOf = (logFile: string): string =>
  `${logFile.endsWith('.log') ? logFile.slice(0, -'.log'.length) : logFile}.json`;

/** The level of all, and those of components that have one of their own. */
function logLevels(levels: Levels): {
  readonly logLevel: LogLevel;
  readonly componentLogLevels: Readonly<Partial<Record<LogComponent, LogLevel>>>;
} {
  if (typeof levels === 'string') return { logLevel: levels, componentLogLevels: {} };
  const components = LOG_COMPONENTS.flatMap((component) => {
    const level = levels.get(component);
    return level === undefined ? [] : [[component, level] as const];
  });
  return {
    logLevel: levels.get('default') ?? 'info',
    componentLogLevels: Object.fromEntries(components),
  };
}

/** How large a log may grow, and how many older ones stay; undefined: without bound. */
function logRotation({
  log_max_size_mb,
  log_keep,
}: Values): { readonly maxBytes: Bytes; readonly keep: number } | undefined {
  if (log_max_size_mb === 0) return undefined;
  return { maxBytes: mibToBytes(mib(log_max_size_mb)), keep: log_keep };
}

/** Where the figures for Prometheus are served and written to. The token is a secret. */
const metrics = ({ metrics_listen, metrics_token, metrics_textfile }: Values) =>
  ({ listen: metrics_listen, token: metrics_token, textfile: metrics_textfile }) as const;

/** The page and the API: where they are served, and who may use them. */
const http = (values: Values) => {
  const { http_tls_cert: cert, http_tls_key: key } = values;
  return {
    listen: values.http_listen,
    tokens: values.http_tokens,
    hosts: values.http_hosts,
    tls: cert === '' || key === '' ? undefined : { cert, key },
    behindProxy: values.http_behind_proxy,
    proxmoxLogin: values.http_proxmox_login,
  } as const;
};

/** In place of the hours: when the off-peak time begins, and how long it lasts. */
function offPeakCron({ off_peak_cron, off_peak_minutes }: Values): OffPeakCron | undefined {
  if (off_peak_cron === undefined || off_peak_minutes === undefined) return undefined;
  const lastsMs = secondsToMs(off_peak_minutes * SECONDS_PER_MINUTE);
  return { expression: off_peak_cron, lastsMs };
}
