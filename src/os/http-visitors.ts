import type { Socket } from 'node:net';

/**
 * Who has come to the HTTP listener. A connection first waits for its request, for a short time,
 * and then for its answer to be read. If there are too many of either, the oldest go: a stranger
 * who holds connections open loses them, and who comes to ask is asked at once.
 */

/** A request line and its headers are one packet; a client on a busy machine sends it late. */
const REQUEST_LIMIT_MS = 2000;
/** For the whole of a connection: who does not read its answer must not hold it for ever. */
const CONNECTION_LIMIT_MS = 10_000;
const MOST_WAITING = 32;
const MOST_WAITING_OF_ADDRESS = 8;
const MOST_ANSWERED = 16;
/** Who has come since the last review stays until the next, unless far too many come at once. */
const REVIEW_MS = 250;
const MOST_AT_ALL = 256;

interface Visit {
  readonly address: string;
  /** Whether a review has found it waiting before. */
  isSeen: boolean;
  limit: NodeJS.Timeout;
}

export class HttpVisitors {
  /** Oldest first. */
  readonly #waiting = new Map<Socket, Visit>();
  readonly #answered = new Map<Socket, Visit>();
  #review: NodeJS.Timeout | undefined;

  came(socket: Socket): void {
    socket.unref();
    const limit = endLater(socket, REQUEST_LIMIT_MS);
    const address = socket.remoteAddress ?? '';
    this.#waiting.set(socket, { address, isSeen: false, limit });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#left(socket));
    if (this.#waiting.size > MOST_AT_ALL) this.#endOldest(this.#waiting);
    this.#review ??= setTimeout(() => this.#reviewWaiting(), REVIEW_MS).unref();
  }

  /** Its request is whole. */
  asked(socket: Socket): void {
    const visit = this.#waiting.get(socket);
    if (visit === undefined) return;
    this.#waiting.delete(socket);
    clearTimeout(visit.limit);
    visit.limit = endLater(socket, CONNECTION_LIMIT_MS);
    this.#answered.set(socket, visit);
    if (this.#answered.size > MOST_ANSWERED) this.#endOldest(this.#answered);
  }

  endAll(): void {
    clearTimeout(this.#review);
    for (const socket of [...this.#waiting.keys(), ...this.#answered.keys()]) this.#end(socket);
  }

  #endOldest(visits: ReadonlyMap<Socket, Visit>): void {
    const [oldest] = visits.keys();
    if (oldest !== undefined) this.#end(oldest);
  }

  #end(socket: Socket): void {
    this.#left(socket);
    socket.destroy();
  }

  #left(socket: Socket): void {
    clearTimeout((this.#waiting.get(socket) ?? this.#answered.get(socket))?.limit);
    this.#waiting.delete(socket);
    this.#answered.delete(socket);
  }

  #reviewWaiting(): void {
    this.#review = undefined;
    const perAddress = new Map<string, number>();
    for (const { address } of this.#waiting.values()) {
      perAddress.set(address, (perAddress.get(address) ?? 0) + 1);
    }
    let all = this.#waiting.size;
    for (const [socket, visit] of this.#waiting) {
      const ofAddress = perAddress.get(visit.address) ?? 0;
      const isTooMany = all > MOST_WAITING || ofAddress > MOST_WAITING_OF_ADDRESS;
      const { isSeen } = visit;
      visit.isSeen = true;
      if (!isTooMany || !isSeen) continue;
      perAddress.set(visit.address, ofAddress - 1);
      all -= 1;
      this.#end(socket);
    }
    if (all > 0) this.#review = setTimeout(() => this.#reviewWaiting(), REVIEW_MS).unref();
  }
}

const endLater = (socket: Socket, ms: number): NodeJS.Timeout =>
  setTimeout(() => socket.destroy(), ms).unref();
