import type { JournalEvent } from '../../core/journal-event.ts';
import { journalWords } from '../../core/journal-words.ts';
import type { EndedCycle } from '../part.ts';
import { maskedJson } from './masked.ts';
import { HttpProblem } from './problem.ts';

/** Server-sent events: who listens hears of each cycle and of each line of the JSON log. */

const MOST_LISTENERS = 16;
/** A line now and then, so that neither side takes the other for gone. */
const ALIVE_MS = 20_000;
/** A listener that is so far behind does not read any more. */
const MOST_WAITING = 200;

type Listener = ReadableStreamDefaultController<Uint8Array>;

export class LiveEvents {
  /** Each with whether it may still hear anything. */
  readonly #listeners = new Map<Listener, () => boolean>();
  readonly #encoder = new TextEncoder();
  readonly #mask: (text: string) => string;
  #timer: NodeJS.Timeout | undefined;

  /** @param mask takes secrets out of a text */
  constructor(mask: (text: string) => string) {
    this.#mask = mask;
  }

  /**
   * A stream that lasts until its reader goes. Throws if too many listen.
   *
   * @param mayHear false: whoever listens is not logged in any more
   */
  listen(stay: () => boolean, mayHear: () => boolean): Response {
    if (this.#listeners.size >= MOST_LISTENERS || !stay()) {
      const detail = `Not more than ${MOST_LISTENERS} may listen at a time`;
      throw new HttpProblem('too-many-listeners', detail);
    }
    let own: Listener | undefined;
    const body = new ReadableStream<Uint8Array>(
      {
        start: (listener) => {
          own = listener;
          this.#listeners.set(listener, mayHear);
          this.#send(listener, ': welcome\n\n');
        },
        cancel: () => this.#left(own),
      },
      { highWaterMark: MOST_WAITING },
    );
    this.#timer ??= setInterval(() => this.#sendAll(': alive\n\n'), ALIVE_MS).unref();
    const headers = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' };
    return new Response(body, { headers });
  }

  cycle({ node, kind, result, view }: EndedCycle, wallMs: number): void {
    const about = { node, kind, ok: result.ok, cycle: view?.cycle ?? null };
    this.#tell('cycle', { ...about, at: new Date(wallMs).toISOString() });
  }

  /** As the JSON log has it. */
  journal(one: JournalEvent, node: string, wallMs: number): void {
    const { action, change, event, resource, direction, by } = journalWords(one);
    const words = { action, change, time: new Date(wallMs).toISOString(), event, resource };
    const about = { proxmox_host: node, container_id: `${one.vmid}`, ...words, direction, by };
    this.#tell('journal', { ...one.details, ...about });
  }

  /** Tells all of the end, and ends. */
  stop(): void {
    this.#tell('bye', {});
    for (const listener of [...this.#listeners.keys()]) this.#end(listener);
  }

  #tell(name: string, content: object): void {
    if (this.#listeners.size === 0) return;
    this.#sendAll(`event: ${name}\ndata: ${maskedJson(content, this.#mask)}\n\n`);
  }

  #sendAll(text: string): void {
    for (const [listener, mayHear] of [...this.#listeners]) {
      if (mayHear()) this.#send(listener, text);
      else this.#end(listener);
    }
  }

  #send(listener: Listener, text: string): void {
    if ((listener.desiredSize ?? 0) > 0) {
      listener.enqueue(this.#encoder.encode(text));
      return;
    }
    this.#left(listener);
    listener.error(new Error('it does not read'));
  }

  #end(listener: Listener): void {
    this.#left(listener);
    listener.close();
  }

  #left(listener: Listener | undefined): void {
    if (listener !== undefined) this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
