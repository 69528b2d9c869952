import { plainText } from '../plain-text.ts';
import { isMoment, type Milliseconds, milliseconds } from '../units.ts';
import { EVENT_KINDS, type EventKind, SEVERITIES, type Severity } from './event.ts';
import { MAX_LINES, type Message, type MessageLine } from './message.ts';
import { EMPTY_QUEUE, MAX_WAITING, type Queue, type Sent, type Waiting } from './queue.ts';

/** The queues of all channels as they lie on the disk, so that a restart loses nothing. */

export const QUEUE_FORMAT = 1;
const MAX_SENT = 1000;
const MAX_TEXT_LENGTH = 1000;

export function toSavedQueues(queues: ReadonlyMap<string, Queue>): unknown {
  const channels: Record<string, unknown> = {};
  for (const [name, { waiting, sent }] of queues) {
    channels[name] = { waiting: waiting.map(({ message }) => message), sent };
  }
  return { format: QUEUE_FORMAT, channels };
}

/**
 * What was saved, undefined if it is none of ours. A part of it that makes no sense is left out:
 * it has only messages in it. What had failed is tried again at once.
 */
export function fromSavedQueues(saved: unknown): ReadonlyMap<string, Queue> | undefined {
  if (!isObject(saved) || saved['format'] !== QUEUE_FORMAT) return undefined;
  const { channels } = saved;
  if (!isObject(channels)) return undefined;
  const queues = new Map<string, Queue>();
  for (const [name, one] of Object.entries(channels)) {
    if (!isObject(one)) continue;
    const waiting = listOf(one['waiting'], MAX_WAITING + 1, toMessage).map(
      (message, index): Waiting => ({
        id: index + 1,
        message,
        notBeforeMs: milliseconds(0),
        refusals: 0,
      }),
    );
    const sent = listOf(one['sent'], MAX_SENT, toSent);
    queues.set(name, { ...EMPTY_QUEUE, waiting, sent, nextId: waiting.length + 1 });
  }
  return queues;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function listOf<T>(
  value: unknown,
  most: number,
  read: (one: unknown) => T | undefined,
): readonly T[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(-most)
    .map(read)
    .filter((one): one is T & {} => one !== undefined);
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const toTime = (value: unknown): Milliseconds | undefined =>
  isMoment(value) ? milliseconds(value) : undefined;

const toSeverity = (value: unknown): Severity | undefined =>
  SEVERITIES.find((severity) => severity === value);

function toSent(value: unknown): Sent | undefined {
  if (!isObject(value) || !isCount(value['content'])) return undefined;
  const atMs = toTime(value['atMs']);
  return atMs === undefined ? undefined : { atMs, content: value['content'] };
}

function toLine(value: unknown): MessageLine | undefined {
  if (!isObject(value)) return undefined;
  const { text, times } = value;
  const severity = toSeverity(value['severity']);
  if (severity === undefined || typeof text !== 'string' || !isCount(times)) return undefined;
  return { severity, text: plainText(text, MAX_TEXT_LENGTH), times };
}

function toMessage(value: unknown): Message | undefined {
  if (!isObject(value)) return undefined;
  const [firstMs, lastMs] = [toTime(value['firstMs']), toTime(value['lastMs'])];
  const severity = toSeverity(value['severity']);
  const lines = listOf(value['lines'], MAX_LINES, toLine);
  const { more, counts: given } = value;
  if (firstMs === undefined || lastMs === undefined || severity === undefined) return undefined;
  if (lines.length === 0 || !isCount(more) || !isObject(given)) return undefined;
  const counts: Partial<Record<EventKind, number>> = {};
  for (const kind of EVENT_KINDS) {
    const count = given[kind];
    if (isCount(count)) counts[kind] = count;
  }
  return { firstMs, lastMs, severity, lines, more, counts };
}
