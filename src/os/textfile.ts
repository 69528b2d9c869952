import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path/posix';
import { describeError } from './os-error.ts';

/**
 * Writes a file that others read at any time: whole or not at all. Not synced, since after a crash
 * of the host the next cycle writes it anew. Returns why it could not be written.
 */
export function replaceFile(path: string, text: string): string | undefined {
  // node_exporter reads what ends in .prom only, so the half-written one must not.
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  try {
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o644 });
    renameSync(temporary, path);
    return undefined;
  } catch (error) {
    // In a directory of another program anything may stand under that name.
    removeFile(temporary);
    return `${path}: ${describeError(error)}`;
  }
}

export function removeFile(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // It was ours to write; that it cannot be taken away is told where it cannot be written.
  }
}
