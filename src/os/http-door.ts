import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { type ListenAddress, showAddress } from '../core/listen-address.ts';
import { HttpVisitors } from './http-visitors.ts';
import { describeError, errorCode } from './os-error.ts';

/** A listener for HTTP: bounds what strangers can cost in time, size and number. */

export interface HttpDoorSettings {
  readonly address: ListenAddress;
  /** PEM; undefined: no TLS. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer } | undefined;
  /** Is called with each request whose head is whole, and must end the response. */
  readonly serve: (request: IncomingMessage, response: ServerResponse, visit: HttpVisit) => void;
  /** Told of what went wrong later on, in a sentence. */
  readonly complain: (message: string) => void;
}

/** What a request may ask of its connection. */
export interface HttpVisit {
  /** It lasts until one side ends it; false: too many do so already. */
  stay(): boolean;
}

export type HttpListener =
  | { readonly ok: true; close(): Promise<void> }
  | { readonly ok: false; readonly message: string };

const MOST_HEADER_BYTES = 8192;
/** How many wait in the kernel for us to take them. */
const BACKLOG = 128;
/** The same as for a request without TLS. */
const HANDSHAKE_LIMIT_MS = 2000;
const OLDEST_TLS = 'TLSv1.2';

/** Never throws, never keeps the process alive. */
export async function openHttpDoor(settings: HttpDoorSettings): Promise<HttpListener> {
  const { address, complain } = settings;
  const where = showAddress(address);
  const visitors = new HttpVisitors();
  try {
    const server = await createServer(settings, (request, response) => {
      const { socket } = request;
      visitors.asked(socket);
      settings.serve(request, response, { stay: () => visitors.stays(socket) });
    });
    server.on('connection', (socket) => visitors.came(socket));
    await listen(server, address);
    server.on('error', (error) => complain(`The listener on ${where}: ${describeError(error)}`));
    server.unref();
    return { ok: true, close: () => close(server, visitors) };
  } catch (error) {
    return { ok: false, message: `${where}: ${describeListenError(error)}` };
  }
}

function close(server: Server, visitors: HttpVisitors): Promise<void> {
  visitors.endAll();
  return new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}

/** Why nobody could be served with these; undefined: they are fit for it. */
export async function whyNoTls(
  tls: NonNullable<HttpDoorSettings['tls']>,
): Promise<string | undefined> {
  const { createSecureContext } = await import('node:tls');
  try {
    createSecureContext({ ...tls, minVersion: OLDEST_TLS });
    return undefined;
  } catch (error) {
    return describeError(error);
  }
}

/** What serves TLS is loaded only where it is wanted. */
async function createServer(
  { tls }: HttpDoorSettings,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  const limits = { maxHeaderSize: MOST_HEADER_BYTES };
  if (tls === undefined) return (await import('node:http')).createServer(limits, answer);
  const { createServer: createTlsServer } = await import('node:https');
  const secure = { ...limits, ...tls, handshakeTimeout: HANDSHAKE_LIMIT_MS };
  const server = createTlsServer({ ...secure, minVersion: OLDEST_TLS }, answer);
  // Whoever speaks no TLS is no fault of ours.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return server;
}

function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

const IN_WORDS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there already',
  EADDRNOTAVAIL: 'this machine has no such address',
};

function describeListenError(error: unknown): string {
  const words = IN_WORDS[errorCode(error) ?? ''];
  return words === undefined ? describeError(error) : `${words} (${errorCode(error)})`;
}
