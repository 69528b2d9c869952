import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path/posix';

/** Files that matter: whole or not at all, also after a crash. For root only. */

/** The name under which a file is written before it is whole. */
export const temporaryName = (name: string): string => `.${name}.tmp`;

export interface DurableOptions {
  /** In the place of `temporaryName(name)`. */
  readonly temporary?: string;
  /** Owner and permissions, while nobody sees the file yet. */
  readonly prepare?: (descriptor: number) => void;
}

/**
 * Writes a file: temporary file in the same directory, fsync, read back, rename. Throws what the
 * system says, and leaves no temporary file then; one that is in the way (EEXIST) stays. The name
 * itself is durable after `syncDirectory`.
 */
export function writeDurably(
  directory: string,
  name: string,
  content: Uint8Array,
  { temporary: hidden = temporaryName(name), prepare }: DurableOptions = {},
): void {
  const temporary = join(directory, hidden);
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const descriptor = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      writeFileSync(descriptor, content);
      prepare?.(descriptor);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    // What is there stays if the new content is not whole.
    if (!readFileSync(temporary).equals(content)) throw new Error('it reads back differently');
    renameSync(temporary, join(directory, name));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
