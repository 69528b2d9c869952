/** What an admin is told of, whichever way. */

/** From what can wait to what cannot. */
export const SEVERITIES = ['info', 'warning', 'error'] as const;
export type Severity = (typeof SEVERITIES)[number];

export const EVENT_KINDS = [
  'changed',
  'failed',
  'starving',
  'emergency',
  'group',
  'daemon',
  'configuration',
  'report',
] as const;
export type EventKind =
  | 'changed'
  /** A change failed, was rolled back, or could not even be thought of. */
  | 'failed'
  /** A container needs more than its maximum. */
  | 'starving'
  /** The host has nothing left. */
  | 'emergency'
  /** A group took a member in or out. */
  | 'group'
  /** Started, stopped. */
  | 'daemon'
  /** A new configuration was refused. */
  | 'configuration'
  /** The weekly report. */
  | 'report';

export interface NotificationEvent {
  readonly kind: EventKind;
  readonly severity: Severity;
  /** One sentence. May hold text of others, such as names of containers. */
  readonly text: string;
  /** Further lines below it, in their order. */
  readonly further?: readonly string[];
}

export const rankOf = (severity: Severity): number => SEVERITIES.indexOf(severity);

export const isAtLeast = (severity: Severity, least: Severity): boolean =>
  rankOf(severity) >= rankOf(least);

/** Where messages can go to. */
export const MESSAGE_CHANNELS = ['gotify', 'email', 'ntfy', 'webhook', 'proxmox'] as const;
export type MessageChannel = (typeof MESSAGE_CHANNELS)[number];
