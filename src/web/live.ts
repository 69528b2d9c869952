import type { StatusReport } from '../core/report/status.ts';
import type { Api, Problem } from './api.ts';
import { keepingEqual } from './guest-rows.ts';

/** The state of the node, kept fresh: by events of the daemon, or by asking again and again. */

export interface Live {
  /** The last one that came; old if the link is lost. */
  readonly report: StatusReport | undefined;
  /** `live`: events come. `polling`: it is asked for. `lost`: no answer. */
  readonly link: 'connecting' | 'live' | 'polling' | 'lost';
  /** Why there is no newer one; empty if there is nothing to say. */
  readonly says: string;
  /** When it is asked for again, by the clock of this browser. */
  readonly retryMs: number;
  /** Counts answers, so that views know when to ask anew. */
  readonly version: number;
}

const POLL_MS = 10_000;
/** Events may get lost in a proxy. */
const POLL_BESIDE_EVENTS_MS = 60_000;
const STARTING_MS = 2000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
/** Several events of one cycle are one reason to ask. */
const GATHER_MS = 150;

const NOTHING: Live = {
  report: undefined,
  link: 'connecting',
  says: '',
  retryMs: 0,
  version: 0,
};

/** Nothing is asked while nobody looks: a hidden page rests. */
export class LiveStatus {
  current = NOTHING;
  readonly #api: Api;
  readonly #tell: () => void;
  #node: string | undefined;
  #timer = 0;
  #failures = 0;
  #events: EventSource | undefined;
  #isRunning = false;
  /** An answer to an earlier question than the last one tells nothing. */
  #asked = 0;

  constructor(api: Api, tell: () => void) {
    this.#api = api;
    this.#tell = tell;
  }

  start(): void {
    this.#isRunning = true;
    document.addEventListener('visibilitychange', this.#onVisibility);
    this.refresh();
  }

  stop(): void {
    this.#isRunning = false;
    document.removeEventListener('visibilitychange', this.#onVisibility);
    this.#rest();
  }

  readonly refresh = (): void => {
    this.#failures = 0;
    void this.#ask();
  };

  /** Another node of the same daemon. */
  readonly showNode = (node: string): void => {
    this.#node = node;
    this.#become({ ...NOTHING, version: this.current.version });
    this.refresh();
  };

  readonly #onVisibility = (): void => (document.hidden ? this.#rest() : this.refresh());

  #rest(): void {
    window.clearTimeout(this.#timer);
    this.#events?.close();
    this.#events = undefined;
  }

  #become(change: Partial<Live>): void {
    this.current = { ...this.current, ...change };
    this.#tell();
  }

  #askIn(ms: number): void {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#ask(), ms);
  }

  async #ask(): Promise<void> {
    window.clearTimeout(this.#timer);
    this.#asked += 1;
    const mine = this.#asked;
    const query = this.#node === undefined ? '' : `?node=${encodeURIComponent(this.#node)}`;
    const answer = await this.#api.get<StatusReport>(`status${query}`);
    if (!this.#isRunning || mine !== this.#asked) return;
    if (answer.ok) this.#took(answer.value);
    else this.#missed(answer.problem);
  }

  #took(report: StatusReport): void {
    this.#failures = 0;
    if (!document.hidden) {
      this.#listen();
      this.#askIn(this.#hears() ? POLL_BESIDE_EVENTS_MS : POLL_MS);
    }
    const { version, report: before } = this.current;
    const containers = keepingEqual(before?.containers ?? [], report.containers);
    const link = this.#hears() ? 'live' : 'polling';
    this.#become({ report: { ...report, containers }, link, says: '', version: version + 1 });
  }

  #missed({ kind, says }: Problem): void {
    if (kind === 'signed-out') return;
    const waitMs =
      kind === 'starting'
        ? STARTING_MS
        : Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    this.#failures += 1;
    if (!document.hidden) this.#askIn(waitMs);
    const isFirst = this.current.report === undefined;
    const link = kind === 'starting' && isFirst ? 'connecting' : 'lost';
    this.#become({ link, says, retryMs: Date.now() + waitMs });
  }

  #hears(): boolean {
    return this.#events?.readyState === EventSource.OPEN;
  }

  #listen(): void {
    if (this.#events !== undefined) return;
    const source = new EventSource('api/v1/events');
    this.#events = source;
    const end = (): void => {
      source.close();
      if (this.#events !== source) return;
      this.#events = undefined;
      // Whether the daemon is gone, or only its events, is said by the next answer.
      if (this.current.link === 'live') this.#askIn(GATHER_MS);
    };
    source.addEventListener('open', () => {
      if (this.current.link === 'polling') this.#become({ link: 'live' });
    });
    for (const news of ['cycle', 'journal']) {
      source.addEventListener(news, () => this.#askIn(GATHER_MS));
    }
    source.addEventListener('bye', end);
    source.addEventListener('error', end);
  }
}
