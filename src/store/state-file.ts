import { rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path/posix';
import { missing, present, type Reading } from '../core/reading.ts';
import { makeDirectories, refuseLink } from '../os/directories.ts';
import { syncDirectory, temporaryName, writeDurably } from '../os/durable-file.ts';
import { createFileReader } from '../os/file-reader.ts';
import { describeError } from '../os/os-error.ts';
import { readRegularFile } from '../os/regular-file.ts';
import type { Sysroot } from '../os/sysroot.ts';

/** The one file in which the loop's state survives a restart and a crash. */

const STATE_FILE = '/var/lib/lxc_autoscale/state.json';
export const stateFileBelow = (below: string): string =>
  join(dirname(STATE_FILE), below, basename(STATE_FILE));
const LIMIT_BYTES = 8 * 1024 * 1024;
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

export interface StateFile {
  /** What is in it, as JSON has it; missing with `absent` if there is none. */
  read(): Reading<unknown>;
  /** Replaces it as a whole. Returns what went wrong, undefined if nothing did. */
  write(content: unknown): string | undefined;
  /** Which boot of the host this is; undefined if the kernel does not say. */
  boot(): string | undefined;
}

export function createStateFile(paths: Sysroot, name: string = STATE_FILE): StateFile {
  const path = paths.at(name);
  const directory = dirname(path);
  return {
    read() {
      const file = readRegularFile(path, LIMIT_BYTES);
      if (!file.ok) return file;
      try {
        return present(JSON.parse(file.value.toString('utf8')));
      } catch {
        return missing('malformed', `${path}: it is no JSON`);
      }
    },
    write(content) {
      try {
        makeDirectories(directory, 0o700);
        refuseLink(directory);
        // Of a process that was killed while it wrote; the lock keeps all others out.
        rmSync(join(directory, temporaryName(basename(path))), { force: true });
        writeDurably(directory, basename(path), Buffer.from(JSON.stringify(content)));
        syncDirectory(directory);
        return undefined;
      } catch (error) {
        return `The state could not be saved to ${path}: ${describeError(error)}`;
      }
    },
    boot() {
      const id = createFileReader(4096)(paths.at(BOOT_ID_FILE));
      return id.ok ? id.value.toString('utf8').trim() : undefined;
    },
  };
}
