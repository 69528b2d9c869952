import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach } from 'vitest';

/** A proxy on loopback, as squid is one. */

export interface TestProxy {
  readonly port: number;
  /** `CONNECT 127.0.0.1:443`, `POST http://127.0.0.1:80/x`. */
  readonly asked: string[];
  /** What each request had for its login. */
  readonly logins: (string | undefined)[];
  /** Connections that are open now. */
  open(): number;
}

export type ProxyBehaviour = 'works' | 'refuses' | 'hangs';

const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of running.splice(0)) await end();
});

export async function proxyServer(behaviour: ProxyBehaviour): Promise<TestProxy> {
  const asked: string[] = [];
  const logins: (string | undefined)[] = [];
  const sockets = new Set<Socket>();
  const note = ({ method, url, headers }: IncomingMessage): void => {
    asked.push(`${method} ${url}`);
    logins.push(headers['proxy-authorization']);
  };
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((message: IncomingMessage, response: ServerResponse) => {
    note(message);
    if (behaviour === 'hangs') return;
    if (behaviour === 'refuses') {
      response.writeHead(407, 'Proxy Authentication Required').end();
      return;
    }
    const { method, headers, url = '' } = message;
    const onwards = request(url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    message.pipe(onwards);
  });
  server.on('connect', (message: IncomingMessage, socket: Socket) => {
    note(message);
    if (behaviour === 'hangs') {
      // Read, so that its end is seen.
      socket.on('end', () => socket.end()).resume();
      return;
    }
    if (behaviour === 'refuses') {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      return;
    }
    const [host, port] = (message.url ?? '').split(':');
    const onwards = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onwards.pipe(socket).pipe(onwards);
    });
    keep(onwards);
  });
  server.on('connection', keep);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  running.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  const { port } = server.address() as AddressInfo;
  return { port, asked, logins, open: () => sockets.size };
}
