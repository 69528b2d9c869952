import type { Agent } from 'node:http';
import fetch from 'node-fetch';
import type { Milliseconds } from '../core/units.ts';

/** One request over HTTP, and what came of it. Node's own fetch would take 15 MB of memory. */

export interface Sending {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** How connections are made and kept; Node's usual way if not given. */
  readonly agent?: Agent | undefined;
  readonly timeLimitMs: Milliseconds;
  /** A longer body is `too-long`, and not read to its end. */
  readonly mostBytes: number;
}

export interface HttpAnswer {
  readonly kind: 'answered';
  readonly status: number;
  /** The words behind the status. Text of others. */
  readonly statusText: string;
  /** The whole body. Text of others. */
  readonly text: string;
  header(name: string): string | null;
}

export type Sent =
  | HttpAnswer
  /** `stop` fired before the answer was complete. */
  | { readonly kind: 'stopped' }
  | { readonly kind: 'timed-out' }
  | { readonly kind: 'too-long' }
  /** There is no connection, or it broke; the error may name the address. */
  | { readonly kind: 'broken'; readonly error: unknown };

export type Send = (sending: Sending, stop: AbortSignal) => Promise<Sent>;

/**
 * Sends it once. Follows no redirect: that would send a secret to where nobody has put it. Never
 * rejects.
 */
export const send: Send = async (sending, stop) => {
  const { method, url, headers, body, agent, timeLimitMs, mostBytes } = sending;
  // Given such a signal node-fetch fails a second time, where nobody can catch it.
  if (stop.aborted) return { kind: 'stopped' };
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const timer = setTimeout(abort, timeLimitMs);
  stop.addEventListener('abort', abort, { once: true });
  try {
    const response = await fetch(url, {
      method,
      redirect: 'manual',
      size: mostBytes,
      signal: controller.signal,
      headers: { 'User-Agent': 'lxc-autoscale', ...headers },
      ...(body !== undefined && { body }),
      ...(agent !== undefined && { agent }),
    });
    const { status, statusText } = response;
    const header = (name: string): string | null => response.headers.get(name);
    return { kind: 'answered', status, statusText, header, text: await response.text() };
  } catch (error) {
    if (stop.aborted) return { kind: 'stopped' };
    if (controller.signal.aborted) return { kind: 'timed-out' };
    return isTooLong(error) ? { kind: 'too-long' } : { kind: 'broken', error };
  } finally {
    clearTimeout(timer);
    stop.removeEventListener('abort', abort);
  }
};

const isTooLong = (error: unknown): boolean =>
  error instanceof Error && 'type' in error && error.type === 'max-size';
