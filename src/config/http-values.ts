import { createHash } from 'node:crypto';
import { isBlank } from './read-values.ts';

/** What the values of `http_tokens` and `http_hosts` mean. Total: what makes no sense is named. */

export const HTTP_ROLES = ['read', 'scale', 'admin'] as const;
export type HttpRole = (typeof HTTP_ROLES)[number];

/** Who may ask over HTTP. A token is known by its SHA-256 (hex) alone from here on. */
export interface HttpToken {
  readonly name: string;
  readonly role: HttpRole;
  readonly secret:
    | { readonly kind: 'hash'; readonly sha256: string }
    /** The token is the one line of this file. */
    | { readonly kind: 'file'; readonly path: string };
}

/** The keys of one entry of `http_tokens`; what is secret is never shown. */
export const HTTP_TOKEN_KEYS = {
  name: 'plain',
  token: 'secret',
  token_file: 'plain',
  role: 'plain',
} as const;

const NAME = /^[A-Za-z0-9_.-]{1,40}$/;
const TOKEN = /^[!-~]{16,256}$/;
const PATH = /^\/+[^/\s]\S{0,1023}$/;

export const hashOfToken = (token: string): string =>
  createHash('sha256').update(token).digest('hex');

/** Whether a text can be a token. */
export const isToken = (text: string): boolean => TOKEN.test(text);

/** A token, or what is wrong with it. */
export function readHttpToken(raw: unknown): HttpToken | string {
  if (!(raw instanceof Map)) return 'is no mapping with name, token and role';
  const text = (key: keyof typeof HTTP_TOKEN_KEYS): string => {
    const value: unknown = raw.get(key);
    return typeof value === 'string' ? value.trim() : '';
  };
  const [name, token, path] = [text('name'), text('token'), text('token_file')];
  const role = HTTP_ROLES.find((one) => one === text('role').toLowerCase());
  if (name === '') return 'has no name';
  if (!NAME.test(name)) return 'has a name with other characters, or more than 40';
  if (role === undefined) return 'has no role that is known';
  if ((token === '') === (path === '')) return 'needs either token or token_file';
  if (path !== '') {
    return PATH.test(path)
      ? { name, role, secret: { kind: 'file', path } }
      : 'has a token_file that is not an absolute path';
  }
  if (!isToken(token)) return 'has a token with blanks, or with less than 16 characters';
  return { name, role, secret: { kind: 'hash', sha256: hashOfToken(token) } };
}

const HOST = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;

/** Names of hosts in lower case; undefined if one of them is none. */
export function readHosts(raw: unknown): readonly string[] | undefined {
  if (isBlank(raw)) return [];
  const given: readonly unknown[] = Array.isArray(raw)
    ? raw
    : typeof raw === 'string'
      ? raw.split(',')
      : [raw];
  const names = given.map((one) => (typeof one === 'string' ? one.trim().toLowerCase() : ''));
  return names.every((name) => HOST.test(name)) ? names : undefined;
}
