/** What chat services take by a webhook, as templates for `webhook_body`. */

export const WEBHOOK_FORMATS = ['json', 'discord', 'slack', 'telegram', 'matrix'] as const;

export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

const TEXT = '{{title}}\n{{message}}';

/**
 * No text of a message can mention anybody: Discord is told to, and Slack gets plain text. Sources:
 * https://discord.com/developers/docs/resources/webhook#execute-webhook,
 * https://api.slack.com/messaging/webhooks, https://core.telegram.org/bots/api#sendmessage (its
 * chat_id is in the address),
 * https://spec.matrix.org/v1.9/client-server-api/#sending-events-to-a-room
 */
const BODIES: Readonly<Record<WebhookFormat, object | undefined>> = {
  json: undefined,
  discord: { content: TEXT, allowed_mentions: { parse: [] } },
  slack: {
    text: '{{title}}',
    blocks: [{ type: 'section', text: { type: 'plain_text', text: TEXT } }],
  },
  telegram: { text: TEXT, disable_web_page_preview: true },
  matrix: { msgtype: 'm.text', body: TEXT },
};

/** Empty: an object with all that there is to say. */
export function bodyOf(format: WebhookFormat): string {
  const body = BODIES[format];
  return body === undefined ? '' : JSON.stringify(body);
}

/** Matrix takes each event once, under a name that the sender gives it. */
export const isPut = (format: WebhookFormat): boolean => format === 'matrix';
