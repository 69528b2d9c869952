import type { Config, NotifyConfig } from '../config/model.ts';
import { quietHours } from '../config/off-peak.ts';
import type { MessageChannel } from '../core/notify/event.ts';
import { proxyFor } from '../core/notify/proxy-for.ts';
import type { ChannelRules } from '../core/notify/queue.ts';
import { nodeProxy } from '../node/local/pve/datacenter-file.ts';
import type { Channel } from '../notify/channel.ts';
import { gotify } from '../notify/gotify.ts';
import { type HttpLimits, SEND_LIMIT_MS } from '../notify/http.ts';
import { Messenger, type Route } from '../notify/messenger.ts';
import { ntfy } from '../notify/ntfy.ts';
import { proxmox } from '../notify/proxmox.ts';
import { Heartbeats } from '../notify/uptime-kuma.ts';
import { webhook } from '../notify/webhook.ts';
import { handToSendmail } from '../os/sendmail.ts';
import type { Log } from '../ports.ts';
import { createStateFile } from '../store/state-file.ts';
import type { ProcessContext } from './context.ts';

/** Creates the channels of a configuration. Loaded only if a channel is configured. */

/** Where an administrator of Proxmox VE puts templates of notifications. */
const TEMPLATES = '/etc/pve/notification-templates/default';
const QUEUE_FILE = '/var/lib/lxc_autoscale/messages.json';

export async function limitsOf(
  { caFile }: NotifyConfig,
  { paths, env }: ProcessContext,
): Promise<HttpLimits> {
  const ofNode = await nodeProxy(paths);
  return {
    timeLimitMs: SEND_LIMIT_MS,
    caFile: caFile === undefined ? undefined : paths.at(caFile),
    proxyFor: (url) => proxyFor(url, env, ofNode),
  };
}

export async function channelsOf(
  notify: NotifyConfig,
  context: ProcessContext,
): Promise<readonly Channel[]> {
  const limits = await limitsOf(notify, context);
  const channels: Channel[] = [];
  if (notify.gotify !== undefined) channels.push(gotify(notify.gotify, limits));
  if (notify.email !== undefined) {
    // The SMTP client is loaded only if it is used.
    const { email } = await import('../notify/email.ts');
    channels.push(email(notify.email, limits));
  }
  if (notify.ntfy !== undefined) channels.push(ntfy(notify.ntfy, limits));
  if (notify.webhook !== undefined) channels.push(webhook(notify.webhook, limits));
  if (notify.proxmox === 'lxc-autoscale') {
    const { pveNotify } = await import('../notify/pve-notify.ts');
    channels.push(pveNotify(context.paths.at(TEMPLATES), context.env));
  } else if (notify.proxmox === 'system-mail') {
    channels.push(proxmox((mail, stop) => handToSendmail(mail, context.env, stop)));
  }
  return channels;
}

export function rulesOf(config: Config, channel: MessageChannel): ChannelRules {
  const { events, minSeverity, quiet } = config.notify.rules[channel];
  return {
    events: new Set(events),
    minSeverity,
    isQuiet: quiet === undefined ? () => false : quietHours(quiet, config.timezone),
    perHour: config.notify.perHour,
  };
}

export interface Messengers {
  readonly messenger: Messenger;
  readonly heartbeats: Heartbeats | undefined;
}

/** @param before the messengers of the previous configuration; their queues are kept */
export async function messengersOf(
  config: Config,
  context: ProcessContext,
  log: Log,
  before: Messengers | undefined,
): Promise<Messengers> {
  const { notify, timezone } = config;
  const channels = await channelsOf(notify, context);
  const { paths, clock } = context;
  const store = createStateFile(paths, QUEUE_FILE);
  const host = paths.nodeName();
  const messenger = before?.messenger ?? new Messenger({ clock, log, store, host, timezone });
  const routes = channels.map(
    (channel): Route => ({ channel, rules: rulesOf(config, channel.name) }),
  );
  messenger.use(routes);
  before?.heartbeats?.stop();
  const { uptimeKuma } = notify;
  const heartbeats =
    uptimeKuma === undefined
      ? undefined
      : new Heartbeats(uptimeKuma.url, await limitsOf(notify, context), log);
  return { messenger, heartbeats };
}
