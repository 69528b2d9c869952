import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { join } from 'node:path/posix';
import { whyNotTrusted } from './trusted-file.ts';

/** `sendmail` of some mail systems lies in /usr/lib. */
const USUAL_DIRECTORIES = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
  '/usr/lib',
];

/**
 * The PATH by which every program is found: that of the caller, then the usual directories, since
 * cron and some services have none of the sbin directories, where Proxmox VE has `pct`. Parts that
 * are no absolute directories are left out.
 */
export function searchPath({ PATH }: Readonly<Record<string, string | undefined>>): string {
  const own = (PATH ?? '').split(':').filter((directory) => directory.startsWith('/'));
  return [...new Set([...own, ...USUAL_DIRECTORIES])].join(':');
}

/** Where a program would be found by `searchPath`; undefined: nowhere. Starts nothing. */
export function findExecutable(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return searchPath(env)
    .split(':')
    .map((directory) => join(directory, name))
    .find(isExecutable);
}

/** What hinders the program at an absolute path from being run; undefined: nothing. */
export function programProblem(path: string): string | undefined {
  if (isExecutable(path)) return whyNotTrusted(path);
  return existsSync(path) ? 'is no executable file' : 'is not there';
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
