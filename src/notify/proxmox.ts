import { randomUUID } from 'node:crypto';
import { plainText } from '../core/plain-text.ts';
import type { Channel } from './channel.ts';
import { mailText } from './mail-text.ts';

/** Hands a mail over to the node's own mail system, for the local root. */
export type HandOver = (
  mail: string,
  stop: AbortSignal,
) => Promise<{ readonly ok: true } | { readonly ok: false; readonly why: string }>;

/**
 * The node's own notification system. Its API sends nothing but tests; what it takes is mail to the
 * local root, which `/usr/bin/proxmox-mail-forward` passes on to the targets that the admin has set
 * up, as notifications of the type `system-mail`. On older nodes it is a mail to root.
 * Source: https://pve.proxmox.com/pve-docs/chapter-notifications.html#notification_events
 */
export function proxmox(handOver: HandOver): Channel {
  return {
    name: 'proxmox',
    async send(letter, stop) {
      const id = `${randomUUID()}@${letter.host}`;
      const mail = mailText(letter, { from: 'root', to: ['root'], id });
      const handed = await handOver(mail, stop);
      if (handed.ok) return { ok: true, said: 'handed over to the mail system of this node' };
      return { ok: false, said: plainText(handed.why, 300), fault: 'passing' };
    },
  };
}
