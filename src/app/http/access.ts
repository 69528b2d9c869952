import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { HTTP_ROLES, type HttpRole } from '../../config/http-values.ts';
import { type Milliseconds, milliseconds } from '../../core/units.ts';
import { visitorNetwork } from '../../core/visitor-network.ts';
import { HttpProblem } from './problem.ts';

/** Who asks: tokens, sessions of browsers, and links that log in once. */

/** A token as it is in force; of the token itself only the SHA-256 (hex) is known. */
export interface KnownToken {
  readonly name: string;
  readonly role: HttpRole;
  readonly sha256: string;
}

export interface Caller {
  readonly name: string;
  readonly role: HttpRole;
  /** Of a user of Proxmox VE: by which its rights are looked up again. */
  readonly ticket?: string | undefined;
}

export interface Session extends Caller {
  /** What a page sends back with each change. */
  readonly csrf: string;
  readonly endMs: Milliseconds;
  /** When the node was last asked for the rights of its user, and when it last told them. */
  readonly askedMs: Milliseconds;
  readonly toldMs: Milliseconds;
}

export const SESSION_COOKIE = 'lxc_autoscale_session';
export const CSRF_HEADER = 'x-csrf-token';

export const SESSION_MS = 12 * 3_600_000;
/** A session ends earlier if nobody uses it. */
const IDLE_MS = 3_600_000;
const MOST_SESSIONS = 100;
/** Of a link that logs in. */
export const CODE_MS = 5 * 60_000;
const MOST_CODES = 16;
const MOST_WRONG = 10;
/** Of all strangers together: more only wait if nobody has ever logged in from where they are. */
const MOST_WRONG_AT_ALL = 200;
/** So long after the first of them wrong logins are forgotten. */
const WRONG_MS = 60_000;
/** Of those with wrong logins, and of those with right ones. */
const MOST_NETWORKS = 1000;

/** Whose rights nobody has told for so long may do nothing more. */
export const LONGEST_UNTOLD_MS = 15 * 60_000;

/** What the node tells of the user of a session. */
export type Told = Pick<Session, 'role' | 'ticket' | 'askedMs' | 'toldMs'>;

interface KeptSession extends Session {
  readonly usedMs: Milliseconds;
}

interface Wrong {
  count: number;
  sinceMs: number;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
const randomText = (): string => randomBytes(32).toString('base64url');

export const mayAs = (role: HttpRole, needed: HttpRole): boolean =>
  HTTP_ROLES.indexOf(role) >= HTTP_ROLES.indexOf(needed);

/** Tokens, cookies and codes are kept as hashes. Times are of a clock that never goes back. */
export class Access {
  readonly nowMs: () => Milliseconds;
  #tokens: readonly KnownToken[] = [];
  readonly #sessions = new Map<string, KeptSession>();
  readonly #codes = new Map<string, Milliseconds>();
  /** By network. */
  readonly #wrong = new Map<string, Wrong>();
  readonly #allWrong: Wrong = { count: 0, sinceMs: 0 };
  /**
   * What was right from a network: hashes of tokens, and users. Wrong logins never fill it, so a
   * stranger does not lock out the owner.
   */
  readonly #right = new Map<string, Set<string>>();

  constructor(nowMs: () => Milliseconds) {
    this.nowMs = nowMs;
  }

