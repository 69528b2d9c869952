import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { Delivery } from '../../src/notify/channel.ts';
import { email } from '../../src/notify/email.ts';
import { gotify } from '../../src/notify/gotify.ts';
import { Messenger } from '../../src/notify/messenger.ts';
import { ntfy } from '../../src/notify/ntfy.ts';
import { CONTROL_SOCKET } from '../../src/os/control-path.ts';
import { type ControlRequest, openControlSocket } from '../../src/os/control-socket.ts';
import type { HttpListener } from '../../src/os/http-door.ts';
import { openHttpListener } from '../../src/os/http-listener.ts';
import { error, rules } from '../core/notify/events.ts';
import { fc } from '../fast-check.ts';
import { freePort } from '../free-port.ts';
import { manualClock } from '../node/local/world.ts';
import { LETTER, NEVER } from '../notify/letters.ts';
import { damaged, damagedJson, fuzz, UNFIT } from './fuzz.ts';
import { keptDirectory } from './kept-directory.ts';

/** Who asks this program something, and whom it asks: none of them has to be polite. */

/** Sends each piece on its own, ends, and returns all that comes back. */
function said(to: { path: string } | { port: number }, pieces: readonly Buffer[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(to);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
    socket.on('connect', () => {
      for (const piece of pieces) socket.write(piece);
      socket.end();
    });
  });
}

