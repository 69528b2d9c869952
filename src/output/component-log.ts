import type { LogComponent } from '../core/log-line.ts';
import type { Log } from '../ports.ts';

/** The same log, for a part of the program whose lines all have one component. */
export const ofComponent = (log: Log, component: LogComponent): Log => ({
  debug: (message, about) => log.debug(message, { ...about, component }),
  info: (message, about) => log.info(message, { ...about, component }),
  warn: (message, about) => log.warn(message, { ...about, component }),
  error: (message, about) => log.error(message, { ...about, component }),
});