  /**
   * Makes these tokens the ones in force. What others have opened is over.
   *
   * @param withUsers whether users of Proxmox VE may be logged in
   */
  use(tokens: readonly KnownToken[], withUsers: boolean): void {
    const before = this.#tokens;
    this.#tokens = tokens;
    const isGone = ({ name, ticket }: Caller): boolean => {
      if (ticket !== undefined) return !withUsers;
      const former = before.find((token) => token.name === name);
      const now = tokens.find((token) => token.name === name);
      return former !== undefined && (now?.sha256 !== former.sha256 || now.role !== former.role);
    };
    for (const [key, session] of this.#sessions) if (isGone(session)) this.#sessions.delete(key);
  }

  /** A text that logs in as admin, once and soon. */
  newCode(): string {
    const code = randomText();
    forgetOldest(this.#codes, MOST_CODES - 1);
    this.#codes.set(keyOf(code), milliseconds(this.nowMs() + CODE_MS));
    return code;
  }

  /** Throws for one that is used, too old or made up. */
  byCode(code: string, address: string): Caller {
    const key = keyOf(code);
    const endMs = this.#codes.get(key);
    this.#codes.delete(key);
    if (endMs !== undefined && endMs > this.nowMs()) return { name: 'dashboard', role: 'admin' };
    this.wrong(address);
    const remedy = 'make a new one: lxc-autoscale dashboard';
    throw new HttpProblem('wrong-login', `This link was used already, or is too old; ${remedy}`);
  }

  /** Throws for a token that is not known, and for any after ten wrong ones. */
  byToken(token: string, address: string): Caller {
    const found = this.#found(token);
    const right = this.#right.get(visitorNetwork(address));
    if (found === undefined || right?.has(found.sha256) !== true) this.refuseTooMany(address);
    if (found === undefined) {
      this.wrong(address);
      throw new HttpProblem('wrong-login', 'This token is not known');
    }
    this.right(address, found.sha256);
    return { name: found.name, role: found.role };
  }

  /** A new session, and the text of its cookie. */
  begin({ name, role, ticket }: Caller): { readonly cookie: string; readonly session: Session } {
    const cookie = randomText();
    const nowMs = this.nowMs();
    const endMs = milliseconds(nowMs + SESSION_MS);
    const times = { endMs, usedMs: nowMs, askedMs: nowMs, toldMs: nowMs };
    const session = { name, role, ticket, csrf: randomText(), ...times };
    forgetOldest(this.#sessions, MOST_SESSIONS - 1);
    this.#sessions.set(keyOf(cookie), session);
    return { cookie, session };
  }

  sessionOf(cookie: string): Session | undefined {
    const key = keyOf(cookie);
    const session = this.#sessions.get(key);
    if (session === undefined) return undefined;
    if (this.#isOver(session)) {
      this.#sessions.delete(key);
      return undefined;
    }
    this.#sessions.set(key, { ...session, usedMs: this.nowMs() });
    return session;
  }

  /** Tells whether who has asked might ask again now; that it is told is no use of a session. */
  watch(who: Caller | undefined, session: Session | undefined): () => boolean {
    if (session !== undefined) {
      const isGood = (one: KeptSession): boolean => !this.#isOver(one) && !this.#isUntold(one);
      return () =>
        [...this.#sessions.values()].some((one) => one.csrf === session.csrf && isGood(one));
    }
    const token = this.#tokens.find(({ name }) => name === who?.name);
    return () =>
      this.#tokens.some(({ sha256, role }) => sha256 === token?.sha256 && role === token.role);
  }

  /** What is known of a session by now; nothing happens if it is over. */
  change(cookie: string, told: Partial<Told>): void {
    const key = keyOf(cookie);
    const kept = this.#sessions.get(key);
    if (kept !== undefined) this.#sessions.set(key, { ...kept, ...told });
  }

  end(cookie: string): void {
    this.#sessions.delete(keyOf(cookie));
  }

  #isOver({ endMs, usedMs }: KeptSession): boolean {
    const nowMs = this.nowMs();
    return endMs <= nowMs || usedMs + IDLE_MS <= nowMs;
  }

  /** Whoever only listens causes no look at its rights. */
  #isUntold({ ticket, toldMs }: KeptSession): boolean {
    return ticket !== undefined && this.nowMs() - toldMs >= LONGEST_UNTOLD_MS;
  }

  /** Every token is compared, so that the time says nothing of which is nearly right. */
  #found(token: string): KnownToken | undefined {
    const given = digest(token);
    let found: KnownToken | undefined;
    for (const known of this.#tokens) {
      if (timingSafeEqual(given, Buffer.from(known.sha256, 'hex'))) found = known;
    }
    return found;
  }

  #countOf({ count, sinceMs }: Wrong): number {
    return this.nowMs() - sinceMs < WRONG_MS ? count : 0;
  }

  /**
   * Throws after ten wrong logins of a network, and after far too many of all for whoever has never
   * logged in from there.
   */
  refuseTooMany(address: string): void {
    const network = visitorNetwork(address);
    const own = this.#wrong.get(network);
    if (own !== undefined && this.#countOf(own) >= MOST_WRONG) throw this.#tooMany(own);
    if (this.#countOf(this.#allWrong) < MOST_WRONG_AT_ALL || this.isKnown(address)) return;
    throw this.#tooMany(this.#allWrong);
  }

  /** Whether somebody has logged in from there before. */
  isKnown(address: string): boolean {
    return this.#right.has(visitorNetwork(address));
  }

  #tooMany({ sinceMs }: Wrong): HttpProblem {
    const seconds = Math.ceil((sinceMs + WRONG_MS - this.nowMs()) / 1000);
    const again = { 'retry-after': `${Math.max(1, seconds)}` };
    return new HttpProblem('too-many-wrong', 'Too many wrong logins; try again later', again);
  }

  /** @param what the hash of a token, or a user: what others give from there is not right by it */
  right(address: string, what: string): void {
    const network = visitorNetwork(address);
    const known = this.#right.get(network) ?? new Set();
    known.add(what);
    // Those who come again stay.
    this.#right.delete(network);
    forgetOldest(this.#right, MOST_NETWORKS - 1);
    this.#right.set(network, known);
  }

  /** Takes back what `wrong` has counted. */
  notWrong(address: string): void {
    const own = this.#wrong.get(visitorNetwork(address));
    for (const one of own === undefined ? [] : [own, this.#allWrong]) {
      one.count = Math.max(0, one.count - 1);
    }
  }

  wrong(address: string): void {
    const network = visitorNetwork(address);
    const own = this.#wrong.get(network) ?? { count: 0, sinceMs: 0 };
    if (!this.#wrong.has(network)) forgetOldest(this.#wrong, MOST_NETWORKS - 1);
    this.#wrong.set(network, own);
    for (const one of [own, this.#allWrong]) {
      const before = this.#countOf(one);
      if (before === 0) one.sinceMs = this.nowMs();
      one.count = before + 1;
    }
  }
}

/** Whether two secrets are the same, in a time that says nothing of how much of one is right. */
export const isSameSecret = (one: string, other: string): boolean =>
  timingSafeEqual(digest(one), digest(other));

const keyOf = (secret: string): string => digest(secret).toString('hex');

function forgetOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}
