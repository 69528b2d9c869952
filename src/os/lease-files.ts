import { mkdir, open, readdir, readFile, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path/posix';
import { present } from '../core/reading.ts';
import { LEASE_LEVELS, type LeaseFiles } from './lease.ts';
import { errorCode, missingBecause } from './os-error.ts';

/** Those of a directory of this host, or of one that others share with it. */
export function leaseFilesIn(directory: string): LeaseFiles {
  const at = (name: string): string => join(directory, name);
  return {
    async read() {
      try {
        const names = (await readdir(directory)).filter((name) => name.endsWith('.lease'));
        const texts = await Promise.all(names.map((name) => textOf(at(name))));
        return present(new Map(names.map((name, index) => [name, texts[index] ?? ''])));
      } catch (error) {
        const why = missingBecause(error, directory);
        return why.why === 'absent' ? present(new Map()) : why;
      }
    },
    async create(name, text) {
      await makeDirectory(directory);
      const file = await open(at(name), 'wx', 0o600);
      try {
        await file.write(text, 0);
      } finally {
        await file.close();
      }
    },
    async overwrite(name, text) {
      const file = await open(at(name), 'r+');
      try {
        await file.write(text, 0);
      } finally {
        await file.close();
      }
    },
    remove: (name) => unlink(at(name)),
  };
}

async function makeDirectory(path: string, levels = LEASE_LEVELS): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return;
    if (errorCode(error) !== 'ENOENT' || levels === 1) throw error;
    await makeDirectory(dirname(path), levels - 1);
    await makeDirectory(path, 1);
  }
}

/** Nothing of one that its successor has removed since it was listed. */
async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}
