import { memoryWords, twoDigits } from './amounts.ts';

/** What a line of the JSON log says, as far as it is shown. Pure. */

export interface JournalLine {
  /** Local time of the node. */
  readonly time: string;
  readonly vmid: number | undefined;
  /** The id, or the name of a group. */
  readonly subject: string;
  readonly name: string;
  readonly what: 'cores' | 'memory' | 'members' | 'disk';
  readonly from: string;
  readonly to: string;
  readonly isUp: boolean | undefined;
  /** What kind of a line: `change`, `would`, `failed` ... */
  readonly event: string;
  readonly status: string;
  readonly reason: string;
  /** What was to be said besides, at the time; empty: nothing. */
  readonly note: string;
  /** The copy that was made before it, as `rollback` takes it. */
  readonly backup: string | undefined;
  /** Of the wall clock, in seconds; undefined in a log of an old release. */
  readonly atS: number | undefined;
}

/** undefined: it is no line on a guest or a group. */
export function journalLine(object: unknown): JournalLine | undefined {
  if (typeof object !== 'object' || object === null) return undefined;
  const line = object as Readonly<Record<string, unknown>>;
  const text = (key: string): string => (typeof line[key] === 'string' ? String(line[key]) : '');
  const subject = text('container_id');
  const time = text('timestamp');
  if (subject === '' || time === '') return undefined;
  const what = whatOf(text('resource'), text('action'));
  const at = Date.parse(text('time'));
  const [before, after] = [line['before'], line['after']];
  const [from, to] = [amountWords(before, what), amountWords(after, what)];
  return {
    time,
    subject,
    what,
    event: text('event') || eventOf(text('action')),
    vmid: /^[1-9][0-9]{0,8}$/.test(subject) ? Number(subject) : undefined,
    name: text('name'),
    ...sidesOf(from, to, what === 'disk' ? text('step') : text('by') || text('change')),
    isUp: directionOf(text('direction'), before, after),
    status: text('status'),
    reason: [text('reason'), text('message')].filter((one) => one !== '').join('; '),
    note: text('note'),
    backup: /([^/]+)\.conf$/.exec(text('backup'))?.[1],
    atS: Number.isNaN(at) ? undefined : at / 1000,
  };
}

const sidesOf = (from: string, to: string, otherwise: string) =>
  from === '' && to === '' ? { from, to: otherwise } : { from, to };

function whatOf(resource: string, action: string): JournalLine['what'] {
  if (resource === 'memory' || resource === 'members' || resource === 'disk') return resource;
  if (resource === '' && action.includes('Memory')) return 'memory';
  return resource === '' && action.startsWith('Scale') ? 'members' : 'cores';
}

const eventOf = (action: string): string => (action === 'Confirm Cores' ? 'confirmed' : 'change');

function amountWords(value: unknown, what: JournalLine['what']): string {
  if (value === null) return 'none';
  if (typeof value !== 'number') return typeof value === 'string' ? value : '';
  return what === 'memory' ? memoryWords(value) : twoDigits(value);
}

function directionOf(said: string, before: unknown, after: unknown): boolean | undefined {
  if (said === 'up' || said === 'down') return said === 'up';
  if (typeof before !== 'number' || typeof after !== 'number') return undefined;
  return after > before;
}

/** What the history can be narrowed to. */
export const KINDS = {
  all: { label: 'Everything', takes: () => true },
  change: { label: 'Changes', takes: (line: JournalLine) => isMade(line) },
  would: { label: 'Only observed', takes: ({ event }: JournalLine) => event === 'would' },
  failed: { label: 'Failures', takes: (line: JournalLine) => isBad(line) },
} as const;

export type Kind = keyof typeof KINDS;

const MADE: ReadonlySet<string> = new Set(['change', 'rollback', 'partly', 'done']);

/** The guest has something else since. */
export const isMade = ({ event }: JournalLine): boolean => MADE.has(event);

const BAD: ReadonlySet<string> = new Set(['failed', 'rolled-back', 'rollback-failed', 'partly']);

export const isBad = ({ event, status }: JournalLine): boolean =>
  BAD.has(event) || status === 'failed';

/**
 * Without the lines that only say that earlier cores have taken effect: the change itself says so.
 *
 * @param lines the newest first
 */
export function settled(lines: readonly JournalLine[]): readonly JournalLine[] {
  const inEffect = new Map<string, string>();
  return lines.flatMap((line) => {
    const { subject, what, event, to, status } = line;
    if (event === 'confirmed') inEffect.set(subject, to);
    if (event === 'confirmed') return [];
    if (what !== 'cores' || status !== 'pending' || inEffect.get(subject) !== to) return [line];
    inEffect.delete(subject);
    return [{ ...line, status: 'confirmed', note: '' }];
  });
}

export const says = (line: JournalLine, search: string): boolean => {
  const text = `${line.subject} ${line.name} ${line.reason} ${line.status}`.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
};