/** The bytes cut into pieces at random places. */
const inPieces = (bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<readonly Buffer[]> =>
  fc.tuple(bytes, fc.array(fc.nat(80), { maxLength: 4 })).map(([whole, cuts]) => {
    const places = [0, ...[...cuts].sort((a, b) => a - b), whole.length];
    const pieces = places.slice(1).map((to, index) => whole.subarray(places[index], to));
    return pieces.filter((piece) => piece.length > 0);
  });

describe('the control socket', () => {
  const root = keptDirectory();
  const taken: ControlRequest[] = [];
  const path = (): string => createPaths(root()).at(CONTROL_SOCKET);
  beforeAll(async () => {
    const socket = await openControlSocket({
      paths: createPaths(root()),
      answer: async (request) => {
        taken.push(request);
        return { fine: true };
      },
      complain: (message) => {
        throw new Error(message);
      },
    });
    expect(dirname(path())).toContain(root());
    return () => socket.close();
  });

  const requests = inPieces(
    damaged(
      '{"command":"status"}\n',
      '{"command":"explain","vmid":101}\n{"command":"status"}\n',
      '{"command":"explain-group","group":"web"}\n',
      `{"command":"health","pad":"${'x'.repeat(5000)}"}\n`,
    ),
  );

  fuzz(
    'answers what is a request, and refuses all else in one line',
    300,
    requests,
    async (pieces) => {
      taken.length = 0;
      const text = await said({ path: path() }, pieces);
      expect(text.length).toBeLessThan(1000);
      const answer: unknown = JSON.parse(text);
      if (taken.length === 0) expect(answer).toHaveProperty('error');
      else expect(answer).toEqual({ fine: true });
      for (const request of taken) {
        if (request.command === 'explain') expect(request.vmid).toBeGreaterThanOrEqual(100);
        if (request.command === 'explain-group') expect(typeof request.group).toBe('string');
      }
      expect(taken.length).toBeLessThanOrEqual(1);
    },
  );
});

describe('the listener for metrics', () => {
  const token = 'tok3n-tok3n-tok3n';
  let listener: HttpListener;
  let port = 0;
  beforeAll(async () => {
    port = await freePort();
    const answer = async (path: string) =>
      path === '/metrics' ? { status: 200, type: 'text/plain', body: 'figures 1\n' } : undefined;
    const complain = (message: string): void => {
      throw new Error(message);
    };
    const address = { host: '127.0.0.1', port };
    listener = await openHttpListener({ address, token, answer, complain });
    expect(listener.ok).toBe(true);
  });
  afterAll(async () => {
    if (listener.ok) await listener.close();
  });

  const right = `GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`;
  const requests = inPieces(
    damaged(
      right,
      `HEAD /healthz?x=1 HTTP/1.0\r\nAuthorization: bearer ${token}\r\n\r\n`,
      `POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello${right}`,
      `GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
      `GET http://[::1]/%2e%2e/metrics HTTP/1.1\r\nHost: x\r\n\r\n`,
    ),
  );

  fuzz('gives figures for the token only, and never waits', 300, requests, async (pieces) => {
    const text = await said({ port }, pieces);
    expect(text.length).toBeLessThan(2000);
    if (text !== '') expect(text).toMatch(/^HTTP\/1\.1 (200|400|401|404|405|408|413|417|431|505) /);
    const sent = Buffer.concat([...pieces]).toString('latin1');
    if (text.includes('figures')) expect(sent).toContain(token);
    expect(text.split('figures 1').length).toBeLessThanOrEqual(2);
  });
});

/** A server that answers whatever comes with the same bytes, and closes. */
function rudeServer(): { port(): number; answer: Buffer } {
  const made = { answer: Buffer.alloc(0), port: () => 0 };
  let server: Server;
  const sockets = new Set<Socket>();
  beforeAll(async () => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
      socket.once('data', () => socket.end(made.answer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    made.port = () => (server.address() as AddressInfo).port;
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return made;
}

const LIMITS = { timeLimitMs: milliseconds(5000), caFile: undefined };

function checkDelivery(delivery: Delivery): void {
  expect(delivery.said.length).toBeLessThan(1500);
  expect(delivery.said).not.toMatch(UNFIT);
  const { retryAfterMs = 0 } = delivery as { retryAfterMs?: number };
  expect(Number.isSafeInteger(retryAfterMs) && retryAfterMs >= 0).toBe(true);
}

describe('a server that takes messages', () => {
  const server = rudeServer();
  const answers = damaged(
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"id":1}',
    'HTTP/1.1 429 Slow\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"id":2}',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{"id":1}\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00',
    `HTTP/1.1 500 ${'x'.repeat(300)}\r\n\r\n`,
  );

  fuzz('over HTTP may answer anything', 250, answers, async (answer) => {
    server.answer = answer;
    const url = `http://127.0.0.1:${server.port()}`;
    for (const channel of [
      gotify({ url, token: 'tok3n', priority: 5 }, LIMITS),
      ntfy({ url: `${url}/topic`, token: '' }, LIMITS),
    ]) {
      const delivery = await channel.send(LETTER, NEVER);
      checkDelivery(delivery);
      const status = /^HTTP\/1\.\d (\d+)/.exec(answer.toString('latin1'))?.[1];
      if (delivery.ok) expect(answer.toString('latin1')).toMatch(/ 2\d\d/);
      if (status === '500') expect(delivery.ok).toBe(false);
    }
  });
});

describe('a mail server', () => {
  let server: Server;
  let answer: Buffer = Buffer.alloc(0);
  beforeAll(async () => {
    server = createServer((socket) => {
      socket.on('error', () => {});
      // A reply at a time, each of one line or of several.
      const replies = answer.toString('latin1').match(/(?:\d{3}-[^\n]*\n)*[^\n]*\n?/g) ?? [];
      let patience: NodeJS.Timeout | undefined;
      const next = (): void => {
        clearTimeout(patience);
        // Who waits for more gets no more.
        patience = setTimeout(() => socket.end(), 20);
        const reply = replies.shift();
        if (reply === undefined || reply === '') socket.end();
        else socket.write(reply, 'latin1');
      };
      socket.on('data', next);
      next();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const answers = damaged(
    '220 mx ESMTP\r\n250-mx\r\n250-PIPELINING\r\n250 SIZE 1000\r\n250 ok\r\n250 ok\r\n250 ok\r\n' +
      '354 go\r\n250 2.0.0 queued as 4711\r\n221 bye\r\n',
    '220 mx\r\n250-mx\r\n250 AUTH PLAIN LOGIN\r\n235 ok\r\n250 ok\r\n550 no such user\r\n',
    '554 5.7.1 go away \x1b[31m\r\n',
  );

  fuzz('may say anything', 250, answers, async (bytes) => {
    answer = bytes;
    const { port } = server.address() as AddressInfo;
    const channel = email(
      {
        server: '127.0.0.1',
        port,
        security: 'none',
        login: undefined,
        from: 'pve@example.org',
        to: ['admin@example.org'],
      },
      LIMITS,
    );
    checkDelivery(await channel.send(LETTER, NEVER));
  });
});

const QUEUES = {
  format: 1,
  channels: {
    gotify: {
      waiting: [{ ...error('Container 101 (web): FAILED'), counts: { failed: 1 } }],
      sent: [{ atMs: 1_795_000_000_000, content: 4711 }],
    },
  },
};

describe('messages that waited on the disk, whatever became of them', () => {
  fuzz('are sent as text of some lines, or left out', 400, damagedJson(QUEUES), async (saved) => {
    const letters: string[] = [];
    const written: unknown[] = [];
    const quiet = () => {};
    const messenger = new Messenger({
      clock: manualClock(),
      host: 'pve1',
      timezone: 'Europe/Rome',
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      store: {
        read: () => ({ ok: true, value: saved }),
        write: (content) => void written.push(content),
      },
    });
    const channel = {
      name: 'gotify' as const,
      send: async ({ title, text, time }: typeof LETTER): Promise<Delivery> => {
        letters.push(`${title}\n${text}\n${time}`);
        return { ok: true, said: 'taken' };
      },
    };
    messenger.use([{ channel, rules: rules() }]);
    await messenger.close(milliseconds(100));
    for (const letter of letters) {
      expect(letter.length).toBeLessThan(30_000);
      for (const line of letter.split('\n')) expect(line).not.toMatch(UNFIT);
    }
    expect(JSON.stringify(written).length).toBeLessThan(200_000);
  });
});
