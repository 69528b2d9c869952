import { chmodSync, lstatSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path/posix';
import { errorCode } from './os-error.ts';

/**
 * Makes a directory and those above it that are missing; throws what the system says. Node's own
 * recursive mkdir is not used: it hides EROFS behind an ENOENT.
 */
export function makeDirectories(path: string, mode: number): void {
  try {
    makeDirectory(path, mode);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || dirname(path) === path) throw error;
    makeDirectories(dirname(path), mode);
    makeDirectory(path, mode);
  }
}

/** Makes one directory unless it is there. Returns whether it was made. */
export function makeDirectory(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    if (!statSync(path).isDirectory()) throw new Error(`${path} is not a directory`);
    return false;
  }
}

/** Throws where a directory is in truth a link to one. */
export function refuseLink(path: string): void {
  if (lstatSync(path).isDirectory()) return;
  throw new Error(`${path} is a symbolic link, which is not followed`);
}

/** Makes a directory that nobody else may enter, or makes one that is there so. */
export function makePrivateDirectory(path: string): void {
  makeDirectories(dirname(path), 0o755);
  makeDirectory(path, 0o700);
  refuseLink(path);
  chmodSync(path, 0o700);
}
