import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { missing, present, type Reading } from '../core/reading.ts';
import { createFileReader } from './file-reader.ts';
import { missingBecause } from './os-error.ts';
import { FILES_OF_THIS_HOST } from './readable-files.ts';

/**
 * Files of the kernel that are written. A write may last for as long as the kernel reclaims, so
 * that nothing here is waited for by all else.
 */
export interface KernelFiles {
  read(path: string): Promise<Reading<Buffer>>;
  inode(directory: string): Promise<Reading<number>>;
  /**
   * Throws what the system says.
   * @param put appended, so that in a plain file no part replaces another one, or in its place
   * @param restore what is to be written if nobody is left to do it
   */
  write(path: string, text: string, put: 'behind' | 'instead', restore?: string): Promise<void>;
  /** What was to be restored of a file is so already, or was changed by others. */
  letGo(path: string): void;
}

const LIMIT_BYTES = 4096;
const FLAGS = {
  behind: constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK,
  // Plain files of a test keep the end of what was there, if it is not cut off.
  instead: constants.O_WRONLY | constants.O_TRUNC,
};

/** Nothing is restored of itself here: what is left is put back by the next process. */
export const KERNEL_FILES_OF_THIS_HOST: KernelFiles = {
  read: async (path) => createFileReader(LIMIT_BYTES)(path),
  async inode(directory) {
    try {
      const status = FILES_OF_THIS_HOST.stat(directory);
      return status ? present(status.ino) : missing('absent', `${directory}: not there`);
    } catch (error) {
      return missingBecause(error, directory);
    }
  },
  async write(path, text, put) {
    const file = await open(path, FLAGS[put]);
    try {
      await file.write(text);
    } finally {
      await file.close();
    }
  },
  letGo() {},
};
