import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { lookup } from 'node:dns';
import { connect, type Socket } from 'node:net';
import type { SyslogAddress } from '../core/syslog-address.ts';
import { counted } from './syslog-message.ts';

/** A way to the server. It is used once: after its end another one is opened. */
export interface Wire {
  /** One at a time; `done` says when the next may follow, or not at all after the end. */
  send(message: Buffer, done: () => void): void;
  /** Sends what is on its way, and closes. */
  close(closed: () => void): void;
  /** Closes at once. */
  destroy(): void;
}

export interface WireEvents {
  /** Messages may be sent. */
  readonly opened: () => void;
  /** It is of no more use; undefined: the server has ended it in good order. */
  readonly ended: (why: Error | undefined) => void;
}

/** So long the first message of a connection by UDP may turn out to have found nobody. */
const DOUBT_MS = 500;
const CONNECT_LIMIT_MS = 10_000;
/** Of the kernel, which looks after a connection on which nothing is said. */
const KEEP_ALIVE_MS = 60_000;

export const openWire = (address: SyslogAddress, events: WireEvents): Wire =>
  address.protocol === 'udp' ? openUdp(address, events) : openTcp(address, events);

function openTcp({ host, port }: SyslogAddress, { opened, ended }: WireEvents): Wire {
  const socket: Socket = connect({ host, port, keepAlive: true });
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  const timer = setTimeout(() => socket.destroy(new Error('no connection')), CONNECT_LIMIT_MS);
  timer.unref();
  let error: Error | undefined;
  // A server has nothing to say here; what it says is read, so that its end is seen.
  socket.resume();
  socket.once('connect', () => {
    clearTimeout(timer);
    socket.unref();
    opened();
  });
  socket.on('error', (cause) => {
    error = cause;
  });
  socket.once('close', () => {
    clearTimeout(timer);
    ended(error);
  });
  return {
    send(message, done) {
      socket.write(counted(message), (failed) => {
        if (failed === undefined || failed === null) done();
      });
    },
    close(closed) {
      socket.end(closed);
    },
    destroy: () => void socket.destroy(),
  };
}

/** Connected, so that the kernel tells what the other host answers: nobody listens there, say. */
function openUdp({ host, port }: SyslogAddress, { opened, ended }: WireEvents): Wire {
  let socket: Datagrams | undefined;
  let isOver = false;
  let isProven = false;
  const end = (why: Error | undefined): void => {
    if (isOver) return;
    isOver = true;
    socket?.close();
    ended(why);
  };
  lookup(host, (failed, address, family) => {
    if (isOver) return;
    if (failed !== null) return end(failed);
    socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    socket.on('error', end);
    socket.unref();
    socket.connect(port, address, () => {
      if (!isOver) opened();
    });
  });
  return {
    send(message, done) {
      socket?.send(message, (failed) => {
        if (failed !== null) end(failed);
        // Datagrams in one breath would find no room in the server's buffer.
        else if (isProven) setImmediate(done);
        else {
          // The answer that nobody listens there comes after the message that asked for it.
          setTimeout(() => {
            isProven = !isOver;
            if (isProven) done();
          }, DOUBT_MS).unref();
        }
      });
    },
    close(closed) {
      end(undefined);
      closed();
    },
    destroy: () => end(undefined),
  };
}
