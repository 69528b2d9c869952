import { type Milliseconds, milliseconds } from '../../core/units.ts';
import type { HttpAnswer, Send, Sending, Sent } from '../../os/http-send.ts';
import { describeNetworkError, isCertificateError } from '../../os/network-error.ts';
import { type ApiAnswer, type ApiFailure, apiFailure, failureOf, isOfProxy } from './failure.ts';
import { type Credentials, type Headers, Session } from './session.ts';
import { type Agents, agentsFor, MOST_AT_ONCE, type Trust } from './trust.ts';
import { dataOf } from './values.ts';

/** A client of the REST API of Proxmox VE, as far as guests are scaled by it. */

export interface ApiSettings {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly credentials: Credentials;
  readonly trust: Trust;
  /** Of one request. A change of a configuration may wait 10 s for its lock alone. */
  readonly readLimitMs: Milliseconds;
  readonly writeLimitMs: Milliseconds;
}

export interface ApiTools {
  readonly send: Send;
  readonly monotonicMs: () => Milliseconds;
  /** Resolves after that time, or earlier if `stop` fires. */
  readonly pause: (ms: Milliseconds, stop: AbortSignal) => Promise<void>;
  /** From 0 to 1. */
  readonly random: () => number;
}

interface Request {
  readonly method: Sending['method'];
  readonly path: string;
  readonly form?: Form;
  readonly parse: (text: string) => unknown;
}

export type Form = Readonly<Record<string, string>>;

/** A read is tried so often, with a pause that doubles and is drawn at random below that. */
const MOST_TRIES = 3;
const FIRST_PAUSE_MS = 400;
/** A change in hand may finish when the program stops. */
const STOP_GRACE_MS = milliseconds(3000);
/** 10,000 guests come to 5 MB. */
const MOST_BYTES = 32 * 1024 * 1024;

export class ApiClient {
  readonly #settings: ApiSettings;
  readonly #tools: ApiTools;
  readonly #session: Session;
  readonly #agents: Agents;
  readonly #base: string;
  #underWay = 0;
  readonly #waiting: Array<() => void> = [];

