import type { LogLine } from '../core/log-line.ts';
import { type SyslogAddress, showSyslogAddress } from '../core/syslog-address.ts';
import { describeNetworkError } from '../os/network-error.ts';
import { type SyslogSender, syslogMessage } from './syslog-message.ts';
import { openWire, type Wire } from './syslog-wire.ts';

/** Hands lines of the log over to a syslog server, and never waits for it. */
export interface Syslog {
  put(line: LogLine): void;
  /** Sends what waits, for a moment at most. */
  close(): Promise<void>;
}

export interface SyslogParts {
  readonly address: SyslogAddress;
  readonly sender: SyslogSender;
  /** Told once when the server cannot be reached, and once when it can be again. */
  readonly log: (level: 'WARNING' | 'INFO', message: string) => void;
}

/** What waits for the server. A line has half a kilobyte as a rule. */
const MOST_WAITING = 1000;
const MOST_WAITING_BYTES = 1024 * 1024;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;
/** A server that takes nothing for so long counts as gone. */
const SEND_LIMIT_MS = 30_000;
const CLOSE_LIMIT_MS = 2000;

export const createSyslog = (parts: SyslogParts): Syslog => new Sending(parts);

/**
 * One message at a time is on its way. Those that wait are bounded in number and size; what finds
 * no room is counted, and told. A connection is made when there is something to send, and where
 * that fails again after 1, 2, 4 ... 60 s.
 */
class Sending implements Syslog {
  readonly #parts: SyslogParts;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #wire: Wire | undefined;
  #isOpen = false;
  /** Until it fires, no new connection is tried. */
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** Of the message that is on its way. */
  #limit: NodeJS.Timeout | undefined;
  #isTrouble = false;
  #finish: (() => void) | undefined;

  constructor(parts: SyslogParts) {
    this.#parts = parts;
  }

  put(line: LogLine): void {
    if (this.#finish !== undefined) return;
    const message = syslogMessage(line, this.#parts.sender);
    const bytes = this.#waitingBytes + message.length;
    if (this.#waiting.length < MOST_WAITING && bytes <= MOST_WAITING_BYTES) {
      this.#waiting.push(message);
      this.#waitingBytes = bytes;
    } else this.#lost += 1;
    this.#go();
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#finish?.(), CLOSE_LIMIT_MS);
      this.#finish = () => {
        clearTimeout(timer);
        clearTimeout(this.#retry);
        clearTimeout(this.#limit);
        const wire = this.#wire;
        this.#wire = undefined;
        this.#isOpen = false;
        wire?.destroy();
        resolve();
      };
      clearTimeout(this.#retry);
      this.#retry = undefined;
      if (this.#isTrouble) this.#finish();
      else this.#go();
    });
  }

  #go(): void {
    const [message] = this.#waiting;
    if (message === undefined) {
      const finish = this.#finish;
      if (finish !== undefined && this.#isOpen) this.#wire?.close(finish);
      else finish?.();
    } else if (this.#wire === undefined) {
      if (this.#retry === undefined) this.#open();
    } else if (this.#isOpen && this.#limit === undefined) this.#send(this.#wire, message);
  }

  #open(): void {
    const wire = openWire(this.#parts.address, {
      opened: () => {
        this.#isOpen = true;
        this.#go();
      },
      ended: (why) => {
        if (this.#wire === wire) this.#ended(why);
      },
    });
    this.#wire = wire;
  }

  #send(wire: Wire, message: Buffer): void {
    this.#limit = setTimeout(() => {
      wire.destroy();
      if (this.#wire === wire) this.#ended(new Error('it takes nothing any more'));
    }, SEND_LIMIT_MS);
    this.#limit.unref();
    wire.send(message, () => {
      if (this.#wire === wire) this.#sent(message);
    });
  }

  #sent(message: Buffer): void {
    clearTimeout(this.#limit);
    this.#limit = undefined;
    this.#waiting.shift();
    this.#waitingBytes -= message.length;
    this.#retryMs = FIRST_RETRY_MS;
    if (this.#isTrouble) {
      this.#isTrouble = false;
      this.#parts.log('INFO', `The syslog server ${this.#shown} is reached again`);
    }
    const lost = this.#lost;
    if (lost > 0 && this.#waiting.length < MOST_WAITING / 2) {
      this.#lost = 0;
      const what = `${lost} lines found no room before the syslog server ${this.#shown}`;
      this.#parts.log('WARNING', `${what}; the log file has them`);
    }
    this.#go();
  }

  #ended(why: Error | undefined): void {
    const isUnused = !this.#isOpen;
    this.#wire = undefined;
    this.#isOpen = false;
    clearTimeout(this.#limit);
    this.#limit = undefined;
    if (this.#finish !== undefined) {
      this.#finish();
      return;
    }
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#go();
    }, this.#retryMs);
    this.#retry.unref();
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
    // A server that ends a connection in good order is restarted, say, or tired of it.
    if (this.#isTrouble || (why === undefined && !isUnused)) return;
    this.#isTrouble = true;
    const reason = why === undefined ? 'it ends the connection' : describeNetworkError(why);
    const waits = `up to ${MOST_WAITING} lines wait for it`;
    this.#parts.log(
      'WARNING',
      `The syslog server ${this.#shown} is not reached: ${reason}; ${waits}`,
    );
  }

  get #shown(): string {
    return showSyslogAddress(this.#parts.address);
  }
}
