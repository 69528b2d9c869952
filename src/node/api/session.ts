import { masking } from '../../core/secrets.ts';
import { type Milliseconds, milliseconds } from '../../core/units.ts';
import { type ApiAnswer, type ApiFailure, type Asker, apiFailure } from './failure.ts';

/** How requests prove who sends them. */
export type Credentials =
  | {
      readonly kind: 'token';
      /** `user@realm!name` */
      readonly id: string;
      readonly secret: string;
    }
  | {
      readonly kind: 'password';
      /** `user@realm` */
      readonly user: string;
      readonly password: string;
    };

export type Headers = Readonly<Record<string, string>>;

interface Ticket {
  readonly ticket: string;
  readonly csrfToken: string;
  readonly sinceMs: Milliseconds;
}

/** Asks for a ticket: `POST /access/ticket`, without any headers of ours. */
export type LogIn = (username: string, password: string) => Promise<ApiAnswer>;

export interface SessionParts {
  readonly credentials: Credentials;
  readonly logIn: LogIn;
  readonly monotonicMs: () => Milliseconds;
}

/** A ticket lasts two hours. Half of that leaves time for a node that is away. */
const RENEW_AFTER_MS = milliseconds(60 * 60_000);
const LASTS_MS = milliseconds(2 * 60 * 60_000);

/** Each refusal takes the node 3 s, so it is not asked again at once. */
const FIRST_REST_MS = 30_000;
const LONGEST_REST_MS = 10 * 60_000;

const isNoLogin = ({ why }: ApiFailure): boolean => why === 'denied' || why === 'second-factor';

/**
 * Who we are to one cluster. A token is sent as it is. With a password there is a ticket: had at
 * the first request, renewed with the old one, and had anew by the password if it is refused.
 */
export class Session {
  readonly asker: Asker;
  readonly #parts: SessionParts;
  #ticket: Ticket | undefined;
  #loggingIn: Promise<Ticket | ApiFailure> | undefined;
  #refusals = 0;
  #restUntilMs: number | undefined;
  #refusal = '';

  constructor(parts: SessionParts) {
    this.#parts = parts;
    const { credentials } = parts;
    this.asker = credentials.kind === 'token' ? credentials.id : credentials.user;
  }

  /** What stands for the password for two hours; undefined: there is none yet, or a token. */
  get ticket(): string | undefined {
    return this.#ticket?.ticket;
  }

  /** Takes secrets out of a text. */
  mask(text: string): string {
    const { credentials } = this.#parts;
    const own = credentials.kind === 'token' ? credentials.secret : credentials.password;
    const { ticket, csrfToken } = this.#ticket ?? { ticket: '', csrfToken: '' };
    return masking([own, ticket, csrfToken])(text);
  }

  /** The headers of a request, or why there are none now. */
  async headers(isWrite: boolean): Promise<Headers | ApiFailure> {
    const resting = this.#resting();
    if (resting !== undefined) return resting;
    const { credentials } = this.#parts;
    if (credentials.kind === 'token') {
      return { Authorization: `PVEAPIToken=${credentials.id}=${credentials.secret}` };
    }
    const ticket = await this.#currentTicket();
    if ('ok' in ticket) return ticket;
    return {
      Cookie: `PVEAuthCookie=${encodeURIComponent(ticket.ticket)}`,
      ...(isWrite && { CSRFPreventionToken: ticket.csrfToken }),
    };
  }

  /**
   * To be told of an answer 401 to a request with these headers.
   * @returns whether the request may be sent again: it was refused before anything was done, and
   *   its ticket may have ended early (its node was restarted, its clock was set)
   */
  refused(headers: Headers, failure: ApiFailure): boolean {
    const cookie = headers['Cookie'];
    if (cookie === undefined) {
      this.#rest(failure);
      return false;
    }
    const own = this.#ticket;
    // Of several requests under way the first that comes back has dropped it already.
    if (own === undefined || !cookie.endsWith(encodeURIComponent(own.ticket))) return true;
    this.#ticket = undefined;
    if (own.sinceMs > this.#parts.monotonicMs() - FIRST_REST_MS) {
      this.#rest(failure);
      return false;
    }
    return true;
  }

  accepted(): void {
    this.#refusals = 0;
    this.#restUntilMs = undefined;
  }

  #rest({ message }: ApiFailure): void {
    const ms = Math.min(FIRST_REST_MS * 2 ** this.#refusals, LONGEST_REST_MS);
    this.#refusals += 1;
    this.#refusal = message;
    this.#restUntilMs = this.#parts.monotonicMs() + ms;
  }

  #resting(): ApiFailure | undefined {
    if (this.#restUntilMs === undefined) return undefined;
    const leftMs = this.#restUntilMs - this.#parts.monotonicMs();
    if (leftMs <= 0) return undefined;
    const next = `it is asked again in ${Math.ceil(leftMs / 1000)} s`;
    return apiFailure('denied', `${this.#refusal}; ${next}`);
  }

  /** One login at a time, whoever asks for it. */
  async #currentTicket(): Promise<Ticket | ApiFailure> {
    const own = this.#ticket;
    if (own !== undefined && this.#age(own) < RENEW_AFTER_MS) return own;
    this.#loggingIn ??= this.#logIn(own).finally(() => {
      this.#loggingIn = undefined;
    });
    return this.#loggingIn;
  }

  #age = ({ sinceMs }: Ticket): number => this.#parts.monotonicMs() - sinceMs;

  async #logIn(old: Ticket | undefined): Promise<Ticket | ApiFailure> {
    const { credentials, logIn } = this.#parts;
    if (credentials.kind !== 'password') throw new Error('only a password makes a ticket');
    if (old !== undefined) {
      const renewed = this.#take(await logIn(credentials.user, old.ticket));
      if (!('ok' in renewed)) return renewed;
      const isGoodYet = !isNoLogin(renewed) && this.#age(old) < LASTS_MS;
      if (isGoodYet) return old;
    }
    const made = this.#take(await logIn(credentials.user, credentials.password));
    if ('ok' in made && isNoLogin(made)) this.#rest(made);
    return made;
  }

  #take(answer: ApiAnswer): Ticket | ApiFailure {
    if (!answer.ok) return answer;
    const { ticket, CSRFPreventionToken, NeedTFA } = Object(answer.data);
    if (NeedTFA !== undefined && Number(NeedTFA) !== 0) {
      return apiFailure('second-factor', `${this.asker} has a second factor; use a token instead`);
    }
    if (typeof ticket !== 'string' || typeof CSRFPreventionToken !== 'string') {
      return apiFailure('malformed', 'its answer to the login has no ticket');
    }
    const sinceMs = this.#parts.monotonicMs();
    this.#ticket = { ticket, csrfToken: CSRFPreventionToken, sinceMs };
    return this.#ticket;
  }
}