  constructor(settings: ApiSettings, tools: ApiTools) {
    this.#settings = settings;
    this.#tools = tools;
    const { host, port, credentials, trust } = settings;
    this.#agents = agentsFor(trust);
    this.#base = `https://${host.includes(':') ? `[${host}]` : host}:${port}/api2/json`;
    this.#session = new Session({
      credentials,
      monotonicMs: tools.monotonicMs,
      logIn: (username, password) => this.#logIn(username, password),
    });
  }

  /** `user@realm`, or `user@realm!name` of a token. */
  get asker(): string {
    return this.#session.asker;
  }

  /** What stands for the password; undefined: nobody has logged in with one. */
  get ticket(): string | undefined {
    return this.#session.ticket;
  }

  get writeLimitMs(): Milliseconds {
    return this.#settings.writeLimitMs;
  }

  /**
   * Reads; tries again where nobody answered. Never rejects.
   * @param path from behind `/api2/json`, its parts encoded
   * @param parse makes of the text what is answered as `data`; throws if it is not understood
   */
  get(path: string, stop: AbortSignal): Promise<ApiAnswer>;
  get<T>(path: string, stop: AbortSignal, parse: (text: string) => T): Promise<ApiAnswer<T>>;
  async get(path: string, stop: AbortSignal, parse = dataOf): Promise<ApiAnswer> {
    for (let tries = 1; ; tries += 1) {
      const ask = () => this.#asOurselves({ method: 'GET', path, parse }, stop);
      const answer = await this.#inTurn(ask);
      if (answer.ok || tries === MOST_TRIES || !isPassing(answer) || stop.aborted) return answer;
      const mostMs = FIRST_PAUSE_MS * 2 ** (tries - 1);
      await this.#tools.pause(milliseconds(mostMs * this.#tools.random()), stop);
    }
  }

  /**
   * Changes something, once: sent again after a failure it might be done twice. Never rejects.
   * @param stop leaves it some seconds to finish
   * @param cancel ends it at once, or keeps it from beginning
   */
  async put(path: string, form: Form, stop: AbortSignal, cancel?: AbortSignal): Promise<ApiAnswer> {
    const ending = new AbortController();
    const done = new AbortController();
    const end = (): void => ending.abort();
    const soon = (): void => void this.#tools.pause(STOP_GRACE_MS, done.signal).then(end);
    stop.addEventListener('abort', soon, { once: true });
    cancel?.addEventListener('abort', end, { once: true });
    if (stop.aborted) soon();
    if (cancel?.aborted === true) end();
    try {
      return await this.#inTurn(() =>
        this.#asOurselves({ method: 'PUT', path, form, parse: dataOf }, ending.signal),
      );
    } finally {
      done.abort();
      stop.removeEventListener('abort', soon);
      cancel?.removeEventListener('abort', end);
    }
  }

  /** Ends the connections. */
  close(): void {
    this.#agents.close();
  }

  /** Sent again only if a ticket was refused: then nothing was done. */
  async #asOurselves(request: Request, stop: AbortSignal): Promise<ApiAnswer> {
    for (let isFirst = true; ; isFirst = false) {
      const headers = await orStopped(this.#session.headers(request.method !== 'GET'), stop);
      if (isFailure(headers)) return headers;
      const answer = await this.#ask(request, headers, stop);
      if (answer.ok) this.#session.accepted();
      if (answer.ok || answer.status !== 401) return answer;
      if (!this.#session.refused(headers, answer) || !isFirst) return answer;
    }
  }

  #logIn(username: string, password: string): Promise<ApiAnswer> {
    const never = new AbortController().signal;
    const form = { username, password };
    return this.#ask({ method: 'POST', path: '/access/ticket', form, parse: dataOf }, {}, never);
  }

  async #ask(
    { method, path, form, parse }: Request,
    headers: Headers,
    stop: AbortSignal,
  ): Promise<ApiAnswer> {
    const { readLimitMs, writeLimitMs, trust } = this.#settings;
    if (trust.kind === 'unusable') return apiFailure('certificate', trust.why);
    const sending: Sending = {
      method,
      url: `${this.#base}${path}`,
      mostBytes: MOST_BYTES,
      agent: method === 'GET' ? this.#agents.forReads : this.#agents.forWrites,
      timeLimitMs: method === 'PUT' ? writeLimitMs : readLimitMs,
      headers:
        form === undefined
          ? headers
          : { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' },
      ...(form !== undefined && { body: new URLSearchParams(form).toString() }),
    };
    const sent = await this.#tools.send(sending, stop);
    const answer =
      sent.kind === 'answered' ? this.#answerOf(sent, parse) : this.#failureOf(sent, sending);
    return answer.ok ? answer : { ...answer, message: this.#session.mask(answer.message) };
  }

  /** A few at once, besides a login; the time limit of a request begins when it is its turn. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#underWay < MOST_AT_ONCE) this.#underWay += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay -= 1;
      else next();
    }
  }

  #answerOf(answer: HttpAnswer, parse: Request['parse']): ApiAnswer {
    if (answer.status !== 200) return failureOf(answer, this.asker);
    try {
      return { ok: true, data: parse(answer.text) };
    } catch {
      // Half an answer is none.
      return apiFailure('malformed', 'its answer is not one of Proxmox VE');
    }
  }

  #failureOf(sent: Exclude<Sent, HttpAnswer>, { timeLimitMs }: Sending): ApiFailure {
    switch (sent.kind) {
      case 'stopped':
        return STOPPED;
      case 'timed-out':
        return apiFailure('timeout', `no answer within ${timeLimitMs / 1000} s`);
      case 'too-long':
        return apiFailure('malformed', `it answers with more than ${MOST_BYTES} bytes`);
      case 'broken':
        return brokenBecause(sent.error);
    }
  }
}

const STOPPED = apiFailure('stopped', 'given up, since the program stops');

/** A login serves others too, so it goes on when one of them has stopped to wait for it. */
function orStopped<T>(work: Promise<T>, stop: AbortSignal): Promise<T | ApiFailure> {
  if (stop.aborted) return Promise.resolve(STOPPED);
  return new Promise((resolve, reject) => {
    const end = (): void => resolve(STOPPED);
    stop.addEventListener('abort', end, { once: true });
    work.then(resolve, reject).finally(() => stop.removeEventListener('abort', end));
  });
}

const isFailure = (value: Headers | ApiFailure): value is ApiFailure =>
  'ok' in value && value.ok === false;

/** Whether it may be over in a moment. A time limit that has run out has taken long enough. */
const isPassing = ({ why, status }: ApiFailure): boolean =>
  why === 'unreachable' && (status === undefined || isOfProxy(status));

const TRUST =
  'give the authority of the cluster (a copy of /etc/pve/pve-root-ca.pem) as ca_file, or the ' +
  'fingerprint that `pvenode cert info` shows on the node';

function brokenBecause(error: unknown): ApiFailure {
  const words = describeNetworkError(error, TRUST);
  if (isCertificateError(error)) return apiFailure('certificate', words);
  return apiFailure('unreachable', words);
}
