import { Writable } from 'node:stream';
import { createLogger, format, transports } from 'winston';
import {
  type LineFacts,
  type LineLevel,
  type LogComponent,
  type LogLine,
  SYSLOG_PRIORITIES,
} from '../core/log-line.ts';
import { plainText } from '../core/plain-text.ts';
import { masking } from '../core/secrets.ts';
import type { Clock } from '../node/port.ts';
import { createTimestamp } from '../os/timestamp.ts';
import type { Log } from '../ports.ts';
import { appendLine, type Rotation } from './append.ts';

export type LogLevel = LineLevel;

/** What a reload of the configuration may change. */
export interface LogSettings {
  /** undefined: lines go to the console only. */
  readonly file: string | undefined;
  /** Less important lines are left out. */
  readonly level: LogLevel;
  /** The same for single components; the others go by `level`. */
  readonly componentLevels?: Readonly<Partial<Record<LogComponent, LogLevel>>> | undefined;
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
  /** In the place of `appendLine`. */
  readonly append?: typeof appendLine;
  /** Where the log complains about its own file. */
  readonly complaints: Writable;
  /** Takes a line in place of the console; false: it could not, and the console has it. */
  readonly insteadOfConsole?: (line: LogLine) => boolean;
  /** Takes each line besides, and returns at once. */
  readonly besides?: (line: LogLine) => void;
}

export interface TextLog extends Log {
  /** From the next line on. An unknown timezone throws a RangeError and changes nothing. */
  reconfigure(settings: LogSettings): void;
  /** Resolves when all lines are in the file and the console has taken its own. Never rejects. */
  flush(): Promise<void>;
}

/** Smaller is more important, as winston has it. */
const LEVELS: Readonly<Record<LogLevel, number>> = { ERROR: 0, WARNING: 1, INFO: 2, DEBUG: 3 };
/** Where winston's transports look for the text of a line; its package triple-beam names it so. */
const MESSAGE = Symbol.for('message');
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
  let clean = cleaner(settings);
  let levelOf = levels(settings);
  const file = fileSink({
    append: outputs.append ?? appendLine,
    complain: (level, message) => outputs.complaints.write(`${onScreen(lineOf(level, message))}\n`),
    shape: (level, message) => shape(lineOf(level, message)),
  });
  file.use(settings);
  const screen = consoleSink(outputs.console);
  outputs.complaints.on('error', () => {});
  const logger = createLogger({
    levels: LEVELS,
    level: 'DEBUG',
    // Without one of ours winston would make JSON, with a package that is not in the bundle.
    format: format((info) => info)(),
    transports: [
      transportTo(file.put, (line) => shape(line)),
      transportTo(screen.put, (line) =>
        outputs.insteadOfConsole?.(line) === true ? undefined : onScreen(line),
      ),
    ],
  });
  const lineOf = (level: LogLevel, message: string, about: LineFacts = {}): LogLine => {
    const { component = 'daemon', ...facts } = about;
    const own = Object.fromEntries(
      Object.entries(facts).map(([name, fact]) => [
        name,
        typeof fact === 'string' ? clean(fact) : fact,
      ]),
    );
    return {
      atMs: outputs.clock.wallMs(),
      level,
      text: clean(message),
      facts: { component, ...own },
    };
  };
  const write = (level: LogLevel) => (said: string | (() => string), about?: LineFacts) => {
    if (LEVELS[level] > LEVELS[levelOf(about?.component ?? 'daemon')]) return;
    const message = typeof said === 'string' ? said : said();
    // Each output has a form of its own, and all have the same time.
    const line = lineOf(level, message, about);
    logger.log({ level, message, line });
    outputs.besides?.(line);
  };
  return {
    debug: write('DEBUG'),
    info: write('INFO'),
    warn: write('WARNING'),
    error: write('ERROR'),
    reconfigure(next) {
      shape = lineShape(next);
      onScreen = consoleShape(next, outputs);
      clean = cleaner(next);
      levelOf = levels(next);
      file.use(next);
    },
    flush: screen.drained,
  };
}

const levels =
  ({ level, componentLevels }: LogSettings) =>
  (component: LogComponent): LogLevel =>
    componentLevels?.[component] ?? level;

type LineShape = (line: LogLine) => string;

function lineShape(settings: LogSettings): LineShape {
  const timestamp = createTimestamp(settings.timezone);
  return ({ atMs, level, text }) => `${timestamp(atMs)} - ${level} - ${text}`;
}

/** Takes secrets and control characters out of a message. */
function cleaner(settings: LogSettings): (message: string) => string {
  const mask = masking(settings.secrets);
  return (message) => plainText(mask(message), MAX_MESSAGE_LENGTH);
}

function consoleShape(settings: LogSettings, { toSystemd }: LogOutputs): LineShape {
  const prefix = (level: LineLevel): string =>
    toSystemd === true ? `<${SYSLOG_PRIORITIES[level]}>` : '';
  if (settings.format === 'json') {
    const timestamp = createTimestamp(settings.timezone);
    return ({ atMs, level, text, facts }) => {
      const fields = { timestamp: timestamp(atMs), level, message: text, ...facts };
      return `${prefix(level)}${JSON.stringify(fields)}`;
    };
  }
  if (toSystemd !== true) return lineShape(settings);
  return ({ level, text }) => `${prefix(level)}${level} - ${text}`;
}

/** Hands each line over within the call of the logger. */
function transportTo(
  put: (line: string) => void,
  shape: (line: LogLine) => string | undefined,
): InstanceType<typeof transports.Stream> {
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      put(String(chunk));
      done();
    },
  });
  // A line without a shape is not for this output.
  const lines = format((info) => {
    const shaped = shape(info['line'] as LogLine);
    return shaped === undefined ? false : Object.assign(info, { [MESSAGE]: shaped });
  });
  return new transports.Stream({ stream, eol: '', format: lines() });
}

interface FileSink {
  put(line: string): void;
  use(settings: Pick<LogSettings, 'file' | 'rotation'>): void;
}

interface FileSinkParts {
  readonly append: typeof appendLine;
  readonly shape: (level: LogLevel, message: string) => string;
  readonly complain: (level: LogLevel, message: string) => void;
}

function fileSink({ append, shape, complain }: FileSinkParts): FileSink {
  let path: string | undefined;
  let rotation: Rotation | undefined;
  let lost = 0;

  function catchUp(file: string): boolean {
    if (lost === 0) return true;
    const note = `${lost} lines before this one could not be written to this file`;
    if (!append(file, shape('WARNING', note), rotation).ok) return false;
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
      const outcome = append(path, line, rotation);
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
