import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** How many watches of inotify a process holds, as the kernel counts them. */
export function watchesOf(pid: number | 'self' | undefined): number {
  const directory = `/proc/${pid}/fdinfo`;
  let count = 0;
  for (const name of readdirSync(directory)) {
    try {
      count += readFileSync(join(directory, name), 'utf8').match(/^inotify wd:/gm)?.length ?? 0;
    } catch {
      // It was closed meanwhile.
    }
  }
  return count;
}
