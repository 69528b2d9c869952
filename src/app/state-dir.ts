import { accessSync, constants } from 'node:fs';
import type { Paths } from '../node/local/paths.ts';
import { makeDirectories } from '../os/directories.ts';
import { describeError } from '../os/os-error.ts';
import { whyNotTrusted } from '../os/trusted-file.ts';

/** The directory that `--state` names. Each of these is a sentence; undefined: nothing is wrong. */

type Named = Pick<Paths, 'stateDir'>;

/** Why nothing can be kept there. Makes the directory if there is none. */
export function whyNoState({ stateDir }: Named): string | undefined {
  if (stateDir === undefined) return undefined;
  try {
    makeDirectories(stateDir, 0o700);
    accessSync(stateDir, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const remedy = `It must be a directory that user ${process.geteuid?.()} may write to`;
    return `--state ${stateDir} cannot be used: ${describeError(error)}. ${remedy}.`;
  }
}

/** Why what is kept there must not be gone by: somebody else could have written it. */
export function whyStateNotTrusted({ stateDir }: Named): string | undefined {
  const why = stateDir && whyNotTrusted(stateDir);
  if (!why) return undefined;
  const remedy = `Only user ${process.geteuid?.()} may write to it, and to the directory above it`;
  return `--state ${stateDir} is not used: it ${why}. ${remedy}.`;
}

/** What helps a user who may not write where services keep what they keep. */
export const NAME_STATE = 'With --state DIR all that is kept lies in a directory of your own.';
