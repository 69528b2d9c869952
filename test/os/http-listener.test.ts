import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { HttpListener } from '../../src/os/http-door.ts';
import { type HttpListenerSettings, openHttpListener } from '../../src/os/http-listener.ts';
import { freePort } from '../free-port.ts';
import { until } from '../patience.ts';

const TOKEN = 'sixteen-or-more-characters';
const open: Array<() => Promise<void>> = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface Served {
  readonly port: number;
  readonly complaints: string[];
  readonly listener: HttpListener;
}

async function serve(own: Partial<HttpListenerSettings> = {}): Promise<Served> {
  const port = await freePort();
  const complaints: string[] = [];
  const listener = await openHttpListener({
    address: { host: '127.0.0.1', port },
    token: '',
    answer: async (path) =>
      path === '/x' ? { status: 200, type: 'text/plain', body: 'figures\n' } : undefined,
    complain: (message) => complaints.push(message),
    ...own,
  });
  if (listener.ok) open.push(() => listener.close());
  return { port, complaints, listener };
}

/** All that comes back for what is sent, until the other side closes. */
function exchange(port: number, sent: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
    socket.on('end', () => socket.end());
    socket.write(sent);
  });
}

const get = (path: string, ...headers: readonly string[]): string =>
  ['GET', path, 'HTTP/1.1\r\nHost: a', ...headers.map((line) => `\r\n${line}`)]
    .join(' ')
    .replace(/ \r\n/g, '\r\n')
    .concat('\r\n\r\n');

