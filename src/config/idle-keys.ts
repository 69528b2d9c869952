import { isDeepStrictEqual } from 'node:util';
import { DEFAULTS, type EffectiveValues } from './defaults.ts';
import type { DefaultValues } from './keys.ts';
import type { Section } from './sections.ts';

/** Keys that say something about what is not there. */

type Values = EffectiveValues<DefaultValues>;

/** Each with the key without which it has no effect, and with how that is to be set. */
const BELONGS_TO = [
  ['gotify_token', 'gotify_url'],
  ['smtp_username', 'smtp_server'],
  ['smtp_from', 'smtp_server'],
  ['smtp_to', 'smtp_server'],
  ['ntfy_token', 'ntfy_url'],
  ['webhook_token', 'webhook_url'],
  ['webhook_body', 'webhook_url'],
  ['notify_proxmox_type', 'notify_proxmox', '`notify_proxmox: True`'],
  ['report_day', 'report', '`report: weekly`'],
  ['report_hour', 'report', '`report: weekly`'],
  ['off_peak_cron', 'energy_mode', '`energy_mode: True`'],
  ['http_tokens', 'http_listen'],
  ['http_hosts', 'http_listen'],
  ['http_tls_cert', 'http_listen'],
  ['http_tls_key', 'http_listen'],
  ['http_behind_proxy', 'http_listen'],
  ['http_proxmox_login', 'http_listen'],
] as const satisfies readonly (readonly [keyof Values, keyof Values, string?])[];

export interface Idle {
  readonly line: number;
  readonly key: string;
  readonly owner: string;
}

/** @param values what is in force */
export function idleKeys({ given }: Section<DefaultValues>, values: Values): readonly Idle[] {
  const isUsual = (key: keyof Values): boolean => isDeepStrictEqual(values[key], DEFAULTS[key]);
  return BELONGS_TO.flatMap(([key, owner, shown = owner]) => {
    const place = given.get(key);
    if (place === undefined || isUsual(key) || !isUsual(owner)) return [];
    return [{ line: place.line, key, owner: shown }];
  });
}
