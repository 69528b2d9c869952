import { dirname } from 'node:path/posix';
import { DEFAULTS } from '../config/defaults.ts';
import type { Config } from '../config/model.ts';
import { secretsOf } from '../config/secrets-of.ts';
import type { JournalEvent } from '../core/journal-event.ts';
import { LOG_COMPONENTS } from '../core/log-line.ts';
import type { Paths } from '../node/local/paths.ts';
import { AnsweringFiles, type Places } from '../os/answering-files.ts';
import { isJournalStream } from '../os/journal-stream.ts';
import { whyNothingToAppend } from '../os/writable-files.ts';
import { appendLine } from '../output/append.ts';
import { createJournal, type JournalSettings, type JsonJournal } from '../output/journal.ts';
import { createLog, type LogLevel, type LogSettings } from '../output/log.ts';
import type { Journal, Log } from '../ports.ts';
import type { ProcessContext } from './context.ts';
import { logOutlets } from './log-outlets.ts';

/** The log and the JSON log: one of each, whatever the number of nodes. */
export interface Outputs {
  readonly log: Log;
  /** Whether the places answer where this program reads and writes. */
  readonly answering: AnsweringFiles;
  /** All these places, as they are configured now. */
  places(): Places;
  backups(): string;
  /** The JSON log, with the node that its lines are about. */
  journalOf(node: string, listener: (event: JournalEvent, isWritten: boolean) => void): Journal;
  reconfigure(config: Config): void;
  /** From here on it gets each line of the JSON log, and whether it could be written. */
  listen(listener: JournalListener): void;
  /** Resolves when every log line is written. */
  close(): Promise<void>;
}

export type JournalListener = (event: JournalEvent, isWritten: boolean, node: string) => void;

const LEVELS: Readonly<Record<Config['logLevel'], LogLevel>> = {
  debug: 'DEBUG',
  info: 'INFO',
  warning: 'WARNING',
  error: 'ERROR',
};

export function openOutputs(first: Config, context: ProcessContext): Outputs {
  const { paths, clock, stdout, stderr, env } = context;
  let config = first;
  const answering = new AnsweringFiles();
  const append = appendWhile(answering);
  const toSystemd = isJournalStream(stdout, env);
  const outlets = logOutlets({ paths, toSystemd, log: () => log });
  const { insteadOfConsole, besides } = outlets;
  const log = createLog(logSettings(config, paths), {
    clock,
    console: stdout,
    complaints: stderr,
    toSystemd,
    insteadOfConsole,
    besides,
    append,
  });
  outlets.use(config);
  const journals = new Map<string, JsonJournal>();
  const listeners = new Set<JournalListener>();
  return {
    log,
    answering,
    places: () => placesIn(config, paths),
    backups: () => paths.at(config.backupDir),
    journalOf(node, listener) {
      const journal = createJournal(journalSettings(config, paths, node), clock, append);
      journals.set(node, journal);
      return {
        record(event) {
          const isWritten = journal.record(event);
          listener(event, isWritten);
          for (const heard of listeners) heard(event, isWritten, node);
          return isWritten;
        },
        problem() {
          const file = paths.at(config.jsonLogFile);
          return answering.problem(dirname(file)) ?? whyNothingToAppend(file);
        },
      };
    },
    reconfigure(next) {
      config = next;
      log.reconfigure(logSettings(next, paths));
      outlets.use(next);
      for (const [node, one] of journals) one.reconfigure(journalSettings(next, paths, node));
    },
    listen(listener) {
      listeners.add(listener);
    },
    async close() {
      await outlets.close();
      await log.flush();
    },
  };
}

/** Where the program reads and writes that may hang; also for a command alone (`whyHanging`). */
export function placesIn({ logFile, jsonLogFile, backupDir }: Config, paths: Paths): Places {
  const logs = [logFile, jsonLogFile].map((file) => dirname(paths.at(file)));
  return { cluster: paths.pveDir, others: [...logs, paths.at(backupDir)] };
}

const appendWhile =
  (answering: AnsweringFiles): typeof appendLine =>
  (file, line, rotation) => {
    const message = answering.problem(dirname(file));
    return message === undefined ? appendLine(file, line, rotation) : { ok: false, message };
  };

function componentLevels({ componentLogLevels }: Config): LogSettings['componentLevels'] {
  const levels = LOG_COMPONENTS.flatMap((component) => {
    const level = componentLogLevels[component];
    return level === undefined ? [] : [[component, LEVELS[level]] as const];
  });
  return Object.fromEntries(levels);
}

/** With `--state` whoever runs the program keeps what it prints, unless a file is named. */
const isOnConsoleOnly = ({ logFile }: Config, { stateDir }: Paths): boolean =>
  stateDir !== undefined && logFile === DEFAULTS.log_file;

function logSettings(config: Config, paths: Paths): LogSettings {
  return {
    file: isOnConsoleOnly(config, paths) ? undefined : paths.at(config.logFile),
    level: LEVELS[config.logLevel],
    componentLevels: componentLevels(config),
    timezone: config.timezone,
    secrets: secretsOf(config),
    rotation: config.logRotation,
    format: config.logFormat,
  };
}

function journalSettings(config: Config, paths: Paths, host: string): JournalSettings {
  const { timezone, logRotation: rotation } = config;
  const secrets = secretsOf(config);
  return { file: paths.at(config.jsonLogFile), host, timezone, rotation, secrets };
}
