import type { Allocation } from '../core/allocation.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { Unproven } from '../core/proof.ts';
import type { Vmid } from '../core/units.ts';
import type { CommandOutcome } from '../node/port.ts';
import type { BackupPurpose } from '../ports.ts';
import type { Lowering } from './prove.ts';

/** What the executor is asked for, and how it went. */

/** What a container is to have. */
export interface Wish {
  readonly vmid: Vmid;
  /** What it was decided on; somebody else's change since then wins. */
  readonly decidedOn: GuestConfig;
  readonly before: Partial<Allocation>;
  readonly target: Partial<Allocation>;
  readonly purpose: BackupPurpose;
  /** If memory is taken: what else is known of that. */
  readonly lowering?: Pick<Lowering, 'fromMib' | 'swapStays'> & {
    /** The day that stands in for a proof, where there is none. */
    readonly dayPeakMib?: number;
  };
  /** Memory is lowered by a module of the machine. */
  readonly unplugs?: true;
  /** Asked right before: why it must not be made any more. */
  readonly refuse?: () => Promise<string | undefined>;
  /** Done when nothing can hinder the change any more. */
  readonly justBefore?: () => void;
}

export interface ApplyContext {
  /** Cores beyond that are capped by the kernel. */
  readonly hostCpus: number;
  readonly stop: AbortSignal;
}

/**
 * For what puts something right: it is done also if the program is about to end. A stop that has
 * fired already would keep the command from starting.
 */
export const stopAlsoAtTheEnd = ({ stop }: Pick<ApplyContext, 'stop'>): AbortSignal =>
  stop.aborted ? AbortSignal.timeout(1) : stop;

/** A command and what came of it. */
export interface Tried {
  readonly outcome: CommandOutcome;
  readonly result: ChangeResult;
}

/** How one change went; `note` says more for a person. */
export interface ChangeResult {
  readonly kind:
    | ('confirmed' | 'pending' | 'partly' | 'failed')
    | ('rolled-back' | 'overtaken' | 'unproven');
  readonly backup?: string;
  readonly note?: string;
  /** What its levers have now, if it is no success and that is known. */
  readonly inForce?: Partial<Allocation>;
  /** It failed since somebody else has set another value. */
  readonly byOthers?: true;
  /** What `pct` said where `/etc/pve` takes no changes: another `pct set` would fail as well. */
  readonly unwritable?: string;
  /** Something of it waits for the next start of the guest, or may come to wait for that. */
  readonly unsettled?: true;
  /** Why its memory stays as it is; nothing at all was changed then. */
  readonly unproven?: Unproven;
}
