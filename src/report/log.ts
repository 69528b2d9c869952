import { Writable } from 'node:stream';
import { createLogger, format, transports } from 'winston';
import { plainText } from '../core/plain-text.ts';
import type { Clock, Log } from '../ports.ts';
import { appendLine } from './append.ts';
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
}

export interface LogOutputs {
  readonly clock: Pick<Clock, 'wallMs'>;
  /** Where lines go besides the file; undefined: nowhere. */
  readonly console: Writable | undefined;
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
const SHORTEST_SECRET = 4;
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
  let shape = lineShape(settings, outputs.clock);
  const file = fileSink(outputs.complaints, (level, message) => shape(level, message));
  file.use(settings.file);
  const screen = consoleSink(outputs.console);
  outputs.complaints.on('error', () => {});
  const logger = createLogger({
    levels: LEVELS,
    level: settings.level,
    format: format.printf(({ level, message }) => shape(level, String(message))),
    transports: [transportTo(file.put), transportTo(screen.put)],
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
      shape = lineShape(next, outputs.clock);
      logger.level = next.level;
      file.use(next.file);
    },
    flush: screen.drained,
  };
}

type LineShape = (level: string, message: string) => string;

function lineShape(settings: LogSettings, clock: LogOutputs['clock']): LineShape {
  const timestamp = createTimestamp(settings.timezone);
  const secrets = settings.secrets.filter((secret) => secret.length >= SHORTEST_SECRET);
  return (level, message) => {
    let masked = message;
    for (const secret of secrets) masked = masked.replaceAll(secret, '***');
    return `${timestamp(clock.wallMs())} - ${level} - ${plainText(masked, MAX_MESSAGE_LENGTH)}`;
  };
}

/** Hands each line over within the call of the logger. */
function transportTo(put: (line: string) => void): InstanceType<typeof transports.Stream> {
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      put(String(chunk));
      done();
    },
  });
  return new transports.Stream({ stream, eol: '' });
}

interface FileSink {
  put(line: string): void;
  use(path: string | undefined): void;
}

function fileSink(complaints: Writable, shape: LineShape): FileSink {
  let path: string | undefined;
  let lost = 0;

  function catchUp(file: string): boolean {
    if (lost === 0) return true;
    const note = `${lost} lines before this one could not be written to this file`;
    if (!appendLine(file, shape('WARNING', note)).ok) return false;
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
      const outcome = appendLine(path, line);
      if (outcome.ok) return;
      lost += 1;
      const what = `The log file ${path} cannot be written, going on without it: `;
      complaints.write(`${shape('ERROR', what + outcome.message)}\n`);
    },
    use(next) {
      if (next !== path) lost = 0;
      path = next;
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
