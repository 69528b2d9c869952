import type { DiskFacts } from '../core/groups/disk-wish.ts';
import { guestLabel, kindOf, LONGEST_NAME } from '../core/guest-words.ts';
import { isSameGuest } from '../core/identity.ts';
import type { DiskDetails } from '../core/journal-event.ts';
import { plainText } from '../core/plain-text.ts';
import { missing, type Reading } from '../core/reading.ts';
import type { Mib, Vmid } from '../core/units.ts';
import { putOnRecord } from '../loop/record.ts';
import type {
  CommandOutcome,
  GroupCommand,
  GroupEyes,
  GroupHands,
  GuestNow,
  LedgersHere,
} from '../node/port.ts';
import type { GroupWorld } from '../ports.ts';

/** What a person asks for of disks: how it is planned, and how one command of it is run. */

export interface DiskWorld
  extends Pick<
    GroupWorld,
    'backups' | 'clock' | 'cluster' | 'guests' | 'journal' | 'log' | 'notOurs'
  > {
  readonly eyes: Pick<GroupEyes, 'isIdFree' | 'storageRooms'>;
  readonly hands: Pick<GroupHands, 'run'>;
  /** The name of this node. */
  readonly node: string;
  /** To be asked before configurations are read; returns why they cannot be read now. */
  readonly look: () => Promise<string | undefined>;
  readonly ledgers: LedgersHere;
  readonly guestNow: (vmid: Vmid) => Reading<GuestNow>;
  /** undefined: it is not known. */
  readonly runs: (guest: GuestNow) => boolean | undefined;
  readonly nonce: () => string;
  /** In MiB, what the host can give to one guest more. */
  readonly room: () => Reading<number>;
  /** Why a guest must not have so much memory; undefined: it may. */
  readonly whyNotGiven: (config: GuestNow['config'], memoryMib: Mib) => string | undefined;
  /** Why the configuration keeps everybody from it; undefined: it does not. */
  readonly ignored: (guest: GuestNow['config']) => string | undefined;
  /** The same, but not that nothing asks for it, as for the clone of a guest that is listed. */
  readonly leftAlone: (guest: GuestNow['config']) => string | undefined;
  /** Whether it is the source of a group. */
  readonly isSource: (vmid: Vmid) => boolean;
}

export interface DiskContext {
  readonly world: DiskWorld;
  /** Who asks, such as `api:deploy`. */
  readonly by: string;
  /** Fires when the program is to end: then no further command is begun. */
  readonly stop: AbortSignal;
  /** In MiB, what a guest will have that is about to run: it is given to nobody else meanwhile. */
  readonly keep: (memoryMib: number) => void;
}

/** What would be done, in sentences, and how. */
export interface DiskPlan {
  readonly ok: true;
  readonly guest: GuestNow;
  readonly says: string;
  readonly facts: DiskFacts;
  /** Only what cannot be taken back, and is easily asked for by a slip. */
  readonly needsConfirmation?: true;
  readonly run: () => Promise<DiskEnd>;
}

export type DiskEnd =
  | {
      readonly ok: true;
      /** Sentences. */
      readonly note?: string | undefined;
      /** What came about in place of what was planned. */
      readonly facts?: Partial<DiskFacts>;
    }
  /** A sentence that goes on from "it failed". */
  | { readonly ok: false; readonly why: string };

export interface DiskRefusal {
  readonly ok: false;
  /** A sentence. */
  readonly why: string;
}

export const refusal = (why: string): DiskRefusal => ({ ok: false, why });
export const failed = (why: string): DiskEnd => ({ ok: false, why });

/** `Container 104 (web)`. */
export const named = ({ config }: Pick<GuestNow, 'config'>): string =>
  `${guestLabel(config)} (${plainText(config.name, LONGEST_NAME)})`;

/** A guest as it is now: it may have changed while others were asked. */
export async function lookAt(world: DiskWorld, vmid: Vmid): Promise<Reading<GuestNow>> {
  const why = await world.look();
  return why === undefined ? world.guestNow(vmid) : missing('unreadable', why);
}

/** The guest that was looked at before, if it still is the same and nothing is at work on it. */
export async function stillThere(
  world: DiskWorld,
  { config }: GuestNow,
): Promise<Reading<GuestNow>> {
  const now = await lookAt(world, config.vmid);
  if (!now.ok) return now;
  const { digest, identity, lock } = now.value.config;
  if (digest !== config.digest && !isSameGuest(identity, config.identity)) {
    return missing('malformed', `another guest has the id ${config.vmid} by now`);
  }
  if (lock === undefined) return now;
  return missing('malformed', `it is locked (${plainText(lock, LONGEST_NAME)}) by now`);
}

/** One command, after a copy of the configuration that was read back. */
export async function change(
  context: DiskContext,
  guest: GuestNow,
  command: GroupCommand,
): Promise<DiskEnd> {
  const { world, by } = context;
  const now = await stillThere(world, guest);
  if (!now.ok) return failed(now.detail);
  const reason = `${command.kind}, as ${by} has asked`;
  const backup = world.backups.write(now.value, { reason });
  if (!backup.ok) return failed(`no backup could be made: ${backup.message}`);
  return run(context, now.value, command);
}

export const STOPPING = 'the program is about to stop';

export async function run(
  { world, stop }: DiskContext,
  { config }: GuestNow,
  command: GroupCommand,
): Promise<DiskEnd> {
  if (stop.aborted) return failed(STOPPING);
  const machine = config.kind === 'qemu' ? { machine: true as const } : {};
  const outcome: CommandOutcome = await world.hands.run({ ...command, ...machine });
  return outcome.kind === 'done' ? { ok: true } : failed(outcome.message);
}

/** What is put on record: of which guest, in which words, with which figures. */
export interface DiskRecord extends Pick<DiskPlan, 'guest' | 'says' | 'facts'> {
  readonly step: DiskDetails['step'];
}

/** A line of the log and one of the JSON log. */
export function record(
  { log, journal }: Pick<DiskWorld, 'log' | 'journal'>,
  { step, guest: { config }, says, facts }: DiskRecord,
  by: string,
  end: Pick<DiskDetails, 'status' | 'note'>,
): void {
  const { vmid } = config;
  const about = { component: 'http', vmid, event: step, outcome: end.status } as const;
  const note = end.note === undefined ? '' : ` ${end.note}`;
  if (end.status === 'failed') log.error(`FAILED, as ${by} has asked. ${says}${note}`, about);
  else if (end.status === 'asked') log.info(`${by} has asked. ${says}`, about);
  else log.info(`Done, as ${by} has asked. ${says}${note}`, about);
  const name = plainText(config.name, LONGEST_NAME);
  const reason = `it was asked for by ${by}`;
  const { vm_id: _, ...figures } = facts;
  const details = { step, name, ...kindOf(config), reason, asked_by: by, ...figures, ...end };
  putOnRecord({ journal, log }, { kind: 'disk', vmid, details });
}
