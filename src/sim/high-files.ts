import { type FSWatcher, readFileSync, watch } from 'node:fs';
import type { Tree } from './tree.ts';

/**
 * `memory.high` of the containers: plain files that are watched, since here no kernel takes a
 * write. A whole line (`12345` or `max`) is taken over within milliseconds; anything else is no
 * write that a kernel would have taken, and is replaced at the next look at all files.
 */

const NAME = 'memory.high';

export class HighFiles {
  readonly #tree: Tree;
  readonly #set: (vmid: number, bytes: number) => void;
  readonly #files = new Map<
    number,
    { readonly directory: string; readonly watcher: FSWatcher | undefined }
  >();

  /** @param set is told the bytes, Infinity for `max`. */
  constructor(tree: Tree, set: (vmid: number, bytes: number) => void) {
    this.#tree = tree;
    this.#set = set;
  }

  /** Watches the file of a container, which is there already. */
  add(vmid: number, directory: string): void {
    this.#files.set(vmid, { directory, watcher: this.#watch(vmid, directory) });
  }

  remove(vmid: number): void {
    this.#files.get(vmid)?.watcher?.close();
    this.#files.delete(vmid);
  }

  /** Looks at all files, should a watch have missed something. */
  look(): void {
    for (const [vmid, { directory }] of this.#files) {
      if (!this.#take(vmid, directory)) this.#tree.rewrite(directory, NAME);
    }
  }

  close(): void {
    for (const vmid of [...this.#files.keys()]) this.remove(vmid);
  }

  #watch(vmid: number, directory: string): FSWatcher | undefined {
    try {
      const path = this.#tree.path(directory, NAME);
      const watcher = watch(path, { persistent: false }, () => this.#take(vmid, directory));
      watcher.on('error', () => watcher.close());
      return watcher;
    } catch {
      return undefined;
    }
  }

  /** Returns whether the file is whole. */
  #take(vmid: number, directory: string): boolean {
    let text: string;
    try {
      text = readFileSync(this.#tree.path(directory, NAME), 'latin1');
    } catch {
      return true;
    }
    if (text === this.#tree.text(directory, NAME)) return true;
    const value = /^(max|[0-9]{1,15})\n$/.exec(text)?.[1];
    if (value === undefined) return false;
    this.#set(vmid, value === 'max' ? Number.POSITIVE_INFINITY : Number(value));
    return true;
  }
}
