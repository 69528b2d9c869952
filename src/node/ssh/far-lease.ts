import { dirname, join } from 'node:path/posix';
import { missing, present } from '../../core/reading.ts';
import { LEASE_LEVELS, type LeaseFiles, UNMOUNTED } from '../../os/lease.ts';
import { errorCode, failed, missingBecause } from '../../os/os-error.ts';
import { parentOf } from './far-files.ts';
import type { KeptConnection } from './kept-connection.ts';

const LIMIT_MS = 20_000;
/** From that directory to `/etc/pve`, over `priv`. */
const UP = '../'.repeat(LEASE_LEVELS + 1);

/** The files of a lease in a directory of the far node. */
export function farLeaseFiles(connection: KeptConnection, directory: () => string): LeaseFiles {
  const write = async (path: string, how: string, text: string): Promise<void> => {
    const answer = await connection.request('W', [path, how, text, ''], LIMIT_MS);
    if (!answer.ok) throw new Error(answer.detail);
    const written = answer.value[0];
    if (written?.kind !== 'written') throw new Error('no answer to it');
    if (written.code !== undefined) throw failed(written.code);
  };
  const makeDirectory = async (path: string, levels = LEASE_LEVELS): Promise<void> => {
    try {
      await write(path, 'm', '');
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return;
      if (errorCode(error) !== 'ENOENT' || levels === 1) throw error;
      await makeDirectory(dirname(path), levels - 1);
      await write(path, 'm', '');
    }
  };
  const at = (name: string): string => join(directory(), name);
  return {
    async read() {
      const path = directory();
      const list = join(path, UP, '.vmlist');
      const answer = await connection.request('L', [`f${list}`, `c${path}`], LIMIT_MS);
      if (!answer.ok) return answer;
      if (!answer.value.some((one) => one.kind === 'file' && one.path === list)) return UNMOUNTED;
      const texts = new Map<string, string>();
      for (const record of answer.value) {
        if (record.kind === 'error' && record.path === path) {
          const why = missingBecause(failed(record.code), path);
          return why.why === 'absent' ? present(texts) : why;
        }
        if (record.kind !== 'file' && record.kind !== 'error') continue;
        if (parentOf(record.path) !== path) continue;
        // One that its successor has removed since it was listed says nothing.
        if (record.kind === 'error' && record.code !== 'ENOENT') {
          return missingBecause(failed(record.code), record.path);
        }
        const text = record.kind === 'file' ? record.bytes.toString('utf8') : '';
        texts.set(record.path.slice(path.length + 1), text);
      }
      const isListed = answer.value.some((one) => one.kind === 'directory' && one.path === path);
      return isListed ? present(texts) : missing('malformed', `${path}: no answer to it`);
    },
    async create(name, text) {
      try {
        await write(at(name), 'c', text);
      } catch (error) {
        if (errorCode(error) !== 'ENOENT') throw error;
        await makeDirectory(directory());
        await write(at(name), 'c', text);
      }
    },
    overwrite: (name, text) => write(at(name), 'o', text),
    remove: (name) => write(at(name), 'd', ''),
  };
}
