import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { makeDirectories } from './directories.ts';
import { describeError, errorCode } from './os-error.ts';

/**
 * Whether something could be written now. Found out by doing it: a full disk, a file system that
 * has become read-only, and a quota show in nothing else.
 */

const PROBE = '.lxc_autoscale.probe';
/** A whole block, and more than the longest line of the JSON log. */
const PROBE_BYTES = 32 * 1024;

/** Why no file could be written there; undefined: one could. Makes the directory if need be. */
export function whyNoFileIn(directory: string, mode = 0o755): string | undefined {
  const probe = join(directory, PROBE);
  try {
    makeDirectories(directory, mode);
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    const descriptor = openSync(probe, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    try {
      const content = Buffer.alloc(PROBE_BYTES, ' ');
      const written = writeSync(descriptor, content);
      return written === content.length ? undefined : `${directory}: the disk is full`;
    } finally {
      closeSync(descriptor);
      rmSync(probe, { force: true });
    }
  } catch (error) {
    return `${directory}: ${describeError(error)}`;
  }
}

/** Why nothing could be added to the file; undefined: it could. Leaves it as it is. */
export function whyNothingToAppend(path: string): string | undefined {
  const inDirectory = whyNoFileIn(dirname(path));
  if (inDirectory !== undefined) return inDirectory;
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK));
    return undefined;
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? undefined : `${path}: ${describeError(error)}`;
  }
}
