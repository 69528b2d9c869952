import { lookup } from 'node:dns/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { LOG_COMPONENTS, type LogLine } from '../../src/core/log-line.ts';
import type { SyslogAddress } from '../../src/core/syslog-address.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createSyslog, type Syslog } from '../../src/output/syslog.ts';
import { syslogMessage } from '../../src/output/syslog-message.ts';
import { fc } from '../fast-check.ts';
import { parseMessage, type SyslogServer, tcpServer, udpServer } from './syslog-server.ts';

const sender = { host: 'pve1', pid: 4711 };
const atMs = milliseconds(Date.UTC(2026, 10, 22, 3, 22, 37, 5));

const line = (text: string, facts: Partial<LogLine['facts']> = {}): LogLine => ({
  atMs,
  level: 'INFO',
  text,
  facts: { component: 'act', ...facts },
});

describe('a message', () => {
  it('has the form of RFC 5424, with what the line is about as structured data', () => {
    const facts = { vmid: 101, event: 'change', verdict: 'grow', outcome: 'confirmed' };
    expect(syslogMessage(line('Container 101 grows', facts), sender).toString()).toBe(
      '<30>1 2026-11-22T03:22:37.005Z pve1 lxc-autoscale 4711 act ' +
        '[lxcAutoscale@32473 component="act" vmid="101" event="change" verdict="grow" ' +
        'outcome="confirmed"] Container 101 grows',
    );
  });

  it.each([
    ['ERROR', 27],
    ['WARNING', 28],
    ['INFO', 30],
    ['DEBUG', 31],
  ] as const)('has for %s the priority %i', (level, priority) => {
    const message = syslogMessage({ ...line('x'), level }, sender).toString();
    expect(parseMessage(message).priority).toBe(priority);
  });

  it('is read back as it was written, whatever stands in it', () => {
    const texts = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(texts, texts, fc.constantFrom(...LOG_COMPONENTS), (text, group, component) => {
        const message = syslogMessage(line(text, { group, component }), sender).toString();
        const read = parseMessage(message);
        expect(read).toMatchObject({ text, id: component, host: 'pve1', app: 'lxc-autoscale' });
        expect(read.facts).toEqual({ group, component });
      }),
    );
  });

  it('is cut between two characters', () => {
    for (const pad of ['', 'a', 'aa', 'aaa']) {
      const message = syslogMessage(line(pad + '\u{1f600}'.repeat(4000)), sender);
      expect(message.length).toBeGreaterThan(7990);
      expect(message.length).toBeLessThanOrEqual(8000);
      expect(message.toString()).not.toContain('\ufffd');
    }
  });

  it('has a name of the host without blanks', () => {
    expect(parseMessage(syslogMessage(line('x'), { host: 'a b', pid: 1 }).toString()).host).toBe(
      'a_b',
    );
    expect(parseMessage(syslogMessage(line('x'), { host: '', pid: 1 }).toString()).host).toBe('-');
  });
});

const open: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

function opened(server: SyslogServer): SyslogServer {
  open.push(() => server.close());
  return server;
}

function sending(protocol: SyslogAddress['protocol'], port: number, host = '127.0.0.1') {
  const told: string[] = [];
  let heard: (() => void) | undefined;
  const syslog: Syslog = createSyslog({
    address: { protocol, host, port },
    sender,
    log: (level, message) => {
      told.push(`${level}: ${message}`);
      heard?.();
    },
  });
  const telling = (count: number): Promise<void> =>
    new Promise((resolve) => {
      heard = () => {
        if (told.length >= count) resolve();
      };
      heard();
    });
  open.push(() => syslog.close());
  return { syslog, told, telling };
}

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `line ${from + index}`);
const textsOf = ({ messages }: SyslogServer): string[] =>
  messages.map((message) => parseMessage(message).text);

/** A port on which nobody listens. */
async function freePort(make: () => Promise<SyslogServer>): Promise<number> {
  const server = await make();
  await server.close();
  return server.port;
}

