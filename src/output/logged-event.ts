import { journalLabel } from '../core/journal-words.ts';
import type { Vmid } from '../core/units.ts';
import { asObject, parseJsonObject } from '../os/json-object.ts';

/** A line of the JSON log, as far as it is shown. */
export interface LoggedEvent {
  /** Cores of an earlier change have taken effect: no change of its own. */
  readonly isConfirmation: boolean;
  readonly time: string;
  /** The name of the node that it was written for. */
  readonly node: string;
  /** Empty: it is about no group. */
  readonly group: string;
  readonly container: string;
  /** undefined for a container. */
  readonly kind: 'qemu' | undefined;
  readonly name: string;
  readonly action: string;
  readonly before: string;
  readonly after: string;
  /** By how much; of a group, how many members more or fewer. */
  readonly change: string;
  readonly status: string;
  readonly reason: string;
}

/** What lines are asked for; undefined: any. */
export interface WantedLines {
  readonly vmid: Vmid | undefined;
  readonly group: string | undefined;
  readonly node: string | undefined;
}

/** Whether a line is about what is asked for: a container or a group, on any node or on one. */
export const isAbout = (
  { container, group, node }: LoggedEvent,
  { vmid, group: wanted, node: named }: WantedLines,
): boolean =>
  (vmid === undefined || container === `${vmid}`) &&
  (wanted === undefined || group.toLowerCase() === wanted.toLowerCase()) &&
  (named === undefined || node === named);

export function eventOf(line: string): LoggedEvent | undefined {
  const event = asObject(parseJsonObject(line));
  if (event === undefined) return undefined;
  const text = (key: string): string => {
    const value = event[key];
    if (typeof value === 'string') return value;
    return typeof value === 'number' ? String(Math.round(value * 100) / 100) : '';
  };
  const time = text('timestamp');
  const container = text('container_id');
  if (time === '' || container === '') return undefined;
  return {
    isConfirmation: text('event') === 'confirmed' || text('action') === 'Confirm Cores',
    time,
    node: text('proxmox_host'),
    group: text('group'),
    container,
    kind: text('kind') === 'qemu' ? 'qemu' : undefined,
    name: text('name'),
    action: journalLabel(event),
    before: text('before'),
    after: text('after'),
    change: text('by') || text('change'),
    status: text('status'),
    reason: sentences(text('reason'), text('note')),
  };
}

/** A note may be a clause or a sentence of its own. */
function sentences(reason: string, note: string): string {
  if (reason === '' || note === '') return reason + note;
  return reason + (/^\p{Lu}/u.test(note) ? '. ' : '; ') + note;
}
