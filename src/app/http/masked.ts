import type { Config } from '../../config/model.ts';
import { secretsOf } from '../../config/secrets-of.ts';
import { masking } from '../../core/secrets.ts';

/** Takes the secrets of a configuration out of a text. */
export const secretMask = (config: Config): ((text: string) => string) =>
  masking(secretsOf(config));

/** This as JSON, its texts masked before: in JSON itself a secret may be spelt otherwise. */
export const maskedJson = (content: object, mask: (text: string) => string): string =>
  JSON.stringify(content, (_key, value) => (typeof value === 'string' ? mask(value) : value));

/** Their values are never shown; a short one would not be masked, since it is in many texts. */
const SECRET_KEYS: ReadonlySet<string> = new Set(['token', 'password', 'secret']);

/** The configuration in force as a tree that JSON can hold, without its secrets. */
export function maskedConfig(config: Config): object {
  const open = { ...config, http: withoutHashes(config.http) };
  const tree = JSON.parse(JSON.stringify(open, withoutSecret)) as object;
  return JSON.parse(maskedJson(tree, secretMask(config))) as object;
}

const withoutSecret = (key: string, value: unknown): unknown =>
  SECRET_KEYS.has(key) && typeof value === 'string' && value !== '' ? '***' : value;

/** A hash is no secret by itself, but the one of a weak token can be guessed. */
const withoutHashes = (http: Config['http']): object => ({
  ...http,
  tokens: http.tokens.map(({ name, role }) => ({ name, role })),
});
