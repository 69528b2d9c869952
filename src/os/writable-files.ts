import { closeSync, constants, fstatSync, openSync, rmSync, writeSync } from 'node:fs';
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
    // Of a process that was killed just then, or a link that somebody has laid there.
    rmSync(probe, { force: true });
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const descriptor = openSync(probe, O_WRONLY | O_CREAT | O_EXCL, 0o600);
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
  const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOFOLLOW } = constants;
  try {
    const descriptor = openSync(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOFOLLOW);
    const stat = fstatSync(descriptor);
    closeSync(descriptor);
    return stat.isFile() && stat.nlink > 1 ? `${path}: it is a hard link` : undefined;
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? undefined : `${path}: ${describeError(error)}`;
  }
}
