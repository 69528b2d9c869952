import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Reading } from '../core/reading.ts';
import { missing, present } from '../core/reading.ts';
import { missingBecause } from './os-error.ts';

/**
 * Reads a file of our own directories, where somebody may have laid something else in its place: a
 * link is not followed, a pipe not waited for, and one of more than `limitBytes` is `malformed`.
 */
export function readRegularFile(path: string, limitBytes: number): Reading<Buffer> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  let fd = -1;
  try {
    fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!fstatSync(fd).isFile()) return missing('malformed', `${path}: is no regular file`);
    const buffer = Buffer.alloc(Math.min(fstatSync(fd).size, limitBytes) + 1);
    let length = 0;
    while (length < buffer.length) {
      const count = readSync(fd, buffer, length, buffer.length - length, null);
      if (count === 0) return present(buffer.subarray(0, length));
      length += count;
    }
    return missing('malformed', `${path}: larger than ${limitBytes} bytes, or being written`);
  } catch (error) {
    return missingBecause(error, path);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}
