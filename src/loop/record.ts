import { guestInside } from '../core/guest-words.ts';
import type { JournalEvent } from '../core/journal-event.ts';
import type { World } from '../ports.ts';

/** Puts an event into the JSON log; if that fails, the log for people says so. */
export function putOnRecord(
  { journal, log }: Pick<World, 'journal' | 'log'>,
  event: JournalEvent,
): void {
  if (journal.record(event)) return;
  const { vmid, details } = event;
  const guest = guestInside({ vmid, kind: details['kind'] === 'qemu' ? 'qemu' : undefined });
  const about = { component: 'act', vmid, event: 'unrecorded' } as const;
  log.error(`The JSON log could not be written for ${guest}`, about);
}