describe('a listener', () => {
  it('answers one request a connection, and nothing that follows', async () => {
    const { port } = await serve();
    const answer = await exchange(port, get('/x?a=b') + get('/x'));
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/\r\nConnection: close\r\n[\s\S]*\r\n\r\nfigures\n$/i);
    expect(answer.split('HTTP/1.1')).toHaveLength(2);
  });

  it.each([
    ['POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc', 405],
    ['HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n', 200],
    ['GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    ['GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    [`GET /${'x'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
    ['what is this\r\n\r\n', 400],
  ])('answers %j with its code', async (sent, status) => {
    const { port } = await serve();
    const answer = await exchange(port, sent);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).not.toContain('figures');
  });

  it('answers those who know the token, and tells the others how', async () => {
    const { port } = await serve({ token: TOKEN });
    const ask = (...headers: readonly string[]) => exchange(port, get('/x', ...headers));
    expect(await ask(`Authorization: Bearer ${TOKEN}`)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await ask(`authorization: bearer   ${TOKEN}  `)).toMatch(/^HTTP\/1\.1 200 /);
    const wrong = [
      '',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
      `Basic ${TOKEN}`,
      TOKEN,
      'Bearer',
      `Bearer  ${TOKEN} ${TOKEN}`,
      `Bearer ${TOKEN.toUpperCase()}`,
      // The beginning of the right one is as wrong as anything.
      ...[1, 8, TOKEN.length - 1].map((length) => `Bearer ${TOKEN.slice(0, length)}`),
      `Bearer ${TOKEN.slice(0, -1)}_`,
    ];
    for (const authorization of wrong) {
      const answer = await ask(`Authorization: ${authorization}`);
      expect([authorization, answer]).toEqual([
        authorization,
        expect.stringMatching(/^HTTP\/1\.1 401 [\s\S]*www-authenticate: Bearer/),
      ]);
    }
    expect(await exchange(port, get('/nothing'))).toMatch(/^HTTP\/1\.1 401 /);
  });

  it('goes on after an answer that could not be given', async () => {
    const { port, complaints } = await serve({
      answer: async (path) => {
        if (path === '/x') throw new Error('a broken figure');
        return { status: 200, type: 'text/plain', body: 'well\n' };
      },
    });
    expect(await exchange(port, get('/x'))).toMatch(/^HTTP\/1\.1 500 /);
    expect(await exchange(port, get('/y'))).toMatch(/well\n$/);
    expect(complaints).toEqual([expect.stringContaining('a broken figure')]);
  });
});

describe('a listener is not opened', () => {
  it.each(['0.0.0.0', '::', '192.0.2.1'])('on %s without a token', async (host) => {
    const { listener } = await serve({ address: { host, port: 9732 } });
    expect(listener).toMatchObject({ ok: false, message: expect.stringContaining('a token') });
  });

  it('where another one is, nor on an address of another machine', async () => {
    const { port } = await serve();
    const taken = await serve({ address: { host: '127.0.0.1', port } });
    expect(taken.listener).toEqual({
      ok: false,
      message: `127.0.0.1:${port}: another program listens there already (EADDRINUSE)`,
    });
    const elsewhere = await serve({ address: { host: '192.0.2.1', port }, token: TOKEN });
    expect(elsewhere.listener).toMatchObject({
      ok: false,
      message: expect.stringContaining('no such address (EADDRNOTAVAIL)'),
    });
  });
});

describe('what strangers can cost', () => {
  const ended = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

  it('is bounded in time: who never finishes a request is cut off', {
    timeout: 240_000,
  }, async () => {
    const { port } = await serve();
    const startMs = performance.now();
    const slow = connect({ port, host: '127.0.0.1' });
    slow.on('error', () => {});
    slow.write('GET /x HTTP/1.1\r\nHost:');
    const dribble = setInterval(() => slow.write('a'), 500);
    slow.resume();
    const silent = connect({ port, host: '127.0.0.1' });
    silent.on('error', () => {});
    silent.resume();
    await Promise.all([ended(slow), ended(silent)]);
    clearInterval(dribble);
    expect(performance.now() - startMs).toBeGreaterThan(1900);
    expect(await exchange(port, get('/x'))).toContain('figures');
  });

  const HALF = 'GET /x HTTP/1.1\r\nHost: a\r\nX: ';

  /** Holds so many half requests, and comes again whenever one is ended. Says how often it came. */
  function besiege(port: number, count: number): () => number {
    let made = 0;
    let over = false;
    const hold = (): void => {
      made += 1;
      const socket = connect({ port, host: '127.0.0.1' });
      socket.on('error', () => {});
      socket.on('connect', () => socket.write(HALF));
      socket.on('close', () => over || hold());
      socket.resume();
      open.push(async () => {
        over = true;
        socket.destroy();
      });
    };
    for (let index = 0; index < count; index += 1) hold();
    return () => made;
  }

  it.each([40, 200])(
    'is not the place of others: %i half requests keep nobody out',
    {
      timeout: 240_000,
    },
    async (count) => {
      const { port } = await serve();
      const made = besiege(port, count);
      while (made() < count + 20) await exchange(port, get('/nothing'));
      const answers: string[] = [];
      for (let scrape = 0; scrape < 25; scrape += 1) answers.push(await exchange(port, get('/x')));
      expect(answers.filter((answer) => answer.endsWith('figures\n'))).toHaveLength(25);
    },
  );

  it('is not the place of others: nor do answers that nobody reads', {
    timeout: 240_000,
  }, async () => {
    const body = 'x'.repeat(20_000_000);
    let asked = 0;
    const answer = async () => {
      asked += 1;
      return { status: 200, type: 'text/plain', body };
    };
    const { port } = await serve({ answer });
    for (let index = 0; index < 40; index += 1) {
      const socket = connect({ port, host: '127.0.0.1' })
        .on('error', () => {})
        .pause();
      socket.write(get('/x'));
      open.push(async () => void socket.destroy());
    }
    while (asked < 40) await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await exchange(port, get('/x'))).length).toBeGreaterThan(body.length);
  });

  // Sooner than the limit of time ends them, which a busy machine may not let it show at once.
  it('is bounded in number over all addresses, and the oldest go', { retry: 5 }, async () => {
    const { port } = await serve();
    const startMs = performance.now();
    const gone: number[] = [];
    for (let index = 0; index < 64; index += 1) {
      const localAddress = `127.0.0.${2 + (index % 8)}`;
      const socket = connect({ port, host: '127.0.0.1', localAddress });
      socket.on('error', () => {}).resume();
      socket.once('close', () => gone.push(index));
      open.push(async () => void socket.destroy());
      await once(socket, 'connect');
    }
    await until(() => gone.length >= 32);
    expect(performance.now() - startMs).toBeLessThan(1900);
    expect([...gone].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 32 }, (_, index) => index),
    );
  });

  it('is no body: nobody waits for one that is announced', async () => {
    const { port } = await serve();
    for (const method of ['GET', 'POST', 'PUT']) {
      const head = `${method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n`;
      expect(await exchange(port, head)).toMatch(/^HTTP\/1\.1 (200|405) [\s\S]*Connection: close/i);
    }
  });

  it('is bounded in number, and ends when the listener is closed', async () => {
    const { port, listener } = await serve();
    const sockets = Array.from({ length: 60 }, () => connect({ port, host: '127.0.0.1' }));
    let gone = 0;
    for (const socket of sockets) socket.on('error', () => {}).resume();
    const ends = sockets.map((socket) => ended(socket).then(() => (gone += 1)));
    while (gone < 52) await Promise.race(ends.splice(0, 1));
    expect(await exchange(port, get('/x'))).toContain('figures');
    if (listener.ok) await listener.close();
    open.length = 0;
    await Promise.all(ends);
  });
});
