import type { LineFacts } from '../core/log-line.ts';
import type { Log } from '../ports.ts';

/**
 * The lines that frame a cycle (its start, what the host has left) tell nothing by themselves. They
 * are written together with the first line that does; in a quiet cycle only at level debug.
 */
export interface Framed {
  /** For everything that happens in the cycle. */
  readonly log: Log;
  frame(line: string, about?: LineFacts): void;
  /** Writes at level debug what waited in vain. Returns whether anything happened. */
  end(): boolean;
}

/** @param always whether quiet cycles are written as well */
export function framed(log: Log, always: boolean): Framed {
  const waiting: (readonly [line: string, about: LineFacts])[] = [];
  let isEventful = always;
  const begin = (): void => {
    isEventful = true;
    for (const line of waiting.splice(0)) log.info(...line);
  };
  return {
    log: {
      debug: (line, about) => log.debug(line, about),
      info: (line, about) => {
        begin();
        log.info(line, about);
      },
      warn: (line, about) => {
        begin();
        log.warn(line, about);
      },
      error: (line, about) => {
        begin();
        log.error(line, about);
      },
    },
    frame(line, about = {}) {
      if (isEventful) log.info(line, about);
      else waiting.push([line, about]);
    },
    end() {
      for (const line of waiting.splice(0)) log.debug(...line);
      return isEventful;
    },
  };
}
