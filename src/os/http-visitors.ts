import type { Socket } from 'node:net';
import { visitorNetwork } from '../core/visitor-network.ts';

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
const MOST_WAITING_OF_NETWORK = 8;
const MOST_ANSWERED = 16;
/** Of those that listen to what happens, and of those that wait for a change they asked for. */
const MOST_STAYING = 32;
/** Who has come since the last review stays until the next, unless far too many come at once. */
const REVIEW_MS = 250;
const MOST_AT_ALL = 256;

interface Visit {
  readonly socket: Socket;
  readonly network: string;
  /** Whether a review has found it waiting before. */
  isSeen: boolean;
  limit: NodeJS.Timeout;
}

/** The socket of TLS and the one below it have the same other end. */
type Peer = string;
const peerOf = ({ remoteAddress, remotePort }: Socket): Peer => `${remoteAddress} ${remotePort}`;

export class HttpVisitors {
  /** Oldest first. */
  readonly #waiting = new Map<Peer, Visit>();
  readonly #answered = new Map<Peer, Visit>();
  readonly #staying = new Map<Peer, Visit>();
  #review: NodeJS.Timeout | undefined;

  came(socket: Socket): void {
    socket.unref();
    const peer = peerOf(socket);
    const limit = endLater(socket, REQUEST_LIMIT_MS);
    const network = visitorNetwork(socket.remoteAddress ?? '');
    this.#waiting.set(peer, { socket, network, isSeen: false, limit });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#left(peer, socket));
    if (this.#waiting.size > MOST_AT_ALL) this.#endOldest(this.#waiting);
    this.#review ??= setTimeout(() => this.#reviewWaiting(), REVIEW_MS).unref();
  }

  /** Its request is whole. */
  asked(socket: Socket): void {
    const peer = peerOf(socket);
    const visit = this.#waiting.get(peer);
    if (visit === undefined) return;
    this.#waiting.delete(peer);
    clearTimeout(visit.limit);
    visit.limit = endLater(visit.socket, CONNECTION_LIMIT_MS);
    this.#answered.set(peer, visit);
    if (this.#answered.size > MOST_ANSWERED) this.#endOldest(this.#answered);
  }

  /** Its answer has no end; false: too many have such a one. */
  stays(socket: Socket): boolean {
    const peer = peerOf(socket);
    const visit = this.#answered.get(peer);
    if (visit === undefined || this.#staying.size >= MOST_STAYING) return false;
    this.#answered.delete(peer);
    clearTimeout(visit.limit);
    this.#staying.set(peer, visit);
    return true;
  }

  endAll(): void {
    clearTimeout(this.#review);
    for (const visits of [this.#waiting, this.#answered, this.#staying]) {
      for (const peer of [...visits.keys()]) this.#end(peer);
    }
  }

  #endOldest(visits: ReadonlyMap<Peer, Visit>): void {
    const [oldest] = visits.keys();
    if (oldest !== undefined) this.#end(oldest);
  }

  #end(peer: Peer): void {
    this.#left(peer)?.socket.destroy();
  }

  #left(peer: Peer, socket?: Socket): Visit | undefined {
    for (const visits of [this.#waiting, this.#answered, this.#staying]) {
      const visit = visits.get(peer);
      if (visit === undefined || (socket ?? visit.socket) !== visit.socket) continue;
      clearTimeout(visit.limit);
      visits.delete(peer);
      return visit;
    }
    return undefined;
  }

  #reviewWaiting(): void {
    this.#review = undefined;
    const perNetwork = new Map<string, number>();
    for (const { network } of this.#waiting.values()) {
      perNetwork.set(network, (perNetwork.get(network) ?? 0) + 1);
    }
    let all = this.#waiting.size;
    for (const [peer, visit] of this.#waiting) {
      const ofNetwork = perNetwork.get(visit.network) ?? 0;
      const isTooMany = all > MOST_WAITING || ofNetwork > MOST_WAITING_OF_NETWORK;
      const { isSeen } = visit;
      visit.isSeen = true;
      if (!isTooMany || !isSeen) continue;
      perNetwork.set(visit.network, ofNetwork - 1);
      all -= 1;
      this.#end(peer);
    }
    if (all > 0) this.#review = setTimeout(() => this.#reviewWaiting(), REVIEW_MS).unref();
  }
}

const endLater = (socket: Socket, ms: number): NodeJS.Timeout =>
  setTimeout(() => socket.destroy(), ms).unref();
