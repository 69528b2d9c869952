import { randomInt } from 'node:crypto';
import type { MessageChannel, NotificationEvent } from '../core/notify/event.ts';
import {
  bodyOf,
  eventsIn,
  type Message,
  merged,
  messageOf,
  titleOf,
} from '../core/notify/message.ts';
import {
  accept,
  type ChannelRules,
  delivered,
  EMPTY_QUEUE,
  failed,
  nextStep,
  type Queue,
  type Waiting,
  wants,
} from '../core/notify/queue.ts';
import { fromSavedQueues, toSavedQueues } from '../core/notify/saved-queues.ts';
import type { Reading } from '../core/reading.ts';
import { type Milliseconds, milliseconds } from '../core/units.ts';
import type { Clock } from '../node/port.ts';
import { createTimestamp } from '../os/timestamp.ts';
import type { Log } from '../ports.ts';
import type { Channel, Delivery, Letter } from './channel.ts';

/** Where the queues outlive the process. */
export interface QueueStore {
  read(): Reading<unknown>;
  /** Returns what went wrong, undefined if nothing did. */
  write(content: unknown): string | undefined;
}

export interface MessengerParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: QueueStore;
  readonly host: string;
  readonly timezone: string | undefined;
}

export interface Route {
  readonly channel: Channel;
  readonly rules: ChannelRules;
}

export interface MessengerCounts {
  readonly sent: number;
  readonly failed: number;
  /** Messages that wait to be sent. */
  readonly waiting: number;
}

/** What is told outside of a cycle waits so long for more of it. */
const GATHER_MS = 2000;

interface Line {
  route: Route;
  queue: Queue;
  /** What is told until the cycle ends: it goes out as one message. */
  gathered: Message | undefined;
  inFlight: number | undefined;
  timer: NodeJS.Timeout | undefined;
  /** What the last failure was, so that the log has each once. */
  trouble: string | undefined;
  sent: number;
  failed: number;
}

/**
 * Takes events at once and brings them to an admin later: none of its callers ever waits for a
 * server. One message a channel is made of all events of a cycle; it lies on the disk until the
 * server has taken it. A message may come twice, if the process is killed right after it was sent.
 */
export class Messenger {
  readonly #parts: MessengerParts;
  readonly #stop = new AbortController();
  readonly #lines = new Map<MessageChannel, Line>();
  readonly #timestamp: (wallMs: Milliseconds) => string;
  #gathering: NodeJS.Timeout | undefined;
  #inCycle = false;
  #saveFailed = false;
  #idle: (() => void) | undefined;

  /** Takes up what waits from before; sends nothing before `use`. */
  constructor(parts: MessengerParts) {
    this.#parts = parts;
    this.#timestamp = createTimestamp(parts.timezone);
  }

