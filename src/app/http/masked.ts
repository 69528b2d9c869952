import type { Config } from '../../config/model.ts';
import { secretsOf } from '../../config/notify.ts';
import { masking } from '../../core/secrets.ts';

/** Takes the secrets of a configuration out of a text. */
export const secretMask = (config: Config): ((text: string) => string) =>
  masking([config.metrics.token, ...secretsOf(config)]);

/** The configuration in force as a tree that JSON can hold, without its secrets. */
export function maskedConfig(config: Config): object {
  const mask = secretMask(config);
  const text = JSON.stringify({ ...config, http: withoutHashes(config.http) }, (_key, value) =>
    typeof value === 'string' ? mask(value) : value,
  );
  return JSON.parse(text) as object;
}

/** A hash is no secret by itself, but the one of a weak token can be guessed. */
const withoutHashes = (http: Config['http']): object => ({
  ...http,
  tokens: http.tokens.map(({ name, role }) => ({ name, role })),
});
