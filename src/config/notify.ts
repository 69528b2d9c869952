import { EVENT_KINDS, MESSAGE_CHANNELS } from '../core/notify/event.ts';
import type { EffectiveValues } from './defaults.ts';
import type { DefaultValues } from './keys.ts';
import type { MessageRules, NotifyConfig } from './model.ts';
import { forChannel } from './notify-values.ts';
import type { Reader, Section } from './sections.ts';
import { report } from './sections.ts';
import { bodyOf, isPut } from './webhook-formats.ts';

/** The keys on messages: what must hold between them, and what they come to. */

type Values = EffectiveValues<DefaultValues>;

/** Which keys a channel cannot do without once its first key is set. */
const NEEDS = [
  ['gotify_url', 'gotify_token'],
  ['smtp_server', 'smtp_from'],
  ['smtp_server', 'smtp_to'],
  ['smtp_username', 'smtp_password'],
  ['smtp_password', 'smtp_username'],
] as const satisfies readonly (readonly [keyof Values, keyof Values])[];

export function checkNotify(
  { given, values: own }: Section<DefaultValues>,
  values: Values,
  reader: Reader,
): void {
  const isWrong = (key: keyof Values): boolean => given.has(key) && !Object.hasOwn(own, key);
  const isSet = (key: keyof Values): boolean => {
    const value: unknown = values[key];
    return typeof value === 'string' || Array.isArray(value) ? value.length > 0 : false;
  };
  for (const [key, needed] of NEEDS) {
    const place = given.get(key);
    if (place === undefined || !isSet(key) || isSet(needed) || isWrong(needed)) continue;
    report(reader, place.line, key, `needs ${needed} too; set it, or leave ${key} empty`);
  }
  const { smtp_port: port, smtp_security: security } = values;
  if (port === 465 && security === 'starttls' && given.has('smtp_port')) {
    const message = '465 is the port for smtp_security: tls; set that, or use port 587';
    report(reader, given.get('smtp_port')?.line, 'smtp_port', message);
  }
}

/** Why a weekly report that is asked for reaches nobody; undefined: it does, or is not. */
export function unheardReport(notify: NotifyConfig): string | undefined {
  if (notify.weekly === undefined) return undefined;
  const channels = MESSAGE_CHANNELS.filter((channel) => notify[channel]);
  if (channels.length === 0) return 'reaches nobody, since no channel for messages is set up';
  const isHeard = channels.some((channel) => notify.rules[channel].events.includes('report'));
  return isHeard ? undefined : 'reaches nobody, since notify_events leaves report out';
}

export function notifyConfig(values: Values): NotifyConfig {
  const { smtp_username: username, smtp_password: password } = values;
  const rules = Object.fromEntries(
    MESSAGE_CHANNELS.map((channel) => [channel, rulesOf(values, channel)]),
  ) as Record<(typeof MESSAGE_CHANNELS)[number], MessageRules>;
  return {
    gotify:
      values.gotify_url === ''
        ? undefined
        : {
            url: values.gotify_url,
            token: values.gotify_token,
            priority: values.gotify_priority,
          },
    email:
      values.smtp_server === ''
        ? undefined
        : {
            // Brackets are how addresses stand in URLs; a connection takes none.
            server: values.smtp_server.replace(/^\[|\]$/g, ''),
            port: values.smtp_port,
            security: values.smtp_security,
            from: values.smtp_from,
            to: values.smtp_to,
            login: username === '' ? undefined : { username, password },
          },
    ntfy: values.ntfy_url === '' ? undefined : { url: values.ntfy_url, token: values.ntfy_token },
    webhook:
      values.webhook_url === ''
        ? undefined
        : {
            url: values.webhook_url,
            token: values.webhook_token,
            body: values.webhook_body || bodyOf(values.webhook_format),
            ...(isPut(values.webhook_format) && { put: true }),
          },
    uptimeKuma: values.uptime_kuma_url === '' ? undefined : { url: values.uptime_kuma_url },
    proxmox: values.notify_proxmox ? values.notify_proxmox_type : undefined,
    rules,
    perHour: values.notify_per_hour,
    caFile: values.notify_ca_file === '' ? undefined : values.notify_ca_file,
    weekly:
      values.report === 'none' ? undefined : { day: values.report_day, hour: values.report_hour },
  };
}

function rulesOf(values: Values, channel: (typeof MESSAGE_CHANNELS)[number]): MessageRules {
  return {
    events: forChannel(values.notify_events, channel) ?? EVENT_KINDS,
    minSeverity: forChannel(values.notify_min_severity, channel) ?? 'info',
    quiet: forChannel(values.notify_quiet_hours, channel) ?? undefined,
  };
}
