import { createSocket } from 'node:dgram';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { PATIENCE_MS } from '../patience.ts';

/** A message as a receiver takes it apart. Source: RFC 5424, section 6. */
export interface Received {
  readonly priority: number;
  readonly time: string;
  readonly host: string;
  readonly app: string;
  readonly pid: string;
  readonly id: string;
  readonly facts: Readonly<Record<string, string>>;
  readonly text: string;
}

const PAIR = /(?: \w+="(?:[^"\\\]]|\\["\\\]])*")/.source;
const FORM = new RegExp(
  `^<([0-9]{1,3})>1 (\\S+) (\\S+) (\\S+) (\\S+) (\\S+) \\[\\S+(${PAIR}*)\\] (.*)$`,
  's',
);

export function parseMessage(message: string): Received {
  const parts = FORM.exec(message);
  if (parts === null) throw new Error(`no message of syslog: ${message}`);
  const [, priority, time = '', host = '', app = '', pid = '', id = '', data = '', text = ''] =
    parts;
  const pairs = [...data.matchAll(/ (\w+)="((?:[^"\\]|\\.)*)"/g)].map(
    ([, name = '', value = '']) => [name, value.replace(/\\(.)/g, '$1')],
  );
  return {
    priority: Number(priority),
    time,
    host,
    app,
    pid,
    id,
    text,
    facts: Object.fromEntries(pairs),
  };
}

/** A server on loopback that keeps what it gets. */
export interface SyslogServer {
  readonly port: number;
  readonly messages: readonly string[];
  /** Until so many have come. */
  has(count: number): Promise<void>;
  /** Ends the connections that there are. */
  hangUp(): void;
  close(): Promise<void>;
}

const LIMIT_MS = PATIENCE_MS;

async function until(isSo: () => boolean, what: () => string): Promise<void> {
  for (let waitedMs = 0; !isSo(); waitedMs += 20) {
    if (waitedMs > LIMIT_MS) throw new Error(`never: ${what()}`);
    await pause(20);
  }
}

export async function udpServer(port = 0, address = '127.0.0.1'): Promise<SyslogServer> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const messages: string[] = [];
  socket.on('message', (message) => messages.push(message.toString('utf8')));
  await new Promise<void>((resolve) => socket.bind(port, address, resolve));
  return {
    port: socket.address().port,
    messages,
    has: (count) =>
      until(
        () => messages.length >= count,
        () => `${messages.length} of ${count}`,
      ),
    hangUp: () => {},
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

/** @param isDeaf reads nothing of what it is sent */
export async function tcpServer(
  port = 0,
  address = '127.0.0.1',
  isDeaf = false,
): Promise<SyslogServer> {
  const messages: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    let rest = Buffer.alloc(0);
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    if (isDeaf) socket.pause();
    else {
      socket.on('data', (chunk) => {
        rest = Buffer.concat([rest, chunk]);
        for (;;) {
          const blank = rest.indexOf(0x20);
          const length = Number(rest.subarray(0, blank).toString('latin1'));
          if (blank < 0 || rest.length < blank + 1 + length) return;
          messages.push(rest.subarray(blank + 1, blank + 1 + length).toString('utf8'));
          rest = rest.subarray(blank + 1 + length);
        }
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  const hangUp = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    messages,
    has: (count) =>
      until(
        () => messages.length >= count,
        () => `${messages.length} of ${count}`,
      ),
    hangUp,
    close() {
      hangUp();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
