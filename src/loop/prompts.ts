import type { Vmid } from '../core/units.ts';
import type { Clock, LimitEvents, LimitWatch } from '../node/port.ts';
import type { Log } from '../ports.ts';

interface Followed {
  /** undefined: nothing is heard of it. */
  watch: LimitWatch | undefined;
  /** The life that was sampled last. */
  identity: number | undefined;
  /** It was heard of, and not looked at since. */
  heard: boolean;
  /** How often in a row it was heard of for nothing. */
  vain: number;
  /** For so many regular looks it is not listened to. */
  rest: number;
}

/** A limit that is met may end in a kill a moment later: one look sees both. */
const LET_HAPPEN_MS = 250;
/** A rate over less than this says little, so one look follows another no sooner. */
const APART_MS = 1000;
/** A guest that meets its limit without an end is heard once in so many looks. */
const LONGEST_REST = 6;

export type PromptsWorld = { readonly clock: Clock; readonly log: Log };

/**
 * Which guests are to be looked at between two samples, since their node has told of them. Each
 * is heard once, and then no more until it was looked at: a flood of events costs one look. If
 * that was for nothing, it is left to the regular looks for a while.
 */
export class Prompts {
  readonly #events: LimitEvents;
  readonly #world: PromptsWorld;
  readonly #followed = new Map<Vmid, Followed>();
  readonly #due = new Set<Vmid>();
  #askedMs = Number.NEGATIVE_INFINITY;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #wake: () => void = () => {};
  #saidFull = false;

  constructor(events: LimitEvents, world: PromptsWorld) {
    this.#events = events;
    this.#world = world;
  }

  /** When the next look is due, on the monotonic clock; Infinity: none is. */
  get dueMs(): number {
    if (this.#due.size === 0) return Number.POSITIVE_INFINITY;
    return Math.max(this.#askedMs + LET_HAPPEN_MS, this.#notBeforeMs);
  }

  /** @param wake called if a look has become due that was not */
  wakeBy(wake: () => void): void {
    this.#wake = wake;
  }

  /** Those that are due: they are looked at now, and `listen` comes before each reading. */
  take(): ReadonlySet<Vmid> {
    const due = new Set(this.#due);
    this.#due.clear();
    return due;
  }

  /** A look at all guests begins. */
  regularLook(): void {
    for (const one of this.#followed.values()) {
      if (one.watch !== undefined) one.vain = 0;
      else if (one.rest > 0) one.rest -= 1;
    }
  }

  /** To be called before a guest is read, so that nothing is lost between. */
  listen(vmid: Vmid): void {
    const one = this.#followed.get(vmid) ?? this.#follow(vmid);
    if (one.watch !== undefined || one.heard || one.rest > 0) return;
    const watch = this.#events.watch(vmid, () => this.#hear(vmid, one));
    if (watch.ok) {
      one.watch = watch.value;
      return;
    }
    one.rest = LONGEST_REST;
    if (watch.why !== 'absent') this.#sayFull(watch.detail);
  }

  /** @param identity of the life that was read just now; undefined: there is none */
  seen(vmid: Vmid, identity: number | undefined): void {
    const one = this.#followed.get(vmid);
    if (one === undefined || one.identity === identity) return;
    const { watch, identity: before } = one;
    one.identity = identity;
    if (identity === undefined) this.#drop(vmid);
    else if (watch === undefined ? before === undefined : watch.identity === identity) return;
    else this.#beginAnew(vmid);
  }

  /** These were looked at. Of some it turned out that their decision cannot wait. */
  looked(urgent: ReadonlySet<Vmid>, at: ReadonlySet<Vmid>): void {
    this.#notBeforeMs = this.#world.clock.monotonicMs() + APART_MS;
    for (const vmid of at) {
      const one = this.#followed.get(vmid);
      if (one?.heard !== true) continue;
      one.heard = false;
      one.vain = urgent.has(vmid) ? 0 : one.vain + 1;
      one.rest = Math.min(LONGEST_REST, one.vain && 2 ** (one.vain - 1));
    }
  }

  /** These, whom a cycle has dealt with, are listened to again. */
  dealtWith(vmids: Iterable<Vmid>): void {
    for (const vmid of vmids) {
      const one = this.#followed.get(vmid);
      if (one === undefined || (one.watch === undefined && one.rest === 0)) this.#ask(vmid);
    }
  }

  /** A whole cycle is over: nobody is followed but these. */
  follow(vmids: ReadonlySet<Vmid>): void {
    this.#notBeforeMs = this.#world.clock.monotonicMs() + APART_MS;
    for (const vmid of this.#followed.keys()) if (!vmids.has(vmid)) this.#drop(vmid);
    this.dealtWith(vmids);
  }

  #follow(vmid: Vmid): Followed {
    const one = { watch: undefined, identity: undefined, heard: false, vain: 0, rest: 0 };
    this.#followed.set(vmid, one);
    return one;
  }

  #drop(vmid: Vmid): void {
    this.#followed.get(vmid)?.watch?.close();
    this.#followed.delete(vmid);
    this.#due.delete(vmid);
  }

  /** It was started anew; its next reading has a watch of that life before it. */
  #beginAnew(vmid: Vmid): void {
    this.#drop(vmid);
    this.#ask(vmid);
  }

  #hear(vmid: Vmid, one: Followed): void {
    if (one.watch === undefined) return;
    one.watch.close();
    one.watch = undefined;
    one.heard = true;
    this.#ask(vmid);
  }

  #ask(vmid: Vmid): void {
    const isFirst = this.#due.size === 0;
    this.#due.add(vmid);
    if (!isFirst) return;
    this.#askedMs = this.#world.clock.monotonicMs();
    this.#wake();
  }

  #sayFull(detail: string): void {
    if (this.#saidFull) return;
    this.#saidFull = true;
    this.#world.log.info(
      `Not every container can be watched for events (${detail}): ` +
        'what happens to the others shows with the next sample.',
      { component: 'observe', event: 'watches' },
    );
  }
}
