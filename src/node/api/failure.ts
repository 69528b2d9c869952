import type { FailureWhy } from '../../core/failure-why.ts';
import { plainText } from '../../core/plain-text.ts';
import type { HttpAnswer } from '../../os/http-send.ts';
import { failureWords } from '../pct-words.ts';
import { appendCommand, grantCommand, LEAST_PRIVILEGES } from './privileges.ts';

/** Why the REST API of Proxmox VE did not do what it was asked, each kind with a name. */

export type ApiFailureWhy =
  | FailureWhy
  /** Its certificate is not the one that was to be expected. Nothing was sent. */
  | 'certificate'
  | 'timeout'
  /** The password is right, and more than that is asked for. */
  | 'second-factor'
  /** It answers, and not as Proxmox VE does. */
  | 'malformed'
  /** We were told to stop. */
  | 'stopped';

export interface ApiFailure {
  readonly ok: false;
  readonly why: ApiFailureWhy;
  /** For people, one line, no secret in it. */
  readonly message: string;
  /** Of an answer. */
  readonly status?: number;
}

/** `data` of an answer, whatever it is: text of others. */
export type ApiAnswer<T = unknown> = { readonly ok: true; readonly data: T } | ApiFailure;

export const apiFailure = (why: ApiFailureWhy, message: string): ApiFailure => ({
  ok: false,
  why,
  message,
});

const LONGEST_MESSAGE = 500;

/** Who asks, for the words of a refusal: `user@realm`, or `user@realm!name` of a token. */
export type Asker = string;

/**
 * What an answer says that is none of success. The text is in the status line and, as JSON, in the
 * body. Source: recordings of Proxmox VE 8.4; pve-http-server, AnyEvent.pm.
 */
export function failureOf(answer: HttpAnswer, asker: Asker): ApiFailure {
  const { status } = answer;
  const said = plainText(wordsOf(answer), LONGEST_MESSAGE);
  const failed = (why: ApiFailureWhy, message: string): ApiFailure => ({
    ...apiFailure(why, message),
    status,
  });
  if (status >= 300 && status < 400) {
    const to = plainText(answer.header('location') ?? 'elsewhere', LONGEST_MESSAGE);
    return failed('malformed', `it redirects to ${to}, which is not followed`);
  }
  if (status === 401) return failed('denied', `it does not know ${asker}: ${said}`);
  if (status === 403) return failed('denied', deniedWords(said, asker));
  if (isOfProxy(status)) {
    const isTaken = status === 596;
    const what = isTaken ? 'took the request, and gave no answer' : 'does not answer';
    return failed('unreachable', `the node's API daemon ${what}: ${said}`);
  }
  if (status === 501)
    return failed('other', `this version of Proxmox VE has no such call: ${said}`);
  const { why, message } = failureWords(status, said);
  return failed(why, plainText(message, LONGEST_MESSAGE));
}

/**
 * Codes of pveproxy itself: it could not reach the node or daemon that would answer (595), or has
 * reached it (596) in vain. Source: AnyEvent::HTTP.
 */
export const isOfProxy = (status: number): boolean => [595, 596, 599].includes(status);

function wordsOf({ statusText, status, text }: HttpAnswer): string {
  const body = parsed(text);
  const errors = Object.entries(recordOf(body['errors']))
    .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    .map(([name, problem]) => `${name}: ${problem.trim()}`);
  if (errors.length > 0) return errors.join('; ');
  const { message } = body;
  const said = typeof message === 'string' && message.trim() !== '' ? message : statusText;
  return said.trim() === '' ? `status ${status}` : said.trim();
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return recordOf(JSON.parse(text));
  } catch {
    return {};
  }
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};

const CHECK = /^Permission check failed \((\/[A-Za-z0-9/_.-]*), ([A-Za-z.|]+)\)/;

/** Names the privilege, and the command that grants it. */
function deniedWords(said: string, asker: Asker): string {
  const [, path, privilege] = CHECK.exec(said) ?? [];
  if (path === undefined || privilege === undefined) return `${asker} may not do this: ${said}`;
  const privileges = privilege.replaceAll('|', ' or ');
  const grant = grantCommand(path, asker);
  const all = privilege.split('|');
  const isInRole = all.some((one) => LEAST_PRIVILEGES.includes(one));
  const commands = isInRole ? grant : `${appendCommand(all[0] ?? '')} && ${grant}`;
  return `${asker} lacks ${privileges} on ${path}; grant it with: ${commands}`;
}
