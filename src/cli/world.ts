import type { Writable } from 'node:stream';
import type { Config } from '../config/model.ts';
import { secretsOf } from '../config/notify.ts';
import { LOG_ROOMS } from '../core/log-line.ts';
import { type CgroupFiles, createCgroups } from '../host/cgroup-files.ts';
import { createReclaim } from '../host/cgroup-reclaim.ts';
import { createBackups } from '../host/config-backups.ts';
import { createGuests } from '../host/guests.ts';
import { createHolds, HOLDS_DIRECTORY } from '../host/holds.ts';
import { isJournalStream } from '../host/journal-stream.ts';
import { createMemoryHigh } from '../host/memory-high.ts';
import type { Paths } from '../host/paths.ts';
import { createProxmox } from '../host/pct.ts';
import { createHostView } from '../host/proc-files.ts';
import { createRunningVms } from '../host/vms.ts';
import { whyNoFileIn, whyNothingToAppend } from '../host/writable-files.ts';
import type { Clock, JournalEvent, World } from '../ports.ts';
import { createJournal, type JournalSettings } from '../report/journal.ts';
import { createLog, type LogLevel, type LogSettings } from '../report/log.ts';
import { newTally, noteEvent, type Tally } from '../report/tally.ts';

import { logOutlets } from './log-outlets.ts';

/** The real world behind the ports, put together from a configuration. */
export interface OpenWorld {
  readonly world: World;
  /** What has gone through this world. */
  readonly tally: Tally;
  /** Takes what a new configuration says of logs and backups into force. */
  reconfigure(config: Config): void;
  /** Who hears of each line of the JSON log as well, and whether it could be written. */
  listen(listener: JournalListener | undefined): void;
  /** Resolves when every line is where it belongs. */
  close(): Promise<void>;
}

export type JournalListener = (event: JournalEvent, isWritten: boolean) => void;

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
  const { paths, clock, stdout, stderr, env } = around;
  const node = paths.nodeName();
  const toSystemd = isJournalStream(stdout, env);
  const outlets = logOutlets({ paths, toSystemd, log: () => log });
  const { insteadOfConsole, besides } = outlets;
  const log = createLog(logSettings(config, paths), {
    ...{ clock, console: stdout, complaints: stderr, toSystemd, insteadOfConsole, besides },
  });
  outlets.use(config);
  const journal = createJournal(journalSettings(config, paths, node), clock);
  const tally = newTally();
  let files = { log: paths.at(config.jsonLogFile), backups: paths.at(config.backupDir) };
  const cgroups: CgroupFiles = createCgroups(paths, clock);
  const vms = createRunningVms(paths);
  const backupsOf = ({ backupDir, backupsKeep: keep, backupsKeepMs: keepMs }: Config) =>
    createBackups({ directory: paths.at(backupDir), node, clock, keep, keepMs });
  let backups = backupsOf(config);
  let listener: JournalListener | undefined;
  const world: World = {
    clock,
    log,
    journal: {
      record(event) {
        const isWritten = journal.record(event);
        noteEvent(tally, event, isWritten);
        listener?.(event, isWritten);
        return isWritten;
      },
      problem: () => whyNothingToAppend(files.log),
    },
    cgroups,
    reclaim: createReclaim(paths, clock),
    memoryHigh: createMemoryHigh(paths, clock),
    guests: createGuests(paths),
    host: createHostView(paths, () => vms.memoryMib()),
    proxmox: createProxmox({ environment: around.env }),
    holds: createHolds({ directory: paths.at(HOLDS_DIRECTORY), clock }),
    backups: {
      write: (file, purpose) => backups.write(file, purpose),
      problem: () => whyNoFileIn(files.backups, 0o700),
    },
  };
  return {
    ...{ world, tally },
    reconfigure(next) {
      log.reconfigure(logSettings(next, paths));
      outlets.use(next);
      journal.reconfigure(journalSettings(next, paths, node));
      backups = backupsOf(next);
      files = { log: paths.at(next.jsonLogFile), backups: paths.at(next.backupDir) };
    },
    listen(next) {
      listener = next;
    },
    async close() {
      cgroups.close();
      await outlets.close();
      await log.flush();
    },
  };
}

const allSecrets = (config: Config): readonly string[] => [
  config.metrics.token,
  ...secretsOf(config),
];

function roomLevels({ roomLogLevels }: Config): LogSettings['roomLevels'] {
  const levels = LOG_ROOMS.flatMap((room) => {
    const level = roomLogLevels[room];
    return level === undefined ? [] : [[room, LEVELS[level]] as const];
  });
  return Object.fromEntries(levels);
}

function logSettings(config: Config, paths: Paths): LogSettings {
  return {
    file: paths.at(config.logFile),
    level: LEVELS[config.logLevel],
    roomLevels: roomLevels(config),
    timezone: config.timezone,
    secrets: allSecrets(config),
    rotation: config.logRotation,
    format: config.logFormat,
  };
}

function journalSettings(config: Config, paths: Paths, host: string): JournalSettings {
  const { timezone, logRotation: rotation } = config;
  const secrets = allSecrets(config);
  return { file: paths.at(config.jsonLogFile), host, timezone, rotation, secrets };
}
