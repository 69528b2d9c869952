import { randomUUID } from 'node:crypto';
import type { Channel, Letter } from './channel.ts';
import { fitting } from './fitting.ts';
import { type HttpLimits, type HttpRequest, partsOf, request } from './http.ts';

export interface WebhookSettings {
  readonly url: string;
  /** Sent as a bearer token. Empty: none. */
  readonly token: string;
  /** JSON, with `{{title}}` and the like within its texts. Empty: all of them as an object. */
  readonly body: string;
  /** Each message is put under a name of its own below the address, instead of posted to it. */
  readonly put?: boolean;
}

export function webhook(settings: WebhookSettings, limits: HttpLimits): Channel {
  const longest = (letter: Letter): number => longestText(webhookBody(settings.body, letter));
  return {
    name: 'webhook',
    send: fitting(knownLimit(settings.url), longest, (letter, stop) =>
      request(webhookRequest(settings, letter), limits, stop),
    ),
  };
}

/**
 * The longest text that services take, in characters. Telegram counts UTF-16 units; where a service
 * counts characters, there are never more of them than units. Sources:
 * https://discord.com/developers/docs/resources/webhook#execute-webhook (`content`),
 * https://core.telegram.org/bots/api#sendmessage (`text`),
 * https://api.slack.com/reference/block-kit/blocks#section (`text`)
 */
const SERVICES: readonly (readonly [host: RegExp, units: number])[] = [
  [/(?:^|\.)discord(?:app)?\.com$/, 2000],
  [/(?:^|\.)api\.telegram\.org$/, 4096],
  [/^hooks\.slack\.com$/, 3000],
];

export function knownLimit(url: string): number {
  const host = partsOf(url)?.hostname ?? '';
  return SERVICES.find(([pattern]) => pattern.test(host))?.[1] ?? Number.POSITIVE_INFINITY;
}

/** In UTF-16 units, of all texts in a JSON text. */
export function longestText(json: string): number {
  let longest = 0;
  JSON.parse(json, (_name, value: unknown) => {
    if (typeof value === 'string') longest = Math.max(longest, value.length);
    return value;
  });
  return longest;
}

function webhookRequest(
  { url, token, body, put = false }: WebhookSettings,
  letter: Letter,
): HttpRequest {
  return {
    ...(put
      ? { method: 'PUT', url: `${url.replace(/\/+$/, '')}/${randomUUID()}` }
      : { method: 'POST', url }),
    headers: {
      'Content-Type': 'application/json',
      ...(token !== '' && { Authorization: `Bearer ${token}` }),
    },
    body: webhookBody(body, letter),
  };
}

/** The words are put into the texts of a parsed template, so that none of them can break out. */
export function webhookBody(template: string, letter: Letter): string {
  const { host, title, text, severity, time } = letter;
  const words: Readonly<Record<string, string>> = { host, title, message: text, severity, time };
  if (template === '') return JSON.stringify(words);
  return JSON.stringify(JSON.parse(template), (_name, value: unknown) =>
    typeof value === 'string'
      ? value.replace(/\{\{ *([a-z]+) *\}\}/g, (whole, name: string) => words[name] ?? whole)
      : value,
  );
}
