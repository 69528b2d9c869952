import { Writable } from 'node:stream';
import { createLogger, format, transports } from 'winston';
import { plainText } from '../core/plain-text.ts';
import { masking } from '../core/secrets.ts';
import { type Milliseconds, milliseconds } from '../core/units.ts';
import type { Clock, Log } from '../ports.ts';
import { appendLine, type Rotation } from './append.ts';
import { createTimestamp } from './timestamp.ts';

export type LogLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR';

/** What a reload of the configuration may change. */
export interface LogSettings {
  /** undefined: lines go to the console only. */
  readonly file: string | undefined;
  /** Less important lines are left out. */
  readonly level: LogLevel;
  /** IANA name; undefined stands for the host's. */
  readonly timezone: string | undefined;
  /** Texts that must not appear, e.g. tokens. Shorter ones than four characters are no secrets. */
  readonly secrets: readonly string[];
  /** Of the file; undefined: it grows without bound. */
  readonly rotation?: Rotation | undefined;
  /** Of the console; text where nothing is said. */
  readonly format?: 'text' | 'json';
}

export interface LogOutputs {
  readonly clock: Pick<Clock, 'wallMs'>;
  /** Where lines go besides the file; undefined: nowhere. */
  readonly console: Writable | undefined;
  /** The console is the journal of systemd, which has its own times and wants priorities. */
  readonly toSystemd?: boolean;
  /** Where the log complains about its own file. */
  readonly complaints: Writable;
}

export interface TextLog extends Log {
  /** From the next line on. An unknown timezone throws a RangeError and changes nothing. */
  reconfigure(settings: LogSettings): void;
  /** Resolves when all lines are in the file and the console has taken its own. Never rejects. */
  flush(): Promise<void>;
}

/** Smaller is more important, as winston has it. */
const LEVELS: Readonly<Record<LogLevel, number>> = { ERROR: 0, WARNING: 1, INFO: 2, DEBUG: 3 };
const MAX_MESSAGE_LENGTH = 8192;
/** A console that nobody reads any more must not keep the program from ending. */
const FLUSH_TIMEOUT_MS = 1000;
/** In bytes that wait for the reader of the console. */
const MAX_CONSOLE_BACKLOG = 1024 * 1024;

/**
 * The log for people, to a file and to the console: `2024-08-14 22:04:45 - INFO - message`.
 * Each line is in the file when the call returns, so none is lost however the process ends (the
 * file transport of winston buffers, hides a full disk and never ends if it cannot open its file).
 * A file that cannot be written is reported once to `complaints`; lines that it missed are counted
 * and named in it when it can be written again.
 * Throws a RangeError for an unknown timezone.
 */
export function createLog(settings: LogSettings, outputs: LogOutputs): TextLog {
  let shape = lineShape(settings);
  let onScreen = consoleShape(settings, outputs);
  const file = fileSink({
    complain: (level, message) =>
      outputs.complaints.write(`${onScreen(level, message, outputs.clock.wallMs())}\n`),
    shape: (level, message) => shape(level, message, outputs.clock.wallMs()),
  });
  file.use(settings);
  const screen = consoleSink(outputs.console);
  outputs.complaints.on('error', () => {});
  const logger = createLogger({
    levels: LEVELS,
    level: settings.level,
    // Each output has a form of its own, and all have the same time.
    format: format((info) => Object.assign(info, { atMs: outputs.clock.wallMs() }))(),
    transports: [
      transportTo(file.put, (...line) => shape(...line)),
      transportTo(screen.put, (...line) => onScreen(...line)),
    ],
  });
  const write = (level: LogLevel) => (message: string) => {
    logger.log({ level, message });
  };
  return {
    debug: write('DEBUG'),
    info: write('INFO'),
    warn: write('WARNING'),
    error: write('ERROR'),
    reconfigure(next) {
      shape = lineShape(next);
      onScreen = consoleShape(next, outputs);
      logger.level = next.level;
      file.use(next);
    },
    flush: screen.drained,
  };
}

