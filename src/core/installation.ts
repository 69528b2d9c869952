/** The name of an error of tools/build/pieces.ts: a file beside the program is missing or unfit. */
const NAME = 'InstallationError';

/** The sentence of such an error on which file it is and what to do; undefined: it is another. */
export const unfitFile = (error: unknown): string | undefined =>
  error instanceof Error && error.name === NAME ? error.message : undefined;

/** What a daemon says of it. */
export const withoutFile = (why: string): string =>
  `Some of what the configuration asks for does not work, and scaling goes on: ${why}.`;
