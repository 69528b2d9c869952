import type { Writable } from 'node:stream';
import type { Config } from '../config/model.ts';
import { type CgroupFiles, createCgroups } from '../host/cgroup-files.ts';
import { createReclaim } from '../host/cgroup-reclaim.ts';
import { createBackups } from '../host/config-backups.ts';
import { createGuests } from '../host/guests.ts';
import { createHolds, HOLDS_DIRECTORY } from '../host/holds.ts';
import type { Paths } from '../host/paths.ts';
import { createProxmox } from '../host/pct.ts';
import { createHostView } from '../host/proc-files.ts';
import { createRunningVms } from '../host/vms.ts';
import type { Clock, World } from '../ports.ts';
import { createJournal, type JournalSettings } from '../report/journal.ts';
import { createLog, type LogLevel, type LogSettings } from '../report/log.ts';

/** The real world behind the ports, put together from a configuration. */
export interface OpenWorld {
  readonly world: World;
  /** Takes what a new configuration says of logs and backups into force. */
  reconfigure(config: Config): void;
  /** Resolves when every line is where it belongs. */
  close(): Promise<void>;
}

export interface Surroundings {
  readonly paths: Paths;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

const LEVELS: Readonly<Record<Config['logLevel'], LogLevel>> = {
  debug: 'DEBUG',
  info: 'INFO',
  warning: 'WARNING',
  error: 'ERROR',
};

export function openWorld(config: Config, around: Surroundings): OpenWorld {
  const { paths, clock, stdout, stderr } = around;
  const node = paths.nodeName();
  const log = createLog(logSettings(config, paths), { clock, console: stdout, complaints: stderr });
  const journal = createJournal(journalSettings(config, paths, node), clock);
  const cgroups: CgroupFiles = createCgroups(paths, clock);
  const vms = createRunningVms(paths);
  const backupsOf = ({ backupDir, backupsKeep: keep, backupsKeepMs: keepMs }: Config) =>
    createBackups({ directory: paths.at(backupDir), node, clock, keep, keepMs });
  let backups = backupsOf(config);
  const world: World = {
    clock,
    log,
    journal,
    cgroups,
    reclaim: createReclaim(paths, clock),
    guests: createGuests(paths),
    host: createHostView(paths, () => vms.memoryMib()),
    proxmox: createProxmox({ environment: around.env }),
    holds: createHolds({ directory: paths.at(HOLDS_DIRECTORY), clock }),
    backups: { write: (file, purpose) => backups.write(file, purpose) },
  };
  return {
    world,
    reconfigure(next) {
      log.reconfigure(logSettings(next, paths));
      journal.reconfigure(journalSettings(next, paths, node));
      backups = backupsOf(next);
    },
    async close() {
      cgroups.close();
      await log.flush();
    },
  };
}

function logSettings(config: Config, paths: Paths): LogSettings {
  const { url, token } = config.gotify;
  return {
    file: paths.at(config.logFile),
    level: LEVELS[config.logLevel],
    timezone: config.timezone,
    secrets: [token, url],
  };
}

function journalSettings(config: Config, paths: Paths, host: string): JournalSettings {
  return { file: paths.at(config.jsonLogFile), host, timezone: config.timezone };
}
