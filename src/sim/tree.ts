import {
  closeSync,
  constants,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The files of the node's kernel. A file keeps its inode for as long as it exists and is only
 * written where its text changes, at offset 0 and cut to its new length, so that a reader that
 * keeps it open sees what it would see of a real kernel file.
 */

interface LiveFile {
  text: string;
  /** Kept open from the second write on; files that never change cost no descriptor. */
  descriptor: number | undefined;
}

const MOST_KEPT_DESCRIPTORS = 4000;

const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';

export class Tree {
  readonly root: string;
  readonly #directories = new Map<string, Map<string, LiveFile>>();
  #kept = 0;
  /** Writes that reached the disk; for tests and for measuring. */
  writes = 0;

  constructor(root: string) {
    this.root = root;
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  makeDirectory(directory: string): void {
    mkdirSync(this.path(directory), { recursive: true });
  }

  /** Brings a file to this text. Creates it, and its directory, where they are not there yet. */
  write(directory: string, name: string, text: string): void {
    let files = this.#directories.get(directory);
    if (files === undefined) {
      this.makeDirectory(directory);
      files = new Map();
      this.#directories.set(directory, files);
    }
    const file = files.get(name);
    if (file === undefined) {
      const descriptor = openSync(this.path(directory, name), 'w');
      writeSync(descriptor, text, 0, 'utf8');
      closeSync(descriptor);
      files.set(name, { text, descriptor: undefined });
      this.writes += 1;
    } else if (file.text !== text) this.#rewrite(this.path(directory, name), file, text);
  }

  /** What a file should say; undefined: there is none. */
  text(directory: string, name: string): string | undefined {
    return this.#directories.get(directory)?.get(name)?.text;
  }

  /** Brings a file back to its text, after somebody else has written to it. */
  rewrite(directory: string, name: string): void {
    const file = this.#directories.get(directory)?.get(name);
    if (file !== undefined) this.#rewrite(this.path(directory, name), file, file.text);
  }

  #rewrite(path: string, file: LiveFile, text: string): void {
    const descriptor = file.descriptor ?? this.#open(path);
    if (descriptor === undefined) return;
    writeSync(descriptor, text, 0, 'utf8');
    if (text.length !== file.text.length || text === file.text) {
      ftruncateSync(descriptor, Buffer.byteLength(text));
    }
    file.text = text;
    this.writes += 1;
    if (file.descriptor !== undefined) return;
    if (this.#kept >= MOST_KEPT_DESCRIPTORS) closeSync(descriptor);
    else {
      file.descriptor = descriptor;
      this.#kept += 1;
    }
  }

  /** Undefined when someone took the file away: a test may, and a kernel would not mind. */
  #open(path: string): number | undefined {
    try {
      return openSync(path, 'r+');
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  /**
   * Takes a directory away with all below it, at once as rmdir of a cgroup does. Who still has a
   * file of it open reads it empty (a kernel would answer ENODEV). The emptied directory is kept
   * aside until the next one goes, so that one made anew cannot get the same inode.
   */
  remove(directory: string): void {
    const aside = this.path('.removed', directory.replaceAll('/', '_'));
    for (const [below, files] of [...this.#directories]) {
      if (below !== directory && !below.startsWith(`${directory}/`)) continue;
      for (const [name, file] of files) this.#empty(this.path(below, name), file);
      this.#directories.delete(below);
    }
    rmSync(aside, { recursive: true, force: true });
    mkdirSync(dirname(aside), { recursive: true });
    try {
      renameSync(this.path(directory), aside);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  #empty(path: string, file: LiveFile): void {
    if (file.descriptor !== undefined) {
      ftruncateSync(file.descriptor, 0);
      closeSync(file.descriptor);
      this.#kept -= 1;
      return;
    }
    try {
      // For writing only: who is not root may not read all of them.
      closeSync(openSync(path, constants.O_WRONLY | constants.O_TRUNC));
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /** Closes what is open. The files stay. */
  close(): void {
    for (const files of this.#directories.values()) {
      for (const file of files.values()) {
        if (file.descriptor !== undefined) closeSync(file.descriptor);
        file.descriptor = undefined;
      }
    }
    this.#kept = 0;
  }
}
