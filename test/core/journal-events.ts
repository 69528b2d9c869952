import type { JournalEvent } from '../../src/core/journal-event.ts';
import { journalLabel, journalWords } from '../../src/core/journal-words.ts';
import { vmid } from './builders.ts';

/** An event beside the words that a person reads for it. */
export type LabelledEvent = JournalEvent & { readonly action: string; readonly change: string };

export function labelled(event: JournalEvent): LabelledEvent {
  const words = journalWords(event);
  return { ...event, action: journalLabel({ ...words }), change: words.by ?? words.change };
}

const LABEL = /^(Would )?(\w+) (\w+)( Failed| Rolled Back| Not Proven)?$/;
const STATUS: Readonly<Record<string, string>> = {
  'Would ': 'dry-run',
  ' Failed': 'failed',
  ' Rolled Back': 'rolled-back',
  ' Not Proven': 'unproven',
};

/** The event that a label (`Increase Cores Failed`) stands for; details as a test wants them. */
export function eventFrom(label: string, details: object = {}, id = 104): JournalEvent {
  const [, would, verb, what, ending] = LABEL.exec(label) ?? [];
  const all = { status: STATUS[would ?? ending ?? ''] ?? 'confirmed', ...details } as never;
  const about = { vmid: vmid(id), details: all };
  const resource = what === 'Memory' ? 'memory' : 'cores';
  switch (verb) {
    case 'Confirm':
      return { kind: 'confirm', ...about };
    case 'Rollback':
      return { kind: 'rollback', resource, ...about };
    case 'Scale':
      return { kind: 'group', direction: what === 'Out' ? 'out' : 'in', ...about };
    default:
      return { kind: 'change', resource, direction: verb === 'Increase' ? 'up' : 'down', ...about };
  }
}
