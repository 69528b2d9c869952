import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { join } from 'node:path/posix';
import { whyNotTrusted } from './trusted-file.ts';

const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Where a program would be found by PATH; undefined: nowhere. Starts nothing. */
export function findExecutable(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return (env['PATH'] ?? USUAL_PATH)
    .split(':')
    .filter((directory) => directory !== '')
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
