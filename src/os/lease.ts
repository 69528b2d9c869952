import { missing, type Reading } from '../core/reading.ts';
import { describeError, errorCode } from './os-error.ts';

/**
 * Who may act, among programs that share nothing but a directory. Each holder makes a file of the
 * next higher number; making one is exclusive, so of two who try one fails. The highest number
 * counts. The holder writes a new nonce into its file again and again. Whoever watches goes by his
 * own clock alone: a file that has said the same for as long as it promises is of a holder that is
 * gone. A holder looks right before it acts, since it may have stood still meanwhile.
 */

/**
 * What is made below the mount point would lie on the disk, and keep the cluster file system from
 * being mounted there.
 */
export const UNMOUNTED = missing('absent', 'the cluster file system is not mounted on /etc/pve');

/** The files of one directory, `1.lease`, `2.lease` and so on. Nothing here may wait for long. */
export interface LeaseFiles {
  /** What is in each; none if there is no such directory. */
  read(): Promise<Reading<ReadonlyMap<string, string>>>;
  /** Makes a file and its directory. Throws what the system says: `EEXIST` if it is there. */
  create(name: string, text: string): Promise<void>;
  /** Writes over as many bytes at once, so that nobody reads a part. Throws if it is gone. */
  overwrite(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** Who holds it, as it stands in the file. */
export interface LeaseHolder {
  /** The host of the program, for people. */
  readonly host: string;
  /** How it reaches what it acts on. */
  readonly how: 'local' | 'ssh' | 'api';
  /** Only one program can have it at a time: an earlier life with the same one is over. */
  readonly seat: string;
}

/** `lxc_autoscale/leases/NODE`, which is made in `/etc/pve/priv`; what is above is Proxmox VE's. */
export const LEASE_LEVELS = 3;

export interface LeaseOptions {
  readonly files: LeaseFiles;
  readonly holder: LeaseHolder;
  /** Another one with each life of the program. */
  readonly instance: string;
  /** Runs also while the program is stopped. */
  readonly monotonicMs: () => number;
  /** How long others wait for a new nonce. It is written six times as often. */
  readonly ttlS: number;
}

export type Standing =
  | { readonly kind: 'held' }
  /** undefined: its file is not readable (yet). */
  | { readonly kind: 'elsewhere'; readonly by: LeaseHolder | undefined }
  | { readonly kind: 'unknown'; readonly why: string };

/** A file is written over in place, which keeps its length. */
const LENGTH = 512;
const NAME = /^([1-9][0-9]{0,14})\.lease$/;
/** What others promise is believed within these bounds. */
const TTL_S = { least: 10, most: 900 };
const PARTS_OF_TTL = 6;
const LIMIT_MS = 5000;
/** How often who waits looks. */
export const WAIT_MS = 15_000;
/** A file is made and written at once, so one that is not whole stays so for no longer. */
const MAKING_MS = 1000;

interface LeaseFile {
  readonly number: number;
  readonly name: string;
  readonly text: string;
}

export class Lease {
  readonly #options: LeaseOptions;
  #held: number | undefined;
  #renewedMs = Number.NEGATIVE_INFINITY;
  #tendedMs = Number.NEGATIVE_INFINITY;
  #nonce = 0;
  #watched: (LeaseFile & { readonly sinceMs: number }) | undefined;
  #standing: Standing = { kind: 'unknown', why: 'it was not looked at yet' };
  /** Why the last look failed. */
  #failure: string | undefined;
  #tending: Promise<void> | undefined;
  #isReleased = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** As of the last look. */
  get standing(): Standing {
    if (this.#held === undefined || this.#isFresh()) return this.#standing;
    const why = this.#failure === undefined ? '' : `: ${this.#failure}`;
    return { kind: 'unknown', why: `it could not be renewed${why}` };
  }

  /** Who waits only reads, so he looks more often than a holder writes. */
  get everyMs(): number {
    const renewMs = (this.#options.ttlS * 1000) / PARTS_OF_TTL;
    return this.#held === undefined ? Math.min(renewMs, WAIT_MS) : renewMs;
  }

  /** Renews it, takes it or waits for it, unless that was done a moment ago. Never fails. */
  tend(): Promise<void> {
    const dueMs = this.#tendedMs + this.everyMs;
    if (this.#options.monotonicMs() < dueMs) return this.#tending ?? Promise.resolve();
    return this.#tendNow();
  }

  /** Looks anew: whether it is held now, right before an act. */
  async confirm(): Promise<Standing> {
    if (!this.#isFresh()) await this.#tendNow();
    if (this.#held === undefined || !this.#isFresh()) return this.standing;
    const seen = await this.#read();
    // Who waits does so for twice as long as it is fresh, which the look may have outlasted.
    if (!seen.ok) return this.standing;
    if (this.#isOurs(newest(seen.value))) return HELD;
    await this.#tendNow();
    return this.standing;
  }

  /** Hands it over at once. */
  async release(): Promise<void> {
    this.#isReleased = true;
    await this.#tending;
    if (this.#held === undefined) return;
    const seen = await this.#read();
    const top = seen.ok ? newest(seen.value) : undefined;
    const held = this.#isOurs(top) ? top : undefined;
    this.#held = undefined;
    this.#standing = { kind: 'unknown', why: 'it was given back' };
    if (held === undefined) return;
    // The number stays, so that none is ever given twice.
    await within(this.#options.files.overwrite(held.name, this.#text(true))).catch(() => {});
  }

  /** A holder acts for half of the time that others wait, so that what it began ends within it. */
  #isFresh(): boolean {
    const { monotonicMs, ttlS } = this.#options;
    return monotonicMs() - this.#renewedMs < ttlS * 500;
  }

  #tendNow(): Promise<void> {
    this.#tending ??= this.#tend()
      .catch((error: unknown) => this.#failed(describeError(error)))
      .finally(() => {
        this.#tending = undefined;
      });
    return this.#tending;
  }

  async #tend(): Promise<void> {
    if (this.#isReleased) return;
    const nowMs = this.#options.monotonicMs();
    this.#tendedMs = nowMs;
    const seen = await this.#read();
    if (!seen.ok) return this.#failed(seen.detail);
    const top = newest(seen.value);
    if (top !== undefined && this.#isOurs(top)) await this.#renew(top, nowMs);
    else await this.#waitOrTake(top, nowMs);
    if (this.#held !== undefined) await this.#removeBelow(this.#held, [...seen.value.keys()]);
  }

  /** The next look tries again. What was renewed a moment ago is good for its time. */
  #failed(why: string): void {
    this.#tendedMs = Number.NEGATIVE_INFINITY;
    this.#failure = why;
    if (this.#held === undefined || !this.#isFresh()) this.#standing = { kind: 'unknown', why };
  }

  async #renew({ name }: LeaseFile, nowMs: number): Promise<void> {
    await within(this.#options.files.overwrite(name, this.#text()));
    this.#failure = undefined;
    this.#renewedMs = nowMs;
    this.#standing = HELD;
  }

  async #waitOrTake(top: LeaseFile | undefined, nowMs: number): Promise<void> {
    this.#held = undefined;
    if (top === undefined) return this.#take(1, nowMs);
    const found = parse(top.text);
    if (found === undefined && (await this.#isLeft(top))) return this.#take(top.number + 1, nowMs);
    const { seat } = this.#options.holder;
    if (found?.isReleased || found?.holder.seat === seat) return this.#take(top.number + 1, nowMs);
    const isSame = this.#watched?.name === top.name && this.#watched.text === top.text;
    const sinceMs = isSame ? (this.#watched?.sinceMs ?? nowMs) : nowMs;
    this.#watched = { ...top, sinceMs };
    this.#standing = { kind: 'elsewhere', by: found?.holder };
    const ttlS = found?.ttlS ?? this.#options.ttlS;
    if (nowMs - sinceMs >= ttlS * 1000) await this.#take(top.number + 1, nowMs);
  }

  /**
   * Whether its maker has ended while it made it: the next life of a daemon must not wait for
   * itself. One that has only stood still finds a higher number before it acts.
   */
  async #isLeft({ name, text }: LeaseFile): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve, MAKING_MS));
    const seen = await this.#read();
    const top = seen.ok ? newest(seen.value) : undefined;
    return top?.name === name && top.text === text;
  }

  async #take(number: number, nowMs: number): Promise<void> {
    this.#watched = undefined;
    try {
      await within(this.#options.files.create(`${number}.lease`, this.#text()));
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
      this.#standing = { kind: 'elsewhere', by: undefined };
      return;
    }
    this.#held = number;
    this.#failure = undefined;
    this.#renewedMs = nowMs;
    this.#standing = HELD;
  }

  /** What is left of earlier holders. One that comes back finds that its file is gone. */
  async #removeBelow(held: number, names: readonly string[]): Promise<void> {
    for (const name of names) {
      if (numberOf(name) >= held) continue;
      await within(this.#options.files.remove(name)).catch(() => {});
    }
  }

  async #read(): Promise<Reading<ReadonlyMap<string, string>>> {
    try {
      return await within(this.#options.files.read());
    } catch (error) {
      return missing('unreadable', describeError(error));
    }
  }

  #isOurs(top: LeaseFile | undefined): boolean {
    if (top === undefined || top.number !== this.#held) return false;
    return parse(top.text)?.instance === this.#options.instance;
  }

  #text(isReleased = false): string {
    const { holder, instance, ttlS } = this.#options;
    this.#nonce += 1;
    const content = { ...holder, instance, ttlS, nonce: this.#nonce, isReleased };
    return `${JSON.stringify(content).padEnd(LENGTH - 1)}\n`;
  }
}

const HELD: Standing = { kind: 'held' };

const numberOf = (name: string): number => Number(NAME.exec(name)?.[1] ?? Number.NaN);

function newest(files: ReadonlyMap<string, string>): LeaseFile | undefined {
  const all = [...files].map(([name, text]) => ({ number: numberOf(name), name, text }));
  const known = all.filter(({ number }) => Number.isSafeInteger(number));
  return known.sort((one, other) => other.number - one.number)[0];
}

interface Parsed {
  readonly holder: LeaseHolder;
  readonly instance: string;
  readonly ttlS: number;
  readonly isReleased: boolean;
}

/** undefined: it is not whole, as that of a holder that ended while it wrote. */
function parse(text: string): Parsed | undefined {
  let content: Record<string, unknown> | null;
  try {
    content = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof content !== 'object' || content === null) return undefined;
  const { host, how, seat, instance, ttlS, isReleased } = content;
  if (typeof host !== 'string' || typeof seat !== 'string' || typeof instance !== 'string') {
    return undefined;
  }
  if (how !== 'local' && how !== 'ssh' && how !== 'api') return undefined;
  if (typeof ttlS !== 'number' || !Number.isFinite(ttlS)) return undefined;
  const bounded = Math.min(Math.max(ttlS, TTL_S.least), TTL_S.most);
  return { holder: { host, how, seat }, instance, ttlS: bounded, isReleased: isReleased === true };
}

/** What hangs is left behind: a file that is made then after all is seen by its seat. */
async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the file system does not answer')), LIMIT_MS);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
