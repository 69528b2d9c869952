import type { Since } from '../core/report/since.ts';
import type { RestorePoint } from '../core/rollback.ts';
import type { Vmid } from '../core/units.ts';
import type { TestedChannel } from './channels.ts';

/** How a table is to look. */
export interface ViewOptions {
  readonly wide: boolean;
  readonly colour: boolean;
  readonly columns: readonly string[] | undefined;
  readonly sort: string | undefined;
  readonly watch: boolean;
}

/** What a command is given by the command line. Each command reads what it takes. */
export interface Arguments {
  readonly configFile: string | undefined;
  /** A file with variables for the configuration. */
  readonly envFile: string | undefined;
  /** Every path is taken under this directory; `/` on a real node. */
  readonly sysroot: string;
  /** Where all that is kept lies; undefined: in the usual places. */
  readonly stateDir: string | undefined;
  readonly dryRun: boolean;
  readonly pollIntervalSeconds: number | undefined;
  readonly energyMode: boolean;
  readonly debug: boolean;
  readonly traceFile: string | undefined;
  readonly containers: number | undefined;
  readonly durationSeconds: number;
  /** The container that the command is about; undefined: all of them. */
  readonly vmid: Vmid | undefined;
  /** The same by its name; before the command runs it is turned into an id or a group. */
  readonly guestName: string | undefined;
  /** The horizontal group that `explain` is about. */
  readonly group: string | undefined;
  /** The node that is meant; undefined: the one that the daemon runs on, or any. */
  readonly node: string | undefined;
  /** The section that `activate` or `observe` is about, with its prefix. */
  readonly tier: string | undefined;
  readonly to: RestorePoint | Since | undefined;
  /** A guest may be given the values of another one that had its id before. */
  readonly otherGuest: boolean;
  readonly since: Since | undefined;
  /** The time that `explain` goes back to. */
  readonly at: Since | undefined;
  /** `--all`, where it does not mean all containers. */
  readonly all: boolean;
  readonly view: ViewOptions;
  readonly json: boolean;
  /** undefined: standard output. */
  readonly outFile: string | undefined;
  /** Where a test message is to go; undefined: everywhere. */
  readonly channel: TestedChannel | undefined;
  /** What is compared; none: all that are known. */
  readonly policies: readonly string[];
  /** Which half of the containers is replayed, 1 or 2; undefined: all. */
  readonly half: number | undefined;
  /** How many days at the beginning do not count. */
  readonly afterDays: number;
  /** Each day begins without what was learnt before. */
  readonly cold: boolean;
  readonly htmlFile: string | undefined;
  readonly yaml: boolean;
  /** The demo serves the page too. */
  readonly http: boolean;
  /** What becomes of the link in the notes of the datacenter; undefined: nothing. */
  readonly note: 'add' | 'remove' | undefined;
  /** What `write_notes` has written is removed. */
  readonly notes: boolean;
  /** The file that is migrated. */
  readonly oldFile: string | undefined;
  readonly measureSeconds: number;
  /** Every proposal is taken without asking. */
  readonly yes: boolean;
}