  /** The channels that there are from now on. What waits for one that is gone is dropped. */
  use(routes: readonly Route[]): void {
    const saved = this.#lines.size === 0 ? this.#read() : new Map<string, Queue>();
    const names = new Set(routes.map(({ channel }) => channel.name));
    for (const [name, line] of this.#lines) {
      clearTimeout(line.timer);
      if (!names.has(name)) this.#lines.delete(name);
    }
    for (const route of routes) {
      const { name } = route.channel;
      const line = this.#lines.get(name);
      if (line === undefined) {
        const queue = saved.get(name) ?? EMPTY_QUEUE;
        this.#lines.set(name, newLine(route, queue));
      } else {
        // What was wrong may be right now.
        line.queue = { ...line.queue, failures: 0, retryAtMs: milliseconds(0) };
        line.route = route;
      }
    }
    for (const line of this.#lines.values()) this.#pump(line);
  }

  /** To be told; the message is made at the end of the cycle, or soon where none runs. */
  enqueue(event: NotificationEvent): void {
    const nowMs = this.#parts.clock.wallMs();
    for (const line of this.#lines.values()) {
      if (!wants(line.route.rules, event)) continue;
      const message = messageOf(event, nowMs);
      line.gathered = line.gathered === undefined ? message : merged(line.gathered, message);
    }
    if (this.#inCycle || this.#gathering !== undefined) return;
    this.#gathering = setTimeout(() => this.#dispatch(), GATHER_MS);
  }

  cycleBegins(): void {
    this.#inCycle = true;
  }

  cycleEnds(): void {
    this.#inCycle = false;
    this.#dispatch();
  }

  counts(): ReadonlyMap<MessageChannel, MessengerCounts> {
    return new Map(
      [...this.#lines].map(([name, { sent, failed: failures, queue }]) => [
        name,
        { sent, failed: failures, waiting: queue.waiting.length },
      ]),
    );
  }

  /** Gives what waits a last chance for so long; what does not go stays for the next start. */
  async close(limitMs: Milliseconds): Promise<void> {
    this.#inCycle = false;
    this.#dispatch();
    if (this.#isBusy()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limitMs);
        this.#idle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#stop.abort();
    for (const line of this.#lines.values()) clearTimeout(line.timer);
  }

  /** Whether something goes out right now. */
  #isBusy(): boolean {
    return [...this.#lines.values()].some(({ inFlight }) => inFlight !== undefined);
  }

  /** Makes messages of what was gathered, and lays them on the disk. */
  #dispatch(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    const nowMs = this.#parts.clock.wallMs();
    let hasNew = false;
    for (const line of this.#lines.values()) {
      const { gathered, queue, route, inFlight } = line;
      if (gathered === undefined) continue;
      line.gathered = undefined;
      line.queue = accept(queue, gathered, route.rules, nowMs, inFlight);
      hasNew = true;
    }
    if (!hasNew) return;
    this.#save();
    for (const line of this.#lines.values()) this.#pump(line);
  }

  #pump(line: Line): void {
    if (line.inFlight !== undefined || this.#stop.signal.aborted) return;
    clearTimeout(line.timer);
    const { rules } = line.route;
    const { queue, step } = nextStep(line.queue, rules, this.#parts.clock.wallMs());
    line.queue = queue;
    if (step.kind === 'wait') line.timer = setTimeout(() => this.#pump(line), step.ms);
    if (step.kind === 'send') void this.#send(line, step.one);
    if (!this.#isBusy()) this.#idle?.();
  }

  async #send(line: Line, one: Waiting): Promise<void> {
    const { channel } = line.route;
    line.inFlight = one.id;
    const delivery = await channel.send(this.#letter(one.message), this.#stop.signal);
    line.inFlight = undefined;
    this.#settle(line, one, delivery);
    if (this.#lines.get(channel.name) === line) this.#pump(line);
    if (!this.#isBusy()) this.#idle?.();
  }

  #settle(line: Line, one: Waiting, delivery: Delivery): void {
    const { clock, log } = this.#parts;
    const nowMs = clock.wallMs();
    const { name } = line.route.channel;
    if (delivery.ok) {
      line.queue = delivered(line.queue, one, nowMs);
      line.sent += 1;
      const again = line.trouble === undefined || delivery.problem !== undefined ? '' : ' again';
      const said = `Message sent${again} by ${name}; answer: ${delivery.said}`;
      if (again === '') log.debug(said);
      else log.info(said);
      const { problem } = delivery;
      if (problem !== undefined && line.trouble !== problem) {
        log.warn(`A message by ${name} does not arrive everywhere: ${problem}`);
      }
      line.trouble = problem;
      this.#save();
      return;
    }
    // Cut off by our own end: it says nothing about the server.
    if (this.#stop.signal.aborted) return;
    line.failed += 1;
    const { queue, dropped } = failed(line.queue, one, delivery, nowMs, randomInt(1000) / 1000);
    line.queue = queue;
    if (dropped !== undefined) {
      const what = `${eventsIn(dropped)} events`;
      log.error(`A message by ${name} on ${what} is given up, since it is refused each time`);
      this.#save();
    }
    const seconds = Math.round((queue.retryAtMs - nowMs) / 1000);
    const words = `Messages by ${name} do not arrive: ${delivery.said}. Next try in ${seconds} s`;
    if (line.trouble === delivery.said) log.debug(words);
    else log.warn(words);
    line.trouble = delivery.said;
  }

  #letter(message: Message): Letter {
    const { host } = this.#parts;
    const { severity, firstMs, lastMs } = message;
    const [from, time] = [this.#timestamp(firstMs), this.#timestamp(lastMs)];
    const when = lastMs - firstMs < 60_000 ? time : `${from} to ${time}`;
    return {
      host,
      severity,
      time,
      atMs: lastMs,
      title: `lxc-autoscale on ${host}: ${titleOf(message)}`,
      text: `${when}\n${bodyOf(message)}`,
    };
  }

  #read(): ReadonlyMap<string, Queue> {
    const { store, log } = this.#parts;
    const read = store.read();
    if (!read.ok) {
      if (read.why !== 'absent') log.warn(`Waiting messages could not be read: ${read.detail}`);
      return new Map();
    }
    const queues = fromSavedQueues(read.value);
    if (queues === undefined) log.warn('The file of waiting messages makes no sense; a new one');
    return queues ?? new Map();
  }

  #save(): void {
    const queues = new Map([...this.#lines].map(([name, { queue }]) => [name, queue]));
    const failure = this.#parts.store.write(toSavedQueues(queues));
    if (failure !== undefined && !this.#saveFailed) {
      this.#parts.log.warn(`${failure}; messages wait in memory only`);
    }
    this.#saveFailed = failure !== undefined;
  }
}

const newLine = (route: Route, queue: Queue): Line => ({
  route,
  queue,
  gathered: undefined,
  inFlight: undefined,
  timer: undefined,
  trouble: undefined,
  sent: 0,
  failed: 0,
});

/** A message for `notify-test`, which goes past all queues and rules. */
export function testLetter(host: string, atMs: Milliseconds): Letter {
  const time = createTimestamp(undefined)(atMs);
  return {
    host,
    severity: 'info',
    time,
    atMs,
    title: `lxc-autoscale on ${host}: test`,
    text: `${time}\nThis is a test. Messages of lxc-autoscale on ${host} arrive here.`,
  };
}
