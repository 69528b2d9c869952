import { closeSync } from 'node:fs';
import type { Vmid } from '../../core/units.ts';
import { asObject, parseJsonObject } from '../../os/json-object.ts';
import { linesOf, openJournalFiles } from '../../output/journal-files.ts';
import { refuseGone } from './problem.ts';

/** What the JSON log says was done, read back: the newest first. */

export interface WantedEvents {
  /** Of the JSON log, already under the sysroot. */
  readonly file: string;
  readonly vmid: Vmid | undefined;
  /** undefined: of all nodes. */
  readonly node: string | undefined;
  /** The first local time that counts, as the log writes it; undefined: all. */
  readonly from: string | undefined;
  readonly most: number;
  /** Fires when whoever asked has gone. */
  readonly gone: AbortSignal;
}

export interface FoundEvents {
  readonly events: readonly object[];
  /** Whether there are older ones. */
  readonly more: boolean;
}

/** So many lines are read between two looks at what else is to be done. */
const LINES_AT_ONCE = 500;

/** Throws if whoever asked has gone. */
export async function journalEvents(wanted: WantedEvents): Promise<FoundEvents> {
  const left = [...openJournalFiles(wanted.file).open];
  try {
    return await eventsIn(left, wanted);
  } finally {
    for (const fd of left) closeSync(fd);
  }
}

/** @param left the descriptors; those that were read are closed, and taken out of it */
async function eventsIn(left: number[], wanted: WantedEvents): Promise<FoundEvents> {
  const { most, gone } = wanted;
  const events: object[] = [];
  let more = false;
  let read = 0;
  for (let fd = left.shift(); fd !== undefined; fd = left.shift()) {
    for (const line of linesOf(fd)) {
      read += 1;
      if (read % LINES_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      refuseGone(gone);
      const event = line === undefined ? undefined : asObject(parseJsonObject(line));
      if (event === undefined || !isWanted(event, wanted)) continue;
      events.push(event);
      if (events.length <= most * 2) continue;
      events.splice(0, most);
      more = true;
    }
  }
  if (events.length > most) more = true;
  return { events: events.slice(-most).reverse(), more };
}

function isWanted(
  { container_id: container, proxmox_host: host, timestamp }: Readonly<Record<string, unknown>>,
  { vmid, node, from }: WantedEvents,
): boolean {
  if (node !== undefined && host !== node) return false;
  if (vmid !== undefined && container !== `${vmid}`) return false;
  if (typeof timestamp !== 'string') return false;
  return from === undefined || timestamp.slice(0, from.length) >= from;
}
