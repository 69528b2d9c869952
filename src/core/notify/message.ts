import { plainText } from '../plain-text.ts';
import { type Milliseconds, milliseconds } from '../units.ts';
import {
  EVENT_KINDS,
  type EventKind,
  isAtLeast,
  type NotificationEvent,
  rankOf,
  type Severity,
} from './event.ts';

/**
 * A message: one or many events, of a size that does not grow with their number. What has no line
 * of its own any more is still counted, so that no event is lost without a trace.
 */
export interface Message {
  readonly firstMs: Milliseconds;
  readonly lastMs: Milliseconds;
  /** That of the worst event. */
  readonly severity: Severity;
  /** The worst first; among equals the older first. */
  readonly lines: readonly MessageLine[];
  /** Of how many events there is no line. */
  readonly more: number;
  /** How many events of each kind, those without a line too. */
  readonly counts: Readonly<Partial<Record<EventKind, number>>>;
}

export interface MessageLine {
  readonly severity: Severity;
  readonly text: string;
  /** Number of identical events merged into this message. */
  readonly times: number;
}

export const MAX_LINES = 20;
const MAX_LINE_LENGTH = 300;

export function messageOf(event: NotificationEvent, atMs: Milliseconds): Message {
  const { severity, kind, text, further = [] } = event;
  const lines = [text, ...further].map((one) => plainText(one, MAX_LINE_LENGTH));
  return {
    firstMs: atMs,
    lastMs: atMs,
    severity,
    lines: lines.slice(0, MAX_LINES).map((one) => ({ severity, text: one, times: 1 })),
    more: Math.max(0, lines.length - MAX_LINES),
    counts: { [kind]: 1 },
  };
}

/** Both in one: lines that say the same become one, and the worst ones are kept. */
export function merged(one: Message, other: Message): Message {
  const lines = [...one.lines];
  for (const line of other.lines) {
    const index = lines.findIndex((known) => isSameLine(known, line));
    const known = lines[index];
    if (known === undefined) lines.push(line);
    else lines[index] = { ...known, times: known.times + line.times };
  }
  // The sort keeps the order of equals.
  lines.sort((a, b) => rankOf(b.severity) - rankOf(a.severity));
  const dropped = lines.splice(MAX_LINES).reduce((sum, { times }) => sum + times, 0);
  return {
    firstMs: milliseconds(Math.min(one.firstMs, other.firstMs)),
    lastMs: milliseconds(Math.max(one.lastMs, other.lastMs)),
    severity: isAtLeast(one.severity, other.severity) ? one.severity : other.severity,
    lines,
    more: one.more + other.more + dropped,
    counts: sumOf(one.counts, other.counts),
  };
}

const isSameLine = (one: MessageLine, other: MessageLine): boolean =>
  one.text === other.text && one.severity === other.severity;

function sumOf(one: Message['counts'], other: Message['counts']): Message['counts'] {
  const sum: Partial<Record<EventKind, number>> = { ...one };
  for (const kind of EVENT_KINDS) {
    const count = other[kind];
    if (count !== undefined) sum[kind] = (sum[kind] ?? 0) + count;
  }
  return sum;
}

/** How many events a message stands for. */
export const eventsIn = ({ lines, more }: Message): number =>
  lines.reduce((sum, { times }) => sum + times, more);

/** The same for messages that say the same, whenever and how often. */
export const contentOf = ({ lines, more }: Message): string =>
  JSON.stringify([more > 0, lines.map(({ severity, text }) => [severity, text])]);

/** Whether the one says nothing that the other does not. */
export const saysTheSame = (one: Message, other: Message): boolean =>
  contentOf(one) === contentOf(other);

const LABELS: Readonly<Record<EventKind, string>> = {
  failed: 'failed',
  emergency: 'host emergency',
  starving: 'starving',
  configuration: 'configuration refused',
  changed: 'changed',
  group: 'in or out of a group',
  daemon: 'started or stopped',
  report: 'weekly report',
};

/** What there is only one of is not counted out. */
const UNCOUNTED: ReadonlySet<EventKind> = new Set(['emergency', 'configuration', 'report']);

/** A start and an end are of one kind: the lines tell which. */
function daemonWords(lines: Message['lines']): string {
  const has = (word: string): boolean => lines.some(({ text }) => text.startsWith(word));
  if (has('Started')) return has('Stopped') ? 'restarted' : 'started';
  return has('Stopped') ? 'stopped' : LABELS.daemon;
}

/** `1 failed, 3 changed`: the worst kind first. */
export function titleOf({ counts, lines }: Message): string {
  const parts: string[] = [];
  for (const [kind, label] of Object.entries(LABELS)) {
    const count = counts[kind as EventKind] ?? 0;
    if (count === 0) continue;
    if (kind === 'daemon') parts.push(daemonWords(lines));
    else parts.push(count === 1 && UNCOUNTED.has(kind as EventKind) ? label : `${count} ${label}`);
  }
  return parts.join(', ');
}

/** The events, one a line. */
export function bodyOf({ lines, more }: Message): string {
  const shown = lines.map(({ text, times }) => (times === 1 ? text : `${text} (${times} times)`));
  if (more > 0) shown.push(`And ${more} more, which are in the log.`);
  return shown.join('\n');
}
