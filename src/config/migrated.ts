import type { Verdict } from './migrate-keys.ts';
import type { Self } from './sections.ts';

/** What comes of an old configuration. */

/** What became of one line of the old file. */
export interface MigratedLine {
  /** 1-based, in the old file; undefined for what has been added. */
  readonly line: number | undefined;
  /** `DEFAULT.min_cores`. */
  readonly key: string;
  readonly verdict: Verdict;
  /** Why, or how; never a secret. Empty where there is no more to say. */
  readonly why: string;
  /** What was written for a key that the old file leaves out. */
  readonly value?: string;
}

export type Migrated =
  | {
      readonly ok: true;
      readonly form: 'INI' | 'YAML';
      /** The new file. */
      readonly text: string;
      /** In the order of the old file. */
      readonly lines: readonly MigratedLine[];
    }
  | { readonly ok: false; readonly line: number | undefined; readonly message: string };

/** Where the old file is migrated. */
export interface Whereabouts {
  /** undefined: nobody knows where the new file will be used. */
  readonly self: Self | undefined;
  /** Nodes that the guests are on, where the old file does not say. */
  readonly nodes: readonly string[];
}
