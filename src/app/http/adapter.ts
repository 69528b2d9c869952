import type { IncomingMessage, ServerResponse } from 'node:http';
import { HttpProblem } from './problem.ts';

/** Between Node's own server and what speaks of `Request` and `Response`. */

const MOST_BODY_BYTES = 1024 * 1024;
const BODY_LIMIT_MS = 5000;

/**
 * The whole request; its body is read first. Throws for one that is too large or too slow.
 *
 * @param gone fires when the connection is over
 */
export async function requestOf(
  incoming: IncomingMessage,
  scheme: string,
  gone: AbortSignal,
): Promise<Request> {
  const { method = 'GET', headers, url = '/' } = incoming;
  const all = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) all.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  // A `Request` takes none.
  if (method === 'TRACE') throw new HttpProblem('other-method', 'There is no TRACE here');
  const hasBody = method !== 'GET' && method !== 'HEAD';
  const body = hasBody ? await bodyOf(incoming) : undefined;
  // What the address names is checked elsewhere; a whole one in the request line counts as a path.
  const path = url.startsWith('/') ? url : '/';
  // What HEAD asks for is that of GET; the body is left out when it is handed over.
  const asked = method === 'HEAD' ? 'GET' : method;
  const about = { method: asked, headers: all, signal: gone, ...(body !== undefined && { body }) };
  return new Request(new URL(`${scheme}://localhost${path}`), about);
}

function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const refuse = (detail: string): void => {
      clearTimeout(timer);
      incoming.removeAllListeners('data').resume();
      reject(new HttpProblem('too-large', detail));
    };
    const timer = setTimeout(() => refuse('The body took too long'), BODY_LIMIT_MS).unref();
    incoming.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > MOST_BODY_BYTES) refuse(`A body has at most ${MOST_BODY_BYTES} bytes`);
      else chunks.push(chunk);
    });
    incoming.on('end', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks));
    });
    incoming.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    incoming.on('close', () => clearTimeout(timer));
  });
}

/** Hands an answer over as it comes; one without end lasts until the other side goes. */
export async function answerWith(
  response: Response,
  outgoing: ServerResponse,
  isHead: boolean,
): Promise<void> {
  const headers: Record<string, string | string[]> = Object.fromEntries(response.headers);
  const cookies = response.headers.getSetCookie?.() ?? [];
  if (cookies.length > 0) headers['set-cookie'] = cookies;
  // One request a connection, so that nobody holds one for nothing.
  outgoing.writeHead(response.status, { ...headers, connection: 'close' });
  const reader = response.body?.getReader();
  if (reader === undefined || isHead) {
    await reader?.cancel();
    outgoing.end();
    return;
  }
  outgoing.flushHeaders();
  try {
    outgoing.on('close', () => void reader.cancel().catch(() => {}));
    while (!outgoing.destroyed) {
      const { done, value } = await reader.read();
      if (done || outgoing.destroyed) break;
      if (!outgoing.write(value)) await roomIn(outgoing);
    }
    outgoing.end();
  } finally {
    // It may have gone before anybody heard of it.
    await reader.cancel().catch(() => {});
  }
}

function roomIn(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      outgoing.off('drain', go).off('close', go);
      resolve();
    };
    outgoing.on('drain', go).on('close', go);
  });
}
