import type { DiskFacts } from '../core/groups/disk-wish.ts';
import type { Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import type { CommandOutcome, GroupCommand, GuestNow } from '../node/port.ts';
import type { ActingGroupWorld } from '../ports.ts';

/** What a person asks for of disks: how it is planned, and how one command of it is run. */

export interface DiskWorld extends ActingGroupWorld {
  /** The name of this node. */
  readonly node: string;
  readonly guestNow: (vmid: Vmid) => Reading<GuestNow>;
  readonly runs: (guest: GuestNow) => boolean;
  readonly nonce: () => string;
  /** In MiB, what the host can give to one guest more. */
  readonly room: () => Reading<number>;
  /** Why the configuration keeps everybody from it; undefined: it does not. */
  readonly ignored: (guest: GuestNow['config']) => string | undefined;
  /** Whether it is the source of a group. */
  readonly isSource: (vmid: Vmid) => boolean;
}

export interface DiskContext {
  readonly world: DiskWorld;
  /** Who asks, such as `api:deploy`. */
  readonly by: string;
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
  | { readonly ok: true; readonly note?: string | undefined }
  /** A sentence that goes on from "it failed". */
  | { readonly ok: false; readonly why: string };

export interface DiskRefusal {
  readonly ok: false;
  /** A sentence. */
  readonly why: string;
}

export const refusal = (why: string): DiskRefusal => ({ ok: false, why });

/** One command, after a copy of the configuration that was read back. */
export async function change(
  { world, by }: DiskContext,
  guest: GuestNow,
  command: GroupCommand,
): Promise<DiskEnd> {
  const reason = `${command.kind}, as ${by} has asked`;
  const backup = world.backups.write(guest, { reason });
  if (!backup.ok) return { ok: false, why: `no backup could be made: ${backup.message}` };
  return run({ world, by }, guest, command);
}

export async function run(
  { world }: DiskContext,
  { config }: GuestNow,
  command: GroupCommand,
): Promise<DiskEnd> {
  const machine = config.kind === 'qemu' ? { machine: true as const } : {};
  const outcome: CommandOutcome = await world.hands.run({ ...command, ...machine });
  return outcome.kind === 'done' ? { ok: true } : { ok: false, why: outcome.message };
}
