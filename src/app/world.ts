import { dirname } from 'node:path/posix';
import type { Config } from '../config/model.ts';
import { secretsOf } from '../config/notify.ts';
import type { JournalEvent } from '../core/journal-event.ts';
import { LOG_COMPONENTS } from '../core/log-line.ts';
import type { Paths } from '../node/local/paths.ts';
import type { PveInventory } from '../node/local/pve/pve-inventory.ts';
import { createTemporaryRecords } from '../node/local/pve/temporary-records.ts';
import { AnsweringFiles, type Places } from '../os/answering-files.ts';
import { isJournalStream } from '../os/journal-stream.ts';
import { whyNoFileIn, whyNothingToAppend } from '../os/writable-files.ts';
import { appendLine } from '../output/append.ts';
import { createJournal, type JournalSettings } from '../output/journal.ts';
import { createLog, type LogLevel, type LogSettings } from '../output/log.ts';
import { newTally, noteEvent, type Tally } from '../output/tally.ts';
import type { ActingWorld, World } from '../ports.ts';
import { createBackups } from '../store/config-backups.ts';
import { createHolds, HOLDS_DIRECTORY } from '../store/holds.ts';
import type { ProcessContext } from './context.ts';
import { openLocalNode } from './local-node.ts';
import { logOutlets } from './log-outlets.ts';

/** The ports of the loop on a real node, put together from a configuration. */
export interface OpenWorld {
  readonly world: ActingWorld;
  /** Which guests the cluster has: one for all that ask. */
  readonly inventory: PveInventory;
  /** Counts of what has gone through these ports. */
  readonly tally: Tally;
  /** Why `/etc/pve` cannot be read now; undefined: it has answered. */
  hanging(): string | undefined;
  /** Makes the logs and backups of a new configuration active. */
  reconfigure(config: Config): void;
  /** The listener gets each line of the JSON log, and whether it could be written. */
  listen(listener: JournalListener | undefined): void;
  /** Resolves when every log line is written. */
  close(): Promise<void>;
}

export type JournalListener = (event: JournalEvent, isWritten: boolean) => void;

const LEVELS: Readonly<Record<Config['logLevel'], LogLevel>> = {
  debug: 'DEBUG',
  info: 'INFO',
  warning: 'WARNING',
  error: 'ERROR',
};

/** The world for those who only look: what would change the node is not in it. */
export const withoutHands = ({ hands: _, ...world }: ActingWorld): World => world;

export function openWorld(config: Config, context: ProcessContext): OpenWorld {
  const { paths, clock, stdout, stderr, env } = context;
  const name = paths.nodeName();
  const toSystemd = isJournalStream(stdout, env);
  const answering = new AnsweringFiles();
  const hanging = (): string | undefined => answering.problem(paths.pveDir);
  const append = appendWhile(answering);
  const outlets = logOutlets({ paths, toSystemd, log: () => log });
  const { insteadOfConsole, besides } = outlets;
  const log = createLog(logSettings(config, paths), {
    ...{ clock, console: stdout, complaints: stderr, toSystemd, insteadOfConsole, besides },
    append,
  });
  outlets.use(config);
  const journal = createJournal(journalSettings(config, paths, name), clock, append);
  const tally = newTally();
  let files = filesOf(config, paths);
  const node = openLocalNode(context, hanging);
  const { inventory } = node;
  const backupsOf = ({ backupDir, backupsKeep: keep, backupsKeepMs: keepMs }: Config) =>
    createBackups({ directory: paths.at(backupDir), node: name, clock, keep, keepMs });
  let backups = backupsOf(config);
  let listener: JournalListener | undefined;
  const world: ActingWorld = {
    ...node.eyes,
    hands: node.hands,
    observe: () => answering.ask(placesOf(files, paths)),
    log,
    journal: {
      record(event) {
        const isWritten = journal.record(event);
        noteEvent(tally, event, isWritten);
        listener?.(event, isWritten);
        return isWritten;
      },
      problem: () => answering.problem(dirname(files.log)) ?? whyNothingToAppend(files.log),
    },
    holds: createHolds({ directory: paths.at(HOLDS_DIRECTORY), clock }),
    temporary: createTemporaryRecords(paths, name, inventory),
    backups: {
      write(file, purpose) {
        const message = answering.problem(files.backups);
        return message === undefined ? backups.write(file, purpose) : { ok: false, message };
      },
      problem: () => answering.problem(files.backups) ?? whyNoFileIn(files.backups, 0o700),
    },
  };
  return {
    ...{ world, inventory, tally, hanging },
    reconfigure(next) {
      log.reconfigure(logSettings(next, paths));
      outlets.use(next);
      journal.reconfigure(journalSettings(next, paths, name));
      backups = backupsOf(next);
      files = filesOf(next, paths);
    },
    listen(next) {
      listener = next;
    },
    async close() {
      node.close();
      await outlets.close();
      await log.flush();
    },
  };
}

interface Files {
  readonly text: string;
  readonly log: string;
  readonly backups: string;
}

const filesOf = (config: Config, paths: Paths): Files => ({
  text: paths.at(config.logFile),
  log: paths.at(config.jsonLogFile),
  backups: paths.at(config.backupDir),
});

const placesOf = ({ text, log, backups }: Files, { pveDir }: Paths): Places => ({
  ...{ cluster: pveDir, others: [dirname(text), dirname(log), backups] },
});

/** The paths of a command that may hang, for `whyHanging`. */
export const placesIn = (config: Config, paths: Paths): Places =>
  placesOf(filesOf(config, paths), paths);

const appendWhile =
  (answering: AnsweringFiles): typeof appendLine =>
  (file, line, rotation) => {
    const message = answering.problem(dirname(file));
    return message === undefined ? appendLine(file, line, rotation) : { ok: false, message };
  };

const allSecrets = (config: Config): readonly string[] => [
  config.metrics.token,
  ...secretsOf(config),
];

function componentLevels({ componentLogLevels }: Config): LogSettings['componentLevels'] {
  const levels = LOG_COMPONENTS.flatMap((room) => {
    const level = componentLogLevels[room];
    return level === undefined ? [] : [[room, LEVELS[level]] as const];
  });
  return Object.fromEntries(levels);
}

function logSettings(config: Config, paths: Paths): LogSettings {
  return {
    file: paths.at(config.logFile),
    level: LEVELS[config.logLevel],
    componentLevels: componentLevels(config),
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
