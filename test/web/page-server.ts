import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPage, WEB_FILE } from '../../tools/build/page.ts';
import { ADVICE, fixture, GROUP, HEALTH, LINES, sparks, usage } from './fixture.ts';

/** Stands in for the daemon's HTTP server: the page with its strict policy, and answers by path. */

/** The page as it is shipped, built from the sources as they are now. */
async function builtPage(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'page-'));
  try {
    await buildPage(process.cwd(), directory);
    return readFileSync(join(directory, WEB_FILE), 'utf8');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

let page: Promise<string> | undefined;

export async function readPage(): Promise<string> {
  page ??= builtPage();
  return page;
}

/** As the daemon says it: only what is in the file may run, and only the daemon may be asked. */
export function policyOf(page: string): string {
  const hashes = (tag: string): string =>
    [...page.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))]
      .map(([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`)
      .join(' ');
  return [
    "default-src 'none'",
    `script-src ${hashes('script')}`,
    `style-src ${hashes('style')}`,
    "img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

export interface Reply {
  readonly status?: number;
  readonly body?: unknown;
}

/** What is asked for, below `api/v1/`: `GET status`. Without its query. */
export type Answers = Readonly<Record<string, (request: Asked) => Reply>>;

export interface Asked {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
  readonly csrf: string | undefined;
}

export const SESSION = {
  name: 'dashboard',
  role: 'scale',
  csrf: 'c5rf',
  expiresAt: new Date(Date.now() + 43_200_000).toISOString(),
};

export const refusal = (status: number, code: string, detail: string): Reply => ({
  status,
  body: { type: 'about:blank', title: 'No', status, code, detail },
});

export function usualAnswers(): Answers {
  const { status, accountOf } = fixture();
  return {
    'GET session': () => ({ body: SESSION }),
    'GET login': () => ({ body: { proxmox: false } }),
    'GET status': () => ({ body: status }),
    'GET health': () => ({ body: HEALTH }),
    'GET groups': () => ({ body: { groups: [GROUP] } }),
    'GET recommendations': () => ({ body: ADVICE }),
    'GET usage': () => ({ body: sparks(status.containers.map(({ vmid }) => vmid)) }),
    'GET history': ({ query }) => {
      const whose = query.get('guest');
      const events = LINES.filter(
        (one) => whose === null || JSON.stringify(one).includes(`"container_id":"${whose}"`),
      );
      return { body: { events, more: false } };
    },
    'GET guests/ID/explain': ({ path }) => {
      const account = accountOf(Number(path.split('/')[1]));
      return account === undefined
        ? refusal(404, 'no-such-guest', 'There is no such guest.')
        : { body: account };
    },
    'GET guests/ID/usage': () => ({ body: usage(Date.now()) }),
  };
}

/** A server whose answers a test may exchange at any time. */
export class PageServer {
  answers: Answers = usualAnswers();
  /** Everything that was asked for, the oldest first. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #streams = new Set<ServerResponse>();
  readonly #prefix: string;
  #page = '';
  #port = 0;

  /** @param prefix with a slash at both ends, as a proxy would have it */
  constructor(prefix = '/') {
    this.#prefix = prefix;
    this.#server = createServer((request, response) => void this.#hear(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}${this.#prefix}`;
  }

  get isUp(): boolean {
    return this.#server.listening;
  }

  /** On the port that it had before, if it had one. */
  async start(): Promise<void> {
    this.#page = await readPage();
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
  }

  async stop(): Promise<void> {
    if (!this.isUp) return;
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** How many wait for events. */
  get listeners(): number {
    return this.#streams.size;
  }

  /** A server-sent event to everybody who listens. */
  tell(event: string, data: object): void {
    for (const stream of this.#streams) {
      stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    }
  }

  async #hear(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    if (!pathname.startsWith(this.#prefix)) return void response.writeHead(404).end();
    const path = pathname.slice(this.#prefix.length);
    if (path === '') {
      const policy = policyOf(this.#page);
      const headers = { 'content-type': 'text/html; charset=utf-8' };
      response.writeHead(200, { ...headers, 'content-security-policy': policy }).end(this.#page);
      return;
    }
    const below = path.replace(/^api\/v1\//, '');
    if (below === path) return void response.writeHead(404).end();
    if (below === 'events') return this.#stream(response);
    this.asked.push(`${request.method} ${below}${searchParams.size > 0 ? '?' : ''}${searchParams}`);
    const body = await bodyOf(request);
    const key = `${request.method} ${below.replace(/^guests\/\d+/, 'guests/ID')}`;
    const csrf = request.headers['x-csrf-token'];
    const answer = this.answers[key] ?? (() => refusal(404, 'no-such-route', `No ${key}.`));
    const reply = answer({
      path: below,
      query: searchParams,
      body,
      csrf: typeof csrf === 'string' ? csrf : undefined,
    });
    send(response, reply);
  }

  #stream(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': here\n\n');
    this.#streams.add(response);
    response.on('close', () => this.#streams.delete(response));
  }
}

function send(response: ServerResponse, { status = 200, body }: Reply): void {
  const type = status < 400 ? 'application/json' : 'application/problem+json';
  response.writeHead(status, { 'content-type': type });
  response.end(status === 204 ? undefined : JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? {} : JSON.parse(text);
}
