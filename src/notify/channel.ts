import type { MessageChannel, Severity } from '../core/notify/event.ts';
import type { Fault } from '../core/notify/queue.ts';
import type { Milliseconds } from '../core/units.ts';

/** A message as a channel sends it. */
export interface Letter {
  /** The node's name. */
  readonly host: string;
  readonly title: string;
  /** Several lines. */
  readonly text: string;
  readonly severity: Severity;
  readonly atMs: Milliseconds;
  /** The same for people. */
  readonly time: string;
}

/** What became of it, with what the other side said. */
export type Delivery =
  | {
      readonly ok: true;
      readonly said: string;
      /** It was taken, and does not arrive everywhere. */
      readonly problem?: string;
    }
  | {
      readonly ok: false;
      readonly said: string;
      readonly fault: Fault;
      readonly retryAfterMs?: Milliseconds | undefined;
    };

/** One way to an admin. */
export interface Channel {
  readonly name: MessageChannel;
  /** Comes to an end within a time of its own, and soon after `stop`. Never rejects. */
  send(letter: Letter, stop: AbortSignal): Promise<Delivery>;
}

/** For the priority of a message where a server knows one. */
export const SEVERITY_STEP: Readonly<Record<Severity, number>> = { info: 0, warning: 2, error: 3 };
