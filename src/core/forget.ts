import type { LoopState } from './loop-state.ts';
import type { Vmid } from './units.ts';

/**
 * Drops all that is remembered of guests. Every map of the state is kept under the id of a guest,
 * or under a text that begins with it (`101/cores`), so a new map cannot be missed here.
 */
export function forgetGuests(state: LoopState, isGone: (vmid: Vmid) => boolean): void {
  for (const map of Object.values(state)) {
    if (!(map instanceof Map)) continue;
    map.forEach((_, key: unknown) => {
      if (isGone(guestOf(key))) map.delete(key as never);
    });
  }
}

const guestOf = (key: unknown): Vmid =>
  (typeof key === 'number' ? key : Number.parseInt(String(key), 10)) as Vmid;
