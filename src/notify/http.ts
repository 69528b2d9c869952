import { readFileSync } from 'node:fs';
import type { Agent as HttpAgent } from 'node:http';
import { Agent } from 'node:https';
import { rootCertificates } from 'node:tls';
import { plainText } from '../core/plain-text.ts';
import { type Milliseconds, milliseconds, secondsToMs } from '../core/units.ts';
import { type HttpAnswer, type Sending, type Sent, send } from '../os/http-send.ts';
import { describeNetworkError, isForSettings } from '../os/network-error.ts';
import type { Delivery } from './channel.ts';
import type { ProxyAgent } from './proxy-agent.ts';

/** One request to a server that takes messages. */

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface HttpLimits {
  readonly timeLimitMs: Milliseconds;
  /** A file with certificates in PEM form that are trusted besides the usual ones. */
  readonly caFile: string | undefined;
  /** The address of the proxy that a request goes through; may hold a login. */
  readonly proxyFor?: ((url: URL) => string | undefined) | undefined;
}

/** Of an answer nothing but its meaning is of interest. */
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_SHOWN = 300;

/**
 * Sends it and says what came back, in the server's own words. Follows no redirect. Never rejects.
 * @param wrong what is wrong with a good answer; undefined if nothing is
 */
export async function request(
  { method, url, headers = {}, body }: HttpRequest,
  { timeLimitMs, caFile, proxyFor }: HttpLimits,
  stop: AbortSignal,
  wrong: (answer: string) => string | undefined = () => undefined,
): Promise<Delivery> {
  const target = partsOf(url);
  const proxy = target && proxyFor?.(target);
  // Ends what still goes on with the proxy if the request has ended without an answer.
  const ended = new AbortController();
  const way = await wayTo(target, proxy, caFile, ended.signal);
  if (typeof way === 'string') return { ok: false, said: way, fault: 'settings' };
  const sending: Sending = {
    method,
    url,
    body,
    timeLimitMs,
    mostBytes: MAX_ANSWER_BYTES,
    agent: way?.agent,
    headers: { Connection: 'close', ...headers },
  };
  const sent = await send(sending, stop);
  if (sent.kind === 'answered') return judged(sent, wrong);
  ended.abort();
  const failed = refusedBy(way, proxy) ?? failure(sent, timeLimitMs);
  return proxy === undefined ? failed : { ...failed, said: `${throughIt(proxy)}: ${failed.said}` };
}

function judged(
  { status, statusText, text, header }: HttpAnswer,
  wrong: (answer: string) => string | undefined,
): Delivery {
  const words = plainText(statusText, MAX_SHOWN);
  const said = `${status} ${words} ${plainText(text.trim(), MAX_SHOWN)}`.trim();
  if (status >= 300 && status < 400) {
    return { ok: false, said: redirected(status, header('location')), fault: 'settings' };
  }
  if (status < 200 || status >= 300) {
    const retryAfterMs = readRetryAfter(header('retry-after'));
    return { ok: false, said, fault: faultOf(status), retryAfterMs };
  }
  const fault = wrong(text);
  if (fault !== undefined) return { ok: false, said: `${fault}: ${said}`, fault: 'settings' };
  return { ok: true, said };
}

/** An address in its parts; undefined if it only looks like one (`http://[`). */
export function partsOf(address: string): URL | undefined {
  try {
    return new URL(address);
  } catch {
    return undefined;
  }
}

export const NO_ADDRESS: Delivery = {
  ok: false,
  said: 'its address in the configuration is none',
  fault: 'settings',
};

interface Agents {
  readonly agent: HttpAgent;
  readonly refusal?: ProxyAgent['refusal'];
}

/** undefined: the usual one; or what is wrong with the settings. */
type Way = Agents | string | undefined;

