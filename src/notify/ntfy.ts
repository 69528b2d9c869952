import type { Severity } from '../core/notify/event.ts';
import type { Channel, Letter } from './channel.ts';
import { fitting } from './fitting.ts';
import { type HttpLimits, type HttpRequest, NO_ADDRESS, partsOf, request } from './http.ts';

export interface NtfySettings {
  /** The address of the topic: `https://ntfy.sh/topic`. */
  readonly url: string;
  /** Empty: none is needed. */
  readonly token: string;
}

const PRIORITY: Readonly<Record<Severity, number>> = { info: 3, warning: 4, error: 5 };
const TAG: Readonly<Record<Severity, string>> = {
  info: 'information_source',
  warning: 'warning',
  error: 'rotating_light',
};
/** Of 4096 bytes; a longer message would arrive as a file. */
const MAX_BYTES = 3800;

/** Source: https://docs.ntfy.sh/publish/#publish-as-json */
export function ntfy(settings: NtfySettings, limits: HttpLimits): Channel {
  return {
    name: 'ntfy',
    send: fitting(MAX_BYTES, bytesOf, async (letter, stop) => {
      const post = ntfyRequest(settings, letter);
      return post === undefined ? NO_ADDRESS : request(post, limits, stop, notNtfy);
    }),
  };
}

function ntfyRequest({ url, token }: NtfySettings, letter: Letter): HttpRequest | undefined {
  const { title, text, severity } = letter;
  const topic = partsOf(url);
  if (topic === undefined) return undefined;
  // Names of topics have letters, digits, - and _ only, so nothing in them is encoded.
  const name = topic.pathname.replace(/\/+$/, '').split('/').pop();
  topic.pathname = topic.pathname.replace(/[^/]+\/*$/, '');
  return {
    method: 'POST',
    url: topic.href,
    headers: {
      'Content-Type': 'application/json',
      ...(token !== '' && { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({
      topic: name,
      title,
      message: text,
      priority: PRIORITY[severity],
      tags: [TAG[severity]],
    }),
  };
}

const bytesOf = ({ text }: Letter): number => Buffer.byteLength(text);

const notNtfy = (answer: string): string | undefined =>
  /^\s*\{[\s\S]*"id"\s*:/.test(answer) ? undefined : 'this is no answer of an ntfy server';
