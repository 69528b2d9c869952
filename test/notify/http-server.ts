import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';
import { SERVER_TLS } from './certificate.ts';

/** A server on loopback that takes messages, with the bad habits that servers have. */

export interface Got {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export type Behaviour =
  | { readonly kind: 'answers'; readonly status?: number; readonly body?: string }
  | { readonly kind: 'redirects'; readonly to: string }
  | { readonly kind: 'wants-a-pause'; readonly seconds: number }
  /** Answers 400, or another status, to what `isTooLong` is true of. */
  | {
      readonly kind: 'bounds';
      readonly isTooLong: (body: string) => boolean;
      readonly status?: number;
    }
  /** Takes the request and says nothing. */
  | { readonly kind: 'hangs' }
  /** Sends a byte now and then, for ever. */
  | { readonly kind: 'drips' }
  /** Promises more than it sends. */
  | { readonly kind: 'closes-midway' }
  | { readonly kind: 'closes-at-once' }
  | { readonly kind: 'floods' };

export interface TestServer {
  readonly url: string;
  readonly port: number;
  readonly got: readonly Got[];
  behaviour: Behaviour;
  /** Resolves when so many requests have come. */
  after(count: number): Promise<void>;
  close(): Promise<void>;
}

const open: TestServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

export async function httpServer(behaviour: Behaviour, tls = false): Promise<TestServer> {
  const got: Got[] = [];
  const sockets = new Set<Socket>();
  const state = { behaviour };
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      got.push({ method, url, headers, body });
      respond(state.behaviour, response, body);
    });
  };
  const server = tls ? createTlsServer(SERVER_TLS, take) : createServer(take);
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const made: TestServer = {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    port,
    got,
    get behaviour() {
      return state.behaviour;
    },
    set behaviour(next) {
      state.behaviour = next;
    },
    async after(count) {
      const untilMs = performance.now() + PATIENCE_MS;
      while (got.length < count) {
        if (performance.now() > untilMs) throw new Error(`${got.length} requests of ${count}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  open.push(made);
  return made;
}

function respond(behaviour: Behaviour, response: ServerResponse, body: string): void {
  switch (behaviour.kind) {
    case 'answers':
      response.writeHead(behaviour.status ?? 200, { 'Content-Type': 'application/json' });
      response.end(behaviour.body ?? '{"id":1,"ok":true}');
      return;
    case 'bounds': {
      const status = behaviour.isTooLong(body) ? (behaviour.status ?? 400) : 200;
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(status === 200 ? '{"id":1,"ok":true}' : '{"content":["is too long"]}');
      return;
    }
    case 'redirects':
      response.writeHead(301, { Location: behaviour.to }).end();
      return;
    case 'wants-a-pause':
      response.writeHead(429, { 'Retry-After': String(behaviour.seconds) }).end('{"code":42901}');
      return;
    case 'hangs':
      return;
    case 'drips': {
      response.writeHead(200);
      const timer = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(timer));
      return;
    }
    case 'closes-midway':
      response.writeHead(200, { 'Content-Length': '1000' });
      response.write('{"id":');
      setTimeout(() => response.destroy(), 20);
      return;
    case 'closes-at-once':
      response.destroy();
      return;
    case 'floods':
      response.writeHead(200);
      response.end('x'.repeat(1_000_000));
  }
}
