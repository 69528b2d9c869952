import type { LogRoom } from '../core/log-line.ts';
import type { Log } from '../ports.ts';

/** The same log for a part of the program all of whose lines come from one room. */
export const inRoom = (log: Log, room: LogRoom): Log => ({
  debug: (message, about) => log.debug(message, { ...about, room }),
  info: (message, about) => log.info(message, { ...about, room }),
  warn: (message, about) => log.warn(message, { ...about, room }),
  error: (message, about) => log.error(message, { ...about, room }),
});