type LineShape = (level: string, message: string, atMs: Milliseconds) => string;

function lineShape(settings: LogSettings): LineShape {
  const timestamp = createTimestamp(settings.timezone);
  const clean = cleaner(settings);
  return (level, message, atMs) => `${timestamp(atMs)} - ${level} - ${clean(message)}`;
}

/** Takes secrets and control characters out of a message. */
function cleaner(settings: LogSettings): (message: string) => string {
  const mask = masking(settings.secrets);
  return (message) => plainText(mask(message), MAX_MESSAGE_LENGTH);
}

/** As syslog(3) numbers them; source: sd-daemon(3). */
const PRIORITIES: Readonly<Record<string, number>> = { ERROR: 3, WARNING: 4, INFO: 6, DEBUG: 7 };

function consoleShape(settings: LogSettings, { toSystemd }: LogOutputs): LineShape {
  const prefix = (level: string): string =>
    toSystemd === true ? `<${PRIORITIES[level] ?? PRIORITIES['INFO']}>` : '';
  if (settings.format === 'json') {
    const timestamp = createTimestamp(settings.timezone);
    const clean = cleaner(settings);
    return (level, message, atMs) => {
      const fields = { timestamp: timestamp(atMs), level, message: clean(message) };
      return `${prefix(level)}${JSON.stringify(fields)}`;
    };
  }
  if (toSystemd !== true) return lineShape(settings);
  const clean = cleaner(settings);
  return (level, message) => `${prefix(level)}${level} - ${clean(message)}`;
}

/** Hands each line over within the call of the logger. */
function transportTo(
  put: (line: string) => void,
  shape: LineShape,
): InstanceType<typeof transports.Stream> {
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      put(String(chunk));
      done();
    },
  });
  const lines = format.printf(({ level, message, atMs }) =>
    shape(level, String(message), milliseconds(Number(atMs))),
  );
  return new transports.Stream({ stream, eol: '', format: lines });
}

interface FileSink {
  put(line: string): void;
  use(settings: Pick<LogSettings, 'file' | 'rotation'>): void;
}

interface FileSinkParts {
  readonly shape: (level: LogLevel, message: string) => string;
  readonly complain: (level: LogLevel, message: string) => void;
}

function fileSink({ shape, complain }: FileSinkParts): FileSink {
  let path: string | undefined;
  let rotation: Rotation | undefined;
  let lost = 0;

  function catchUp(file: string): boolean {
    if (lost === 0) return true;
    const note = `${lost} lines before this one could not be written to this file`;
    if (!appendLine(file, shape('WARNING', note), rotation).ok) return false;
    lost = 0;
    return true;
  }

  return {
    put(line) {
      if (path === undefined) return;
      if (!catchUp(path)) {
        lost += 1;
        return;
      }
      const outcome = appendLine(path, line, rotation);
      if (outcome.ok) return;
      lost += 1;
      const what = `The log file ${path} cannot be written, going on without it: `;
      complain('ERROR', what + outcome.message);
    },
    use(next) {
      if (next.file !== path) lost = 0;
      path = next.file;
      rotation = next.rotation;
    },
  };
}

interface ConsoleSink {
  put(line: string): void;
  drained(): Promise<void>;
}

function consoleSink(stream: Writable | undefined): ConsoleSink {
  if (stream === undefined) return { put: () => {}, drained: () => Promise.resolve() };
  let gone = false;
  // The reader of a pipe may go away (EPIPE). The daemon's work and its file do not end with it.
  stream.on('error', () => {
    gone = true;
  });
  return {
    put(line) {
      // A reader that stands still must not fill our memory; the file has all lines.
      if (!gone && stream.writableLength < MAX_CONSOLE_BACKLOG) stream.write(`${line}\n`);
    },
    drained() {
      if (gone || stream.writableLength === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, FLUSH_TIMEOUT_MS);
        stream.write('', () => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}