describe.each([
  ['udp', udpServer],
  ['tcp', tcpServer],
] as const)('by %s', (protocol, serve) => {
  it('lines arrive in their order', async () => {
    const { address } = await lookup('localhost');
    const server = opened(await serve(0, address));
    const { syslog, told } = sending(protocol, server.port, 'localhost');
    for (const text of numbered(0, 50)) syslog.put(line(text));
    await server.has(50);
    expect(textsOf(server)).toEqual(numbered(0, 50));
    expect(told).toEqual([]);
  });

  it('what was put arrives before it is closed', async () => {
    const server = opened(await serve());
    const { syslog } = sending(protocol, server.port);
    for (const text of numbered(0, 20)) syslog.put(line(text));
    await syslog.close();
    syslog.put(line('too late'));
    await server.has(20);
    expect(textsOf(server)).toEqual(numbered(0, 20));
  });

  it('lines wait for a server that is not there yet, which is told once', async () => {
    const port = await freePort(serve);
    const { syslog, told, telling } = sending(protocol, port);
    for (const text of numbered(0, 30)) syslog.put(line(text));
    await telling(1);
    for (const text of numbered(30, 60)) syslog.put(line(text));
    const server = opened(await serve(port));
    await server.has(60);
    await telling(2);
    expect(textsOf(server)).toEqual(numbered(0, 60));
    expect(told).toEqual([
      expect.stringMatching(
        new RegExp(`^WARNING: The syslog server ${protocol}://127.0.0.1:${port} is not reached`),
      ),
      `INFO: The syslog server ${protocol}://127.0.0.1:${port} is reached again`,
    ]);
    expect(told[0]).toContain('ECONNREFUSED');
  });

  it('what finds no room while it is away is counted and told', async () => {
    const port = await freePort(serve);
    const { syslog, told, telling } = sending(protocol, port);
    for (const text of numbered(0, 1500)) syslog.put(line(text));
    await telling(1);
    const server = opened(await serve(port));
    await telling(3);
    await server.has(1000);
    expect(textsOf(server)).toEqual(numbered(0, 1000));
    expect(told[2]).toMatch(/^WARNING: 500 lines found no room before the syslog server .*file/);
  });

  it('a name that nobody knows is told, and closing does not wait for it', async () => {
    const { syslog, told, telling } = sending(protocol, 514, 'no..host');
    syslog.put(line('x'));
    await telling(1);
    expect(told[0]).toContain('no..host:514 is not reached: no such host');
    await syslog.close();
  });
});

it('by udp the first message waits for the answer that nobody listens there', async () => {
  const server = opened(await udpServer());
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const { syslog } = sending('udp', server.port);
    for (const text of numbered(0, 3)) syslog.put(line(text));
    await server.has(1);
    for (let turn = 0; turn < 50; turn += 1) await new Promise((next) => setImmediate(next));
    expect(textsOf(server)).toEqual(['line 0']);
    vi.advanceTimersByTime(1000);
    await server.has(3);
    await syslog.close();
  } finally {
    vi.useRealTimers();
  }
});

describe('a server by tcp', () => {
  it('that ends the connection gets the next line by another one', async () => {
    const server = opened(await tcpServer());
    const { syslog, told } = sending('tcp', server.port);
    syslog.put(line('before'));
    await server.has(1);
    server.hangUp();
    // The end of a connection may be noticed only by the line after it.
    const more = setInterval(() => syslog.put(line('after')), 100);
    await server.has(2);
    clearInterval(more);
    expect(textsOf(server).slice(0, 2)).toEqual(['before', 'after']);
    expect(told.filter((text) => text.startsWith('WARNING')).length).toBeLessThan(2);
  });

  it('that reads nothing holds up nobody', async () => {
    const server = opened(await tcpServer(0, '127.0.0.1', true));
    const { syslog } = sending('tcp', server.port);
    for (let round = 0; round < 20; round += 1) {
      for (let count = 0; count < 500; count += 1) syslog.put(line('x'.repeat(7000)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await syslog.close();
    expect(server.messages).toEqual([]);
  });
});
