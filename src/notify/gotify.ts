import { type Channel, type Letter, SEVERITY_STEP } from './channel.ts';
import { fitting } from './fitting.ts';
import { type HttpLimits, type HttpRequest, request } from './http.ts';

export interface GotifySettings {
  readonly url: string;
  readonly token: string;
  /** 0 to 10, of a message that can wait. */
  readonly priority: number;
}

/** Source: https://gotify.net/docs/pushmsg, and the API's description of `POST /message`. */
export function gotify(settings: GotifySettings, limits: HttpLimits): Channel {
  return {
    name: 'gotify',
    // The server has no limit of its own; a proxy before it may have one.
    send: fitting(Infinity, lengthOf, (letter, stop) =>
      request(gotifyRequest(settings, letter), limits, stop, notGotify),
    ),
  };
}

const lengthOf = ({ text }: Letter): number => text.length;

function gotifyRequest({ url, token, priority }: GotifySettings, letter: Letter): HttpRequest {
  const { title, text, severity } = letter;
  return {
    method: 'POST',
    url: `${url.replace(/\/+$/, '')}/message`,
    // In a header, since addresses end up in the logs of servers.
    headers: { 'X-Gotify-Key': token, 'Content-Type': 'application/json' },
    body: JSON.stringify({
      title,
      message: text,
      priority: Math.min(10, priority + SEVERITY_STEP[severity]),
    }),
  };
}

/** A page for people, say, answers any request with 200. */
const notGotify = (answer: string): string | undefined =>
  /^\s*\{[\s\S]*"id"\s*:/.test(answer) ? undefined : 'this is no answer of a Gotify server';
