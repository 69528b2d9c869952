import { missing, present } from '../../src/core/reading.ts';
import type { Vmid } from '../../src/core/units.ts';
import type { LimitEvents } from '../../src/node/port.ts';
import { vmid } from '../core/builders.ts';

/** What a node tells of its guests, as far as a test lets it happen. */
export class FakeLimitEvents implements LimitEvents {
  readonly #heard = new Map<Vmid, Set<() => void>>();
  /** What was done, in its order: `watch 101`. */
  readonly done: string[] = [];
  /** Of the life that a watch is on; where there is none, the guest does not run. */
  readonly lives = new Map<Vmid, number>();
  most = Number.POSITIVE_INFINITY;

  watch(id: Vmid, tell: () => void): ReturnType<LimitEvents['watch']> {
    this.done.push(`watch ${id}`);
    const identity = this.lives.get(id);
    if (identity === undefined) return missing('absent', 'not running');
    if (this.watched.length >= this.most) return missing('unreadable', 'no watch is left');
    const tells = this.#heard.get(id) ?? new Set();
    this.#heard.set(id, tells.add(tell));
    return present({ identity, close: () => tells.delete(tell) });
  }

  get watched(): readonly Vmid[] {
    return [...this.#heard].filter(([, tells]) => tells.size > 0).map(([id]) => id);
  }

  happen(id: number): void {
    for (const tell of [...(this.#heard.get(vmid(id)) ?? [])]) tell();
  }
}
