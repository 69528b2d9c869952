import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * People and scripts that use the page and the API while time jumps. No connection is kept: the
 * daemon's clock does not jump as long as one is open.
 */

export const VISITOR_TOKEN = 'long-run-token-0123456789';

export interface VisitCounts {
  readonly answered: Readonly<Record<string, number>>;
  /** What was answered in another way than it should be; the first hundred. */
  readonly refused: readonly string[];
}

const AS_ADMIN = { authorization: `Bearer ${VISITOR_TOKEN}` };
const MOST_REFUSED = 100;
/** A container that nothing else changes much: its bounds are asked for up and down. */
const ASKED_FOR = 101;

export class Visits {
  readonly #port: number;
  readonly #answered = new Map<string, number>();
  readonly #refused: string[] = [];
  #turn = 0;
  #isHere = false;

  constructor(port: number) {
    this.#port = port;
  }

  get counts(): VisitCounts {
    return { answered: Object.fromEntries(this.#answered), refused: [...this.#refused] };
  }

  /** One round: the page, what it asks for, its events, and each few times a change. */
  async come(): Promise<void> {
    if (this.#isHere) return;
    this.#isHere = true;
    this.#turn += 1;
    try {
      for (const path of PATHS) await this.#ask(path, 'GET');
      await this.#listen();
      if (this.#turn % 12 === 0) await this.#ask('/api/v1/recommendations', 'GET');
      if (this.#turn % 6 === 0) await this.#change();
      if (this.#turn % 24 === 0)
        await this.#ask('/api/v1/groups/web/scale-out?dry_run=1', 'POST', {}, [200, 409]);
    } finally {
      this.#isHere = false;
    }
  }

  async #change(): Promise<void> {
    const memory = this.#turn % 12 === 0 ? 2048 : 1536;
    // What cannot be had is answered with 409, which is as it should be.
    await this.#ask(`/api/v1/guests/${ASKED_FOR}/memory`, 'POST', { memory }, [200, 409]);
    await this.#ask(`/api/v1/guests/${ASKED_FOR}/pause`, 'POST', { minutes: 5 });
    await this.#ask(`/api/v1/guests/${ASKED_FOR}/resume`, 'POST', {});
  }

  async #ask(
    path: string,
    method: 'GET' | 'POST',
    body?: object,
    fine: readonly number[] = [200],
  ): Promise<void> {
    try {
      const { status, text } = await this.#send(path, method, body);
      if (fine.includes(status)) this.#count(path);
      else this.#refuse(`${method} ${path}: ${status} ${text.slice(0, 200)}`);
    } catch (error) {
      this.#refuse(`${method} ${path}: ${error}`);
    }
  }

  /** @param limitMs after that it goes away, with what has come until then */
  async #send(path: string, method: string, body?: object, limitMs?: number) {
    const sent = body === undefined ? '' : JSON.stringify(body);
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    const to = { port: this.#port, path, method, agent: false, headers: { ...AS_ADMIN, ...type } };
    const asked = request(to).end(sent);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    let text = '';
    answer.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    if (limitMs === undefined) await once(answer, 'end');
    else await Promise.race([once(answer, 'data'), pause(limitMs)]);
    asked.destroy();
    return { status: answer.statusCode ?? 0, text };
  }

  /** Comes, hears something or nothing, and goes. */
  async #listen(): Promise<void> {
    try {
      const { status } = await this.#send('/api/v1/events', 'GET', undefined, 20);
      if (status === 200) this.#count('/api/v1/events');
      else this.#refuse(`events: ${status}`);
    } catch (error) {
      this.#refuse(`events: ${error}`);
    }
  }

  #count(path: string): void {
    this.#answered.set(path, (this.#answered.get(path) ?? 0) + 1);
  }

  #refuse(what: string): void {
    if (this.#refused.length < MOST_REFUSED) this.#refused.push(what);
  }
}

const PATHS = [
  '/',
  '/api/v1/status',
  '/api/v1/guests',
  '/api/v1/guests/101',
  '/api/v1/groups',
  '/api/v1/history',
] as const;
