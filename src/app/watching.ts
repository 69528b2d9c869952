import type { Log, World } from '../ports.ts';

/** The world for those who must not leave a trace in it. */

export const SILENT: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const NOT_HERE = 'this command changes nothing';

/** The world to look at only: whatever would leave a trace in it does nothing. */
export function watching(world: World): World {
  return {
    ...world,
    log: SILENT,
    journal: { record: () => true },
    backups: { write: () => ({ ok: false, message: NOT_HERE }) },
    holds: { read: () => world.holds.read(), write: () => ({ ok: false, message: NOT_HERE }) },
  };
}
