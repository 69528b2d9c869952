import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isLoopback, type ListenAddress, showAddress } from '../core/listen-address.ts';
import { type HttpListener, openHttpDoor } from './http-door.ts';
import { describeError } from './os-error.ts';

/** A small HTTP server for figures: it only answers GET and HEAD, and reads no body. */

export interface HttpAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export interface HttpListenerSettings {
  readonly address: ListenAddress;
  /** Empty: everybody who can reach it is answered; then it must be a loopback address. */
  readonly token: string;
  /** undefined: there is no such page. */
  readonly answer: (path: string) => Promise<HttpAnswer | undefined>;
  /** Told of what went wrong later on, in a sentence. */
  readonly complain: (message: string) => void;
}

/** Never throws, never keeps the process alive. */
export async function openHttpListener(settings: HttpListenerSettings): Promise<HttpListener> {
  const { address, token, complain } = settings;
  if (token === '' && !isLoopback(address.host)) {
    const message = `${showAddress(address)} can be reached by others, so it needs a token`;
    return { ok: false, message };
  }
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    void respond(settings, request, response);
  };
  return openHttpDoor({ address, complain, serve });
}

const plain = (status: number, body: string): HttpAnswer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
});

async function respond(
  settings: HttpListenerSettings,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { status, type, body } = await answerTo(settings, request);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
    ...(status === 405 && { allow: 'GET, HEAD' }),
    // One request a connection: what follows, a body too, is not read.
    connection: 'close',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function answerTo(
  settings: HttpListenerSettings,
  request: IncomingMessage,
): Promise<HttpAnswer> {
  const { method, url = '/', headers } = request;
  if (!isAllowed(settings.token, headers.authorization)) {
    return plain(401, 'A token is needed: Authorization: Bearer TOKEN');
  }
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'Only GET and HEAD are answered');
  try {
    const path = url.split('?', 1)[0] ?? '/';
    return (await settings.answer(path)) ?? plain(404, 'There is /metrics, /healthz and /readyz');
  } catch (error) {
    settings.complain(`A request for figures could not be answered: ${describeError(error)}`);
    return plain(500, 'This could not be answered; the log says more');
  }
}

/** Compared in a time that says nothing of how much of it is right. */
function isAllowed(token: string, authorization: string | undefined): boolean {
  if (token === '') return true;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const [, given = ''] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
  return timingSafeEqual(digest(given), digest(token));
}
