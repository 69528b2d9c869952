import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { HTTP_ROLES, type HttpRole } from '../../config/http-values.ts';
import { type Milliseconds, milliseconds } from '../../core/units.ts';
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
/** So long after the first of them wrong logins are forgotten. */
const WRONG_MS = 60_000;
const MOST_ADDRESSES = 1000;

/** Whose rights nobody has told for so long may do nothing more. */
export const LONGEST_UNTOLD_MS = 15 * 60_000;

/** What the node tells of the user of a session. */
export type Told = Pick<Session, 'role' | 'ticket' | 'askedMs' | 'toldMs'>;

interface KeptSession extends Session {
  readonly usedMs: Milliseconds;
}

interface Visitor {
  wrong: number;
  sinceMs: number;
  /** Tokens that were right from there: a stranger beside their owner does not lock them out. */
  readonly right: Set<string>;
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
  readonly #visitors = new Map<string, Visitor>();

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
    const right = this.#visitors.get(address)?.right;
    if (found === undefined || right?.has(found.sha256) !== true) this.refuseTooMany(address);
    if (found === undefined) {
      this.wrong(address);
      throw new HttpProblem('wrong-login', 'This token is not known');
    }
    this.#visitorOf(address).right.add(found.sha256);
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

  #wrongOf({ wrong, sinceMs }: Visitor): number {
    return this.nowMs() - sinceMs < WRONG_MS ? wrong : 0;
  }

  /** Throws after ten wrong logins of an address. */
  refuseTooMany(address: string): void {
    const visitor = this.#visitors.get(address);
    if (visitor === undefined || this.#wrongOf(visitor) < MOST_WRONG) return;
    const seconds = Math.ceil((visitor.sinceMs + WRONG_MS - this.nowMs()) / 1000);
    const again = { 'retry-after': `${Math.max(1, seconds)}` };
    throw new HttpProblem('too-many-wrong', 'Too many wrong logins; try again later', again);
  }

  /** Takes back what `wrong` has counted. */
  notWrong(address: string): void {
    const visitor = this.#visitors.get(address);
    if (visitor !== undefined) visitor.wrong = Math.max(0, visitor.wrong - 1);
  }

  wrong(address: string): void {
    const visitor = this.#visitorOf(address);
    const before = this.#wrongOf(visitor);
    if (before === 0) visitor.sinceMs = this.nowMs();
    visitor.wrong = before + 1;
  }

  #visitorOf(address: string): Visitor {
    const known = this.#visitors.get(address);
    if (known !== undefined) return known;
    forgetOldest(this.#visitors, MOST_ADDRESSES - 1);
    const visitor = { wrong: 0, sinceMs: 0, right: new Set<string>() };
    this.#visitors.set(address, visitor);
    return visitor;
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
