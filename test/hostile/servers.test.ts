import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { email } from '../../src/notify/email.ts';
import { gotify } from '../../src/notify/gotify.ts';
import { LETTER, NEVER } from '../notify/letters.ts';

/** Servers that never come to an end, and say so in large pieces. */

const MANY = 16 * 1024 * 1024;
const LIMITS = { timeLimitMs: milliseconds(20_000), caFile: undefined };

/** Sends its words at once and then without end, as long as somebody takes it. */
async function endless(words: string) {
  const sockets = new Set<Socket>();
  let sent = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    const more = (): void => {
      sent += 65_536;
      if (sent < MANY && !socket.destroyed) socket.write('x'.repeat(65_536), more);
    };
    socket.write(words, more);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port, close };
}

const SAID = /^it answers with more than 65536 bytes, so it is something else$/;

it.each(['', '220 ', '220-mx\r\n220-'])('a mail server, beginning with %j', async (words) => {
  const { port, close } = await endless(words);
  const addresses = { from: 'pve@example.org', to: ['admin@example.org'] };
  const server = { server: '127.0.0.1', port, security: 'none', login: undefined } as const;
  const delivery = await email({ ...server, ...addresses }, LIMITS).send(LETTER, NEVER);
  close();
  expect(delivery).toMatchObject({ ok: false, fault: 'settings' });
  expect(delivery.said).toMatch(SAID);
});

it('a web server', async () => {
  const { port, close } = await endless('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n');
  const url = `http://127.0.0.1:${port}`;
  const delivery = await gotify({ url, token: 'tok3n', priority: 5 }, LIMITS).send(LETTER, NEVER);
  close();
  expect(delivery.said).toMatch(SAID);
});
