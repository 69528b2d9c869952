import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Who may do what at the simulated REST API: users, tokens, tickets and access lists. */

/** Privileges by path, as in an access list; the longest path that fits a thing is in force. */
export type AccessList = Readonly<Record<string, readonly string[]>>;

export interface Token {
  /** `user@realm!name` */
  readonly id: string;
  readonly secret: string;
  readonly access: AccessList;
}

export interface User {
  /** `user@realm` */
  readonly id: string;
  readonly password: string;
  readonly access: AccessList;
  /** Logging in takes more than the password. */
  readonly secondFactor?: boolean;
}

export interface Accounts {
  readonly tokens: readonly Token[];
  readonly users: readonly User[];
}

/** A token or a user that has sent a request. Its access list alone says what it may do. */
export interface Caller {
  readonly id: string;
  readonly access: AccessList;
}

/** The words of a refusal with status 401, or the caller. */
export type Entry = Caller | string;

const TICKET_MS = 2 * 60 * 60_000;

export interface RequestProof {
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
  readonly csrfToken: string | undefined;
  readonly isWrite: boolean;
}

export class Gate {
  readonly #accounts: Accounts;
  readonly #nowMs: () => number;
  #key = randomBytes(16);

  constructor(accounts: Accounts, nowMs: () => number) {
    this.#accounts = accounts;
    this.#nowMs = nowMs;
  }

  /** All tickets are worth nothing any more, as after a change of the key of the cluster. */
  forgetTickets(): void {
    this.#key = randomBytes(16);
  }

  /** Who a request is of, or the words with which it is refused. */
  enter({ authorization, cookie, csrfToken, isWrite }: RequestProof): Entry {
    const token = /^PVEAPIToken=(.*)$/.exec(authorization ?? '')?.[1];
    if (token !== undefined) {
      const found = this.#accounts.tokens.find(({ id, secret }) => token === `${id}=${secret}`);
      return found ?? 'Authentication failed!';
    }
    const value = /(?:^|; )PVEAuthCookie=([^;]*)/.exec(cookie ?? '')?.[1];
    if (value === undefined) return 'No ticket';
    const user = this.#userOf(decodeURIComponent(value));
    if (user === undefined) return 'Authentication failed!';
    if (isWrite && csrfToken !== this.#csrfOf(user.id)) {
      return 'Permission denied - invalid csrf token';
    }
    return user;
  }

  /** `POST /access/ticket`: what stands in `data`; undefined if it is refused. */
  logIn(username: string, password: string): object | undefined {
    const user = this.#accounts.users.find(({ id }) => id === username);
    if (user === undefined) return undefined;
    const isRight = user.password === password || this.#userOf(password)?.id === username;
    if (!isRight) return undefined;
    const ticket = this.#ticketOf(username);
    const second = user.secondFactor === true && user.password === password;
    return {
      username,
      ticket: second ? ticket.replace('PVE:', 'PVE:!tfa!') : ticket,
      CSRFPreventionToken: this.#csrfOf(username),
      cap: {},
      ...(second && { NeedTFA: 1 }),
    };
  }

  #ticketOf(username: string): string {
    const head = `PVE:${username}:${Math.floor(this.#nowMs()).toString(16).toUpperCase()}`;
    return `${head}::${this.#sign(head)}`;
  }

  #userOf(ticket: string): User | undefined {
    const [head = '', signature = ''] = ticket.split('::');
    const [kind, username = '', time = ''] = head.split(':');
    if (kind !== 'PVE' || !isSame(signature, this.#sign(head))) return undefined;
    if (this.#nowMs() - Number.parseInt(time, 16) > TICKET_MS) return undefined;
    return this.#accounts.users.find(({ id }) => id === username);
  }

  #csrfOf = (username: string): string => `CSRF:${this.#sign(`csrf ${username}`)}`;

  #sign = (text: string): string => createHmac('sha1', this.#key).update(text).digest('base64');
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

const parentOf = (path: string): string =>
  path.lastIndexOf('/') > 0 ? path.slice(0, path.lastIndexOf('/')) : '/';

/** What the caller may do with what lies at a path. */
export function privilegesOn({ access }: Caller, path: string): readonly string[] {
  for (let one = path; ; one = parentOf(one)) {
    const found = access[one];
    if (found !== undefined) return found;
    if (one === '/') return [];
  }
}

/** One of them is enough. */
export const may = (caller: Caller, path: string, ...privileges: readonly string[]): boolean =>
  privileges.some((privilege) => privilegesOn(caller, path).includes(privilege));

const TOP = ['/', '/access', '/access/groups', '/nodes', '/pool', '/sdn', '/storage', '/vms'];

/** `GET /access/permissions`: the paths on which the caller may do something. */
export function permissionsOf(caller: Caller): object {
  const paths = new Set([...TOP, ...Object.keys(caller.access)]);
  const rows = [...paths]
    .map((path): [string, readonly string[]] => [path, privilegesOn(caller, path)])
    .filter(([, privileges]) => privileges.length > 0);
  return Object.fromEntries(
    rows.map(([path, list]) => [path, Object.fromEntries(list.map((one) => [one, 1]))]),
  );
}
