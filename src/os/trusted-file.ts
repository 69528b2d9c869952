import { realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path/posix';
import { describeError, errorCode } from './os-error.ts';

/** Who, besides root, could change what this process does, by writing to what it goes by. */

/** Those whose files may be gone by: root, who runs this process, and the group of each. */
export interface Trusted {
  readonly uids: readonly number[];
  readonly gids: readonly number[];
}

const whoRuns = (): Trusted => ({
  uids: [0, process.geteuid?.() ?? 0],
  gids: [0, process.getegid?.() ?? 0],
});

/**
 * Why the file at `path`, a configuration or a program, must not be gone by: somebody else may
 * write to it, or could put another one in its place. A sentence that completes "`path` ..." and
 * names the remedy; undefined if nothing is wrong, or where there is no such file. A link is
 * followed, and its own directory looked at too.
 */
export function whyNotTrusted(path: string, trusted: Trusted = whoRuns()): string | undefined {
  try {
    const file = realpathSync(path);
    const directories = [...new Set([dirname(file), realpathSync(dirname(path))])];
    return (
      problemOf(file, 'file', trusted) ??
      directories
        .map((directory) => problemOf(directory, 'directory', trusted))
        .find((problem) => problem !== undefined)
    );
  } catch (error) {
    const code = errorCode(error);
    // That there is none, and that it may not be read, is told where it is read.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES' || code === 'ELOOP') {
      return undefined;
    }
    return `cannot be looked at: ${describeError(error)}`;
  }
}

const READABLE_BY_OTHERS = 0o004;

/** Whether any user may read the file, as far as its own permissions go. */
export function isReadByAll(path: string): boolean {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & READABLE_BY_OTHERS) !== 0;
}

const READABLE_BY_GROUP = 0o040;

/** Whether it is readable by any other than its owner. */
export function isReadByAnyoneElse(path: string): boolean {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & (READABLE_BY_GROUP | READABLE_BY_OTHERS)) !== 0;
}

const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_OTHERS = 0o002;
/** In such a directory, as `/tmp` is one, nobody can replace a file of somebody else. */
const STICKY = 0o1000;

function problemOf(
  path: string,
  kind: 'file' | 'directory',
  { uids, gids }: Trusted,
): string | undefined {
  const stat: Stats = statSync(path);
  const { mode, uid, gid } = stat;
  // `/dev/null` and `/tmp` have to be as they are.
  const isOurs = stat.isFile() || (stat.isDirectory() && (mode & STICKY) === 0);
  const remedy = (command: string): string =>
    isOurs ? `run: ${command} ${path}` : 'take another path';
  const where = kind === 'file' ? '' : `lies in ${path}, which `;
  if (!uids.includes(uid)) {
    return `${where}belongs to the user ${uid}, who could change it; ${remedy('chown root')}`;
  }
  if (kind === 'directory' && (mode & STICKY) !== 0) return undefined;
  if ((mode & WRITABLE_BY_OTHERS) !== 0) {
    return `${where}can be written by everybody; ${remedy('chmod o-w')}`;
  }
  if ((mode & WRITABLE_BY_GROUP) !== 0 && !gids.includes(gid)) {
    return `${where}can be written by the group ${gid}; ${remedy('chmod g-w')}`;
  }
  return undefined;
}
