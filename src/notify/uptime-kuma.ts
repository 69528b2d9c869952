import type { Log } from '../ports.ts';
import type { Delivery } from './channel.ts';
import { type HttpLimits, NO_ADDRESS, partsOf, request } from './http.ts';

/** What is told to a monitor of the type "push": that a cycle was run, and how it went. */
export interface Heartbeat {
  readonly up: boolean;
  readonly message: string;
  /** How long the cycle took. */
  readonly pingMs: number;
}

/** The address as Uptime Kuma shows it may carry an example of what is put in here. */
export async function beat(
  url: string,
  { up, message, pingMs }: Heartbeat,
  limits: HttpLimits,
  stop: AbortSignal,
): Promise<Delivery> {
  const address = partsOf(url);
  if (address === undefined) return NO_ADDRESS;
  address.searchParams.set('status', up ? 'up' : 'down');
  address.searchParams.set('msg', message);
  address.searchParams.set('ping', String(Math.round(pingMs)));
  return request({ method: 'GET', url: address.href }, limits, stop, notKuma);
}

const notKuma = (answer: string): string | undefined =>
  /"ok"\s*:\s*true/.test(answer) ? undefined : 'Uptime Kuma does not take it';

/** Sends what is newest. A heartbeat that did not arrive is not sent later: the next one counts. */
export class Heartbeats {
  readonly #stop = new AbortController();
  #trouble: string | undefined;
  #inFlight = false;

  constructor(
    private readonly url: string,
    private readonly limits: HttpLimits,
    private readonly log: Log,
  ) {}

  /** Returns at once. While one is on its way no other one is sent. */
  beat(heartbeat: Heartbeat): void {
    if (this.#inFlight || this.#stop.signal.aborted) return;
    this.#inFlight = true;
    void beat(this.url, heartbeat, this.limits, this.#stop.signal).then((delivery) => {
      this.#inFlight = false;
      if (this.#stop.signal.aborted) return;
      if (!delivery.ok && delivery.said !== this.#trouble) {
        this.log.warn(`Heartbeats by uptime_kuma do not arrive: ${delivery.said}`);
      }
      if (delivery.ok && this.#trouble !== undefined) {
        this.log.info('Heartbeats by uptime_kuma arrive again');
      }
      this.#trouble = delivery.ok ? undefined : delivery.said;
    });
  }

  stop(): void {
    this.#stop.abort();
  }
}
