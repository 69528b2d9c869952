import { existsSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path/posix';
import type { Vmid } from '../core/units.ts';
import { makeDirectories } from '../os/directories.ts';
import { syncDirectory } from '../os/durable-file.ts';
import { describeError } from '../os/os-error.ts';

/**
 * The copies of a guest's configuration go to where those of another node lie; what is there
 * already stays as it is. Returns why some could not go.
 */
export function moveBackups(from: string, to: string, vmid: Vmid): string | undefined {
  const [old, next] = [join(from, String(vmid)), join(to, String(vmid))];
  try {
    if (!existsSync(old)) return undefined;
    makeDirectories(next, 0o700);
    for (const name of readdirSync(old)) {
      if (!existsSync(join(next, name))) renameSync(join(old, name), join(next, name));
    }
    syncDirectory(next);
    if (readdirSync(old).length === 0) rmdirSync(old);
    return undefined;
  } catch (error) {
    return `${old} cannot be moved to ${next}: ${describeError(error)}`;
  }
}
