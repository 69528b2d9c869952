import type { Carried } from './migrate-keys.ts';

/** A section of the old file, on its way into the new one. */
export interface Block {
  readonly oldName: string;
  readonly name: string;
  readonly line: number | undefined;
  /** Where it stands in further places of the old file, which are one here. */
  readonly further: Heading[];
  /** Why the section as a whole is only a comment. */
  dead: string | undefined;
  readonly carried: Carried[];
}

interface Heading {
  readonly line: number;
  readonly name: string;
}
