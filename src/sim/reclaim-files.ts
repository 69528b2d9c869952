import {
  chmodSync,
  closeSync,
  type FSWatcher,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  watch,
} from 'node:fs';
import type { Tree } from './tree.ts';

/**
 * `memory.reclaim` of the containers: plain files that are watched, since here no kernel takes a
 * write. What is written is acted on within milliseconds; the write itself always succeeds. The
 * EAGAIN of a kernel that has less to give comes from who stands between program and files
 * (`test/faults/outside.cjs`), or from `VirtualNode`.
 */

/** Who writes to it appends, so that a request that comes while another is read is not lost. */
interface WatchedFile {
  readonly descriptor: number;
  readonly watcher: FSWatcher | undefined;
  /** Bytes of it that were acted on. */
  done: number;
  /** Something came since the last sample at all files. */
  busy: boolean;
}

const NAME = 'memory.reclaim';
const MOST_AT_ONCE = 64 * 1024;
const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Linux has it since 5.19. */
export function kernelHasReclaim(release: string): boolean {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(major) > 5 || (Number(major) === 5 && Number(minor) >= 19);
}

/** The bytes that lines such as `1048576` or `200M` ask for; a line that is no number counts 0. */
function bytesAsked(text: string): number {
  let sum = 0;
  for (const [, digits, unit = ''] of text.matchAll(/^\s*(\d{1,15})([KMG]?)\s*$/gim)) {
    sum += Number(digits) * (UNITS[unit.toUpperCase()] ?? 0);
  }
  return sum;
}

export class ReclaimFiles {
  readonly #tree: Tree;
  readonly #reclaim: (vmid: number, bytes: number) => void;
  readonly #files = new Map<number, WatchedFile>();

  constructor(tree: Tree, reclaim: (vmid: number, bytes: number) => void) {
    this.#tree = tree;
    this.#reclaim = reclaim;
  }

  /** Makes the file in a container's cgroup, and watches it. */
  add(vmid: number, directory: string): void {
    this.#tree.write(directory, NAME, '');
    const path = this.#tree.path(directory, NAME);
    const descriptor = openSync(path, 'r+');
    const watcher = this.#watch(vmid, path);
    // After it was opened and watched, which only root may do with a file that is not readable.
    chmodSync(path, 0o200);
    this.#files.set(vmid, { descriptor, watcher, done: 0, busy: false });
  }

  remove(vmid: number): void {
    const file = this.#files.get(vmid);
    if (file === undefined) return;
    this.#files.delete(vmid);
    file.watcher?.close();
    closeSync(file.descriptor);
  }

  /** Looks at all files, should a watch have missed something, and empties those that are quiet. */
  look(): void {
    for (const [vmid, file] of this.#files) {
      this.#act(vmid, file);
      if (!file.busy && file.done > 0) {
        ftruncateSync(file.descriptor, 0);
        file.done = 0;
      }
      file.busy = false;
    }
  }

  close(): void {
    for (const vmid of [...this.#files.keys()]) this.remove(vmid);
  }

  /** Without a watch (the system has no more of them) every look at all files still sees it. */
  #watch(vmid: number, path: string): FSWatcher | undefined {
    try {
      const watcher = watch(path, { persistent: false }, () => {
        const file = this.#files.get(vmid);
        if (file !== undefined) this.#act(vmid, file);
      });
      watcher.on('error', () => watcher.close());
      return watcher;
    } catch {
      return undefined;
    }
  }

  #act(vmid: number, file: WatchedFile): void {
    const { size } = fstatSync(file.descriptor);
    if (size < file.done) file.done = 0;
    if (size === file.done) return;
    const buffer = Buffer.alloc(Math.min(size - file.done, MOST_AT_ONCE));
    const length = readSync(file.descriptor, buffer, 0, buffer.length, file.done);
    file.done += length;
    file.busy = true;
    const bytes = bytesAsked(buffer.toString('latin1', 0, length));
    if (bytes > 0) this.#reclaim(vmid, bytes);
  }
}
