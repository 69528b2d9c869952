import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { SimulatedNode } from './node.ts';
import { type Accounts, Gate } from './rest-access.ts';
import { type RestReply, restReply } from './rest-replies.ts';

/** pveproxy of the simulated node: its REST API over HTTPS, on loopback, with its bad habits. */

export interface RestOptions {
  readonly node: SimulatedNode;
  readonly tls: { readonly cert: string | Buffer; readonly key: string | Buffer };
  readonly accounts: Accounts;
  /** What a refusal (401) takes; 3,000 at a real one. */
  readonly refusalMs?: number;
  /** The clock of tickets. */
  readonly nowMs?: () => number;
}

/** A request that has arrived. */
export interface RestCall {
  readonly method: string;
  /** Below `/api2/json`, with its query. */
  readonly path: string;
  readonly body: string;
  /** Which connection it came on, counted from 1. */
  readonly connection: number;
}

/** What goes wrong with one request. */
export type RestFault =
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** Nothing is said for as long as the connection lasts. */
  | { readonly kind: 'silent' }
  /** The connection is reset, before the request is carried out or after. */
  | { readonly kind: 'reset'; readonly isDone: boolean }
  /** It is carried out, and half of the answer comes. */
  | { readonly kind: 'cut' }
  /** It is carried out, and the answer is said to be so many bytes longer or shorter than it is. */
  | { readonly kind: 'length'; readonly by: number }
  /** It is carried out, and the answer is another one. */
  | {
      readonly kind: 'answers';
      readonly status: number;
      readonly words: string;
      readonly body?: string;
      readonly location?: string;
    }
  /** pvedaemon is stopped. */
  | { readonly kind: 'no-daemon' };

const IDLE_MS = 5000;
const MOST_ON_A_CONNECTION = 100;
const PREFIX = '/api2/json';

export class RestServer {
  readonly #options: RestOptions;
  readonly #gate: Gate;
  readonly #server: Server;
  readonly #sockets = new Map<Socket, number>();
  readonly calls: RestCall[] = [];
  /** Asked for each request; what it returns happens to that. */
  fault: ((call: RestCall) => RestFault | undefined) | undefined;
  #connections = 0;

  private constructor(options: RestOptions) {
    this.#options = options;
    this.#gate = new Gate(options.accounts, options.nowMs ?? (() => Date.now()));
    const { cert, key } = options.tls;
    this.#server = createServer({ cert, key }, (request, response) => {
      void this.#take(request, response);
    });
    this.#server.keepAliveTimeout = IDLE_MS;
    this.#server.maxRequestsPerSocket = MOST_ON_A_CONNECTION;
    this.#server.on('secureConnection', (socket) => {
      this.#connections += 1;
      this.#sockets.set(socket, this.#connections);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
  }

  static async listen(options: RestOptions): Promise<RestServer> {
    const made = new RestServer(options);
    await new Promise<void>((resolve) => made.#server.listen(0, '127.0.0.1', resolve));
    return made;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The node is another one now, or got a new certificate. */
  setCertificate(tls: RestOptions['tls']): void {
    this.#server.setSecureContext(tls);
    this.closeConnections();
  }

  forgetTickets(): void {
    this.#gate.forgetTickets();
  }

  closeConnections(): void {
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  close(): Promise<void> {
    this.closeConnections();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method = '', url = '' } = request;
    const path = url.startsWith(PREFIX) ? url.slice(PREFIX.length) : url;
    const connection = this.#sockets.get(request.socket) ?? 0;
    const call: RestCall = { method, path, body, connection };
    this.calls.push(call);
    const fault = this.fault?.(call);
    if (fault?.kind === 'silent') return;
    if (fault?.kind === 'slow') await pause(fault.delayMs);
    if (fault?.kind === 'reset' && !fault.isDone) {
      request.socket.destroy();
      return;
    }
    const reply = await this.#reply(call, request, fault?.kind === 'no-daemon');
    if (fault?.kind === 'reset') request.socket.destroy();
    else if (fault?.kind === 'answers') {
      const where = fault.location === undefined ? {} : { Location: fault.location };
      response.writeHead(fault.status, fault.words, where).end(fault.body ?? '');
    } else if (fault?.kind === 'length') lie(response, reply, fault.by);
    else await say(response, reply, fault?.kind === 'cut');
  }

  async #reply(call: RestCall, request: IncomingMessage, noDaemon: boolean): Promise<RestReply> {
    const { method, path, body } = call;
    const [, plain = '', query = ''] = /^([^?]*)\??(.*)$/.exec(path) ?? [];
    const form = new URLSearchParams(method === 'GET' ? query : body);
    if (method === 'POST' && plain === '/access/ticket') {
      const made = this.#gate.logIn(form.get('username') ?? '', form.get('password') ?? '');
      if (made !== undefined) return { status: 200, words: 'OK', data: made };
      return this.#refuse('authentication failure', true);
    }
    const { authorization, cookie } = request.headers;
    const csrfToken = request.headers['csrfpreventiontoken'];
    const caller = this.#gate.enter({
      authorization,
      cookie,
      isWrite: method !== 'GET',
      csrfToken: typeof csrfToken === 'string' ? csrfToken : undefined,
    });
    if (typeof caller === 'string') return this.#refuse(caller, false);
    if (noDaemon && (method !== 'GET' || plain.endsWith('/status/current'))) {
      return { status: 595, words: 'Connection refused', isBare: true };
    }
    const question = { method, path: decodeURIComponent(plain), caller };
    return restReply(this.#options.node, { ...question, parameters: new Map(form) });
  }

  async #refuse(words: string, hasBody: boolean): Promise<RestReply> {
    await pause(this.#options.refusalMs ?? 3000);
    return { status: 401, words, isBare: !hasBody };
  }
}

/** An answer that is not as long as it says. Node's own server would not send it. */
function lie(
  response: ServerResponse,
  { status, words, data = null }: RestReply,
  by: number,
): void {
  const body = JSON.stringify({ data });
  const length = Math.max(0, Buffer.byteLength(body) + by);
  const { socket } = response;
  socket?.end(`HTTP/1.1 ${status} ${words}\r\nContent-Length: ${length}\r\n\r\n${body}`);
}

async function say(response: ServerResponse, reply: RestReply, isCut: boolean): Promise<void> {
  const { status, words, data = null, errors, isForwarded, isBare } = reply;
  if (isBare === true) {
    response.writeHead(status, words, { Connection: 'close' }).end();
    return;
  }
  const message = status === 200 ? {} : { message: `${words}\n` };
  const body = JSON.stringify({ data, ...message, ...(errors && { errors }) });
  response.writeHead(status, words, {
    'Content-Type': 'application/json;charset=UTF-8',
    'Content-Length': Buffer.byteLength(body),
    ...((isForwarded === true || status !== 200) && { Connection: 'close' }),
  });
  if (!isCut) {
    response.end(body);
    return;
  }
  response.write(body.slice(0, body.length / 2));
  await pause(5);
  response.destroy();
}
