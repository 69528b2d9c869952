import { type FSWatcher, watch } from 'node:fs';
import { missing, present, type Reading } from '../../../core/reading.ts';
import type { Vmid } from '../../../core/units.ts';
import { missingBecause } from '../../../os/os-error.ts';
import { identityOf } from '../../../os/readable-files.ts';
import type { LimitEvents, LimitWatch } from '../../port.ts';
import type { Paths } from '../paths.ts';

/** A watch holds some KB here and in the kernel, which has only so many for all that runs. */
const MOST_WATCHES = 500;

/**
 * Watches `memory.events.local` of outer cgroups by inotify. The kernel tells of each rise in it,
 * a hundred times a second at most, and of nothing that is met further down. It does not tell that
 * a cgroup is gone, and a watch on one that is gone stays silent for good (`test/kernel` asks it).
 */
export class LimitEventFiles implements LimitEvents {
  readonly #paths: Paths;
  readonly #most: number;
  readonly #open = new Set<FSWatcher>();

  constructor(paths: Paths, most: number = MOST_WATCHES) {
    this.#paths = paths;
    this.#most = most;
  }

  watch(vmid: Vmid, onEvent: () => void): Reading<LimitWatch> {
    const directory = this.#paths.cgroup(vmid);
    const path = `${directory}/memory.events.local`;
    if (this.#open.size >= this.#most) {
      return missing('unreadable', `${this.#most} are watched, which is the most`);
    }
    try {
      const identity = this.#identity(directory);
      if (identity === undefined) return missing('absent', `${directory}: not running`);
      // It does not keep the process from ending.
      const watcher = watch(path, { persistent: false }, onEvent);
      watcher.on('error', onEvent);
      this.#open.add(watcher);
      if (this.#identity(directory) === identity) {
        return present({ identity, close: () => this.#close(watcher) });
      }
      this.#close(watcher);
      return missing('absent', `${directory}: the cgroup goes away while it is looked at`);
    } catch (error) {
      return missingBecause(error, path);
    }
  }

  close(): void {
    for (const watcher of [...this.#open]) this.#close(watcher);
  }

  #identity(directory: string): number | undefined {
    const stats = this.#paths.files.stat(directory);
    return stats === undefined ? undefined : identityOf(stats);
  }

  #close(watcher: FSWatcher): void {
    this.#open.delete(watcher);
    watcher.close();
  }
}
