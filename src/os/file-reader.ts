import type { Reading } from '../core/reading.ts';
import { missing, present } from '../core/reading.ts';
import { missingBecause } from './os-error.ts';
import { FILES_OF_THIS_HOST, type ReadableFiles } from './readable-files.ts';

const FIRST_SIZE = 16 * 1024;

/** The bytes lie in a buffer that the reader uses again: they hold until its next call. */
export type ReadSmallFile = (path: string) => Reading<Buffer>;

/**
 * Makes a reader of whole small files into one buffer that is kept. A file of more than
 * `limitBytes` is `malformed`; the size that the file system tells is not trusted, since those
 * of `/proc` and `/etc/pve` may tell 0 or an old one.
 */
export function createFileReader(
  limitBytes: number,
  files: ReadableFiles = FILES_OF_THIS_HOST,
): ReadSmallFile {
  let scratch = Buffer.allocUnsafeSlow(Math.min(FIRST_SIZE, limitBytes + 1));
  const readAll = (fd: number): number => {
    let length = 0;
    for (;;) {
      if (length === scratch.length) {
        if (length > limitBytes) return length;
        const larger = Buffer.allocUnsafeSlow(Math.min(scratch.length * 2, limitBytes + 1));
        scratch.copy(larger);
        scratch = larger;
      }
      const count = files.read(fd, scratch, length, scratch.length - length, null);
      if (count === 0) return length;
      length += count;
    }
  };
  return (path) => {
    let fd = -1;
    try {
      fd = files.open(path);
      const length = readAll(fd);
      if (length <= limitBytes) return present(scratch.subarray(0, length));
      return missing('malformed', `${path}: larger than ${limitBytes} bytes`);
    } catch (error) {
      return missingBecause(error, path);
    } finally {
      if (fd >= 0) files.close(fd);
    }
  };
}

/**
 * The beginning of a file, as much of it as goes into `buffer`, by a single read. For a file of the
 * kernel of which only the first line is wanted.
 */
export function readHead(
  path: string,
  buffer: Buffer,
  files: ReadableFiles = FILES_OF_THIS_HOST,
): Reading<Buffer> {
  let fd = -1;
  try {
    fd = files.open(path);
    return present(buffer.subarray(0, files.read(fd, buffer, 0, buffer.length, 0)));
  } catch (error) {
    return missingBecause(error, path);
  } finally {
    if (fd >= 0) files.close(fd);
  }
}
