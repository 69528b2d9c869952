import {
  EVENT_KINDS,
  type EventKind,
  type NotificationEvent,
  SEVERITIES,
} from '../../../src/core/notify/event.ts';
import { type Message, merged, messageOf } from '../../../src/core/notify/message.ts';
import type { ChannelRules } from '../../../src/core/notify/queue.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { fc } from '../../fast-check.ts';

/** Events, messages and rules for the tests on messages. */

export const at = (ms: number) => milliseconds(1_700_000_000_000 + ms);
export const minutes = (count: number): number => count * 60_000;

export const event = (text: string, rest: Partial<NotificationEvent> = {}): NotificationEvent => ({
  kind: 'changed',
  severity: 'info',
  text,
  ...rest,
});

export const message = (text: string, rest: Partial<NotificationEvent> = {}, ms = 0): Message =>
  messageOf(event(text, rest), at(ms));

export const error = (text: string): Message =>
  message(text, { kind: 'failed', severity: 'error' });

export const rules = (rest: Partial<ChannelRules> = {}): ChannelRules => ({
  events: new Set<EventKind>(EVENT_KINDS),
  minSeverity: 'info',
  isQuiet: () => false,
  perHour: 60,
  ...rest,
});

const events = fc.record({
  kind: fc.constantFrom(...EVENT_KINDS),
  severity: fc.constantFrom(...SEVERITIES),
  text: fc.constantFrom(...Array.from({ length: 40 }, (_, index) => `text ${index}`)),
});

/** One to some dozens of events in one. */
export const messages = fc
  .array(events, { minLength: 1, maxLength: 60, size: 'max' })
  .map((all) => all.map((one, index) => messageOf(one, at(index))).reduce(merged));
