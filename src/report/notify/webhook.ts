import type { Channel, Letter } from './channel.ts';
import { type HttpLimits, type HttpRequest, request } from './http.ts';

export interface WebhookSettings {
  readonly url: string;
  /** Sent as a bearer token. Empty: none. */
  readonly token: string;
  /** JSON, with `{{title}}` and the like within its texts. Empty: all of them as an object. */
  readonly body: string;
}

export function webhook(settings: WebhookSettings, limits: HttpLimits): Channel {
  return {
    name: 'webhook',
    send: (letter, stop) => request(webhookRequest(settings, letter), limits, stop),
  };
}

function webhookRequest({ url, token, body }: WebhookSettings, letter: Letter): HttpRequest {
  return {
    method: 'POST',
    url,
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
