import type { ReadSmallFile } from './file-reader.ts';
import type { Paths } from './paths.ts';
import { parseStartTime } from './vmlist-file.ts';

/**
 * `/etc/pve/.version`, of which only counts when the cluster file system was started: versions of
 * configurations begin anew with each start, so that what is known under them counts no longer.
 */
export class ClusterStart {
  readonly #file: string;
  readonly #read: ReadSmallFile;
  #startTime: number | undefined;

  constructor({ pveVersion }: Pick<Paths, 'pveVersion'>, read: ReadSmallFile) {
    this.#file = pveVersion;
    this.#read = read;
  }

  /**
   * Whether it differs from the last time, or has come up only now. If that cannot be known, it
   * counts as different each time: an equal version would prove nothing.
   */
  isAnother(): boolean {
    const file = this.#read(this.#file);
    const startTime = file.ok ? parseStartTime(file.value.toString('utf8')) : undefined;
    if (startTime !== undefined && startTime === this.#startTime) return false;
    this.#startTime = startTime;
    return true;
  }
}
