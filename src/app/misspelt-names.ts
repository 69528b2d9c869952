import { meantGuest } from '../config/meant-guest.ts';
import { matchesGlob } from '../config/name-glob.ts';
import { printable } from '../config/printable.ts';
import type { NodeLoop } from './node-loop.ts';
import type { EndedCycle, Part } from './part.ts';

/**
 * Warns of names in `ignore_lxc` that are nearly those of guests: with a slip of the finger a guest
 * is scaled that was to be left alone. After the first cycle with each configuration.
 */
export function misspeltNames(node: Pick<NodeLoop, 'config' | 'world' | 'open'>): Part {
  let isTold = true;
  return {
    async apply() {
      isTold = false;
    },
    cycleEnded({ node: name, view }: EndedCycle) {
      if (isTold || name !== node.open.name || view === undefined) return;
      isTold = true;
      const guests = view.observed.containers.flatMap(({ config }) =>
        config.ok ? [config.value] : [],
      );
      for (const entry of node.config.ignored.names) {
        if (guests.some((guest) => matchesGlob(entry, guest.name))) continue;
        const meant = meantGuest(entry, guests);
        if (meant === undefined || isOfSeries(entry, meant)) continue;
        const guest = printable(meant, 64);
        node.world.log.warn(
          `ignore_lxc has ${printable(entry, 64)}, and no guest here is called so: ${guest} is ` +
            'not ignored. If it is meant, correct the name.',
        );
      }
    },
    async stop() {},
  };
}

/** `web-1` beside `web-2`: the one may be on another node, or gone. */
const isOfSeries = (one: string, other: string): boolean =>
  /[0-9]/.test(one) && one.toLowerCase().replace(/[0-9]/g, '') === other.replace(/[0-9]/g, '');