async function wayTo(
  target: URL | undefined,
  proxy: string | undefined,
  caFile: string | undefined,
  stop: AbortSignal,
): Promise<Way> {
  const isTls = target?.protocol === 'https:';
  const ca = caFile === undefined || !isTls ? undefined : readCertificates(caFile);
  if (ca?.ok === false) return ca.message;
  if (target !== undefined && proxy !== undefined) {
    // Few nodes have a proxy, so it is loaded only there.
    const { proxyAgent } = await import('./proxy-agent.ts');
    return proxyAgent(proxy, target, ca?.value, stop) ?? NO_PROXY_ADDRESS;
  }
  return ca === undefined
    ? undefined
    : { agent: new Agent({ ca: [...ca.value], keepAlive: false }) };
}

const NO_PROXY_ADDRESS =
  'the address of the proxy (in a variable such as HTTPS_PROXY, or http_proxy of datacenter.cfg) ' +
  'is none that begins with http:// or https://';

function refusedBy(way: Way, proxy: string | undefined): (Delivery & { ok: false }) | undefined {
  const refusal = typeof way === 'object' ? way.refusal?.() : undefined;
  if (refusal === undefined || proxy === undefined) return undefined;
  const said = `it makes no connection: ${refusal.status} ${plainText(refusal.words, MAX_SHOWN)}`;
  return { ok: false, said, fault: refusal.status >= 500 ? 'passing' : 'settings' };
}

/** Without its login. */
const throughIt = (proxy: string): string => `by the proxy ${partsOf(proxy)?.host ?? ''}`;

export type Certificates =
  | { readonly ok: true; readonly value: readonly string[] }
  | { readonly ok: false; readonly message: string };

/** The usual certificates and those of the file. */
export function readCertificates(file: string): Certificates {
  try {
    const text = readFileSync(file, 'latin1');
    if (!text.includes('-----BEGIN CERTIFICATE-----')) {
      return { ok: false, message: `notify_ca_file ${file} holds no certificate` };
    }
    return { ok: true, value: [...rootCertificates, text] };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { ok: false, message: `notify_ca_file could not be read: ${why}` };
  }
}

function redirected(status: number, location: string | null): string {
  const to = location === null ? 'elsewhere' : `to ${plainText(location, MAX_SHOWN)}`;
  return `${status}: it redirects ${to}, which is not followed; give the final address`;
}

/** Source: RFC 9110, 15.5 and 15.6; RFC 6585, 4. */
function faultOf(status: number): 'passing' | 'settings' | 'message' {
  if (status >= 500 || [408, 425, 429].includes(status)) return 'passing';
  return [400, 411, 413, 415, 422].includes(status) ? 'message' : 'settings';
}

/** In seconds; a date, which is allowed too, is rare and left to our own rhythm. */
function readRetryAfter(header: string | null): Milliseconds | undefined {
  return header !== null && /^[0-9]{1,6}$/.test(header) ? secondsToMs(Number(header)) : undefined;
}

function failure(
  sent: Exclude<Sent, HttpAnswer>,
  timeLimitMs: Milliseconds,
): Delivery & { ok: false } {
  switch (sent.kind) {
    case 'stopped':
      return { ok: false, said: 'given up, since the daemon stops', fault: 'passing' };
    case 'timed-out':
      return { ok: false, said: `no answer within ${timeLimitMs / 1000} s`, fault: 'passing' };
    case 'too-long': {
      const said = `it answers with more than ${MAX_ANSWER_BYTES} bytes, so it is something else`;
      return { ok: false, said, fault: 'settings' };
    }
    case 'broken': {
      const fault = isForSettings(sent.error) ? 'settings' : 'passing';
      return { ok: false, said: describeNetworkError(sent.error, TRUST), fault };
    }
  }
}

/** What to do if it is not known who signed a server's certificate. */
export const TRUST = 'set notify_ca_file to the certificate of the authority that signed it';

/** What a server may take for one answer. */
export const SEND_LIMIT_MS = milliseconds(20_000);
