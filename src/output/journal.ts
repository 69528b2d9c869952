import type { JournalEvent } from '../core/journal-event.ts';
import { journalWords } from '../core/journal-words.ts';
import { plainJson } from '../core/plain-text.ts';
import { masking } from '../core/secrets.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Clock } from '../node/port.ts';
import { createTimestamp } from '../os/timestamp.ts';
import type { Journal } from '../ports.ts';
import { appendLine, type Rotation } from './append.ts';

export interface JournalSettings {
  readonly file: string;
  /** The node's name, for `proxmox_host`. */
  readonly host: string;
  /** IANA name, as for the log; undefined stands for the host's. */
  readonly timezone: string | undefined;
  /** undefined: the file grows without bound. */
  readonly rotation?: Rotation | undefined;
  /** Texts that must not appear. */
  readonly secrets?: readonly string[] | undefined;
}

export interface JsonJournal extends Journal {
  /** Why the last line could not be written; undefined after one that could. */
  readonly lastError: string | undefined;
  /** From the next line on. Throws a RangeError for an unknown timezone. */
  reconfigure(settings: JournalSettings): void;
}

const MAX_LINE_LENGTH = 16 * 1024;
const MAX_STRING_LENGTH = 1024;
const LEADING = new Set([
  'timestamp',
  'proxmox_host',
  'container_id',
  'action',
  'change',
  'time',
  'event',
  'resource',
  'direction',
  'by',
]);

/**
 * The JSON log: one object a line, appended by the time that `record` returns. The strings
 * `timestamp`, `proxmox_host`, `container_id`, `action` and `change` come first, as existing `jq`
 * scripts expect them; then `time`, which is `timestamp` in UTC (ISO 8601), what kind of event it
 * is and what of, and the details in the order in which they are given.
 * A line has at most 16 Ki characters: strings are cut at 1024, and details that find no room are
 * left out, which `"truncated": true` then says. A value that JSON does not know becomes null, and
 * one that cannot be written at all (a circle) counts as left out.
 * Throws a RangeError for an unknown timezone.
 */
export function createJournal(
  settings: JournalSettings,
  clock: Pick<Clock, 'wallMs'>,
  append: typeof appendLine = appendLine,
): JsonJournal {
  let { file, host, rotation } = settings;
  let timestamp = createTimestamp(settings.timezone);
  let mask = masking(settings.secrets ?? []);
  let lastError: string | undefined;
  return {
    get lastError() {
      return lastError;
    },
    reconfigure(next) {
      timestamp = createTimestamp(next.timezone);
      mask = masking(next.secrets ?? []);
      ({ file, host, rotation } = next);
    },
    record(event) {
      const line = journalLine(clock.wallMs(), timestamp, host, event, mask);
      const outcome = append(file, line, rotation);
      lastError = outcome.ok ? undefined : outcome.message;
      return outcome.ok;
    },
  };
}

type Mask = (text: string) => string;

function journalLine(
  wallMs: Milliseconds,
  timestamp: (wallMs: Milliseconds) => string,
  host: string,
  one: JournalEvent,
  mask: Mask,
): string {
  const { action, change, event, resource, direction, by } = journalWords(one);
  const fields = [
    field('timestamp', timestamp(wallMs)),
    field('proxmox_host', host),
    field('container_id', String(one.vmid)),
    field('action', action),
    field('change', change),
    field('time', new Date(wallMs).toISOString()),
    field('event', event),
    field('resource', resource),
    ...(direction === undefined ? [] : [field('direction', direction)]),
    ...(by === undefined ? [] : [field('by', by)]),
  ];
  const leftOut = field('truncated', true);
  let room = MAX_LINE_LENGTH - fields.join().length - leftOut.length - ',,{}'.length;
  let complete = true;
  // Put together by hand: in an object, a name such as "104" would be moved to the front.
  for (const [name, value] of Object.entries(one.details)) {
    if (value === undefined || LEADING.has(name)) continue;
    const text = tryField(name, value, mask);
    if (text !== undefined && text.length < room) {
      fields.push(text);
      room -= text.length + 1;
    } else {
      complete = false;
    }
  }
  if (!complete) fields.push(leftOut);
  return `{${fields.join()}}`;
}

function tryField(name: string, value: unknown, mask: Mask): string | undefined {
  try {
    return field(name, value, mask);
  } catch {
    return undefined;
  }
}

function field(name: string, value: unknown, mask: Mask = (text) => text): string {
  const shaped = JSON.stringify(value, (_name, one: unknown) =>
    bounded(typeof one === 'string' ? mask(one) : one),
  );
  const text = `${JSON.stringify(bounded(name))}:${shaped ?? 'null'}`;
  return plainJson(text);
}

function bounded(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'string' || value.length <= MAX_STRING_LENGTH) return value;
  return `${value.slice(0, MAX_STRING_LENGTH)}...`;
}
