import { join } from 'node:path/posix';
import { ledgersIn, ledgerText, parseLedger } from '../../core/groups/ledger.ts';
import { missing, present } from '../../core/reading.ts';
import { createFileReader } from '../../os/file-reader.ts';
import { describeError, errorCode, failed, missingBecause } from '../../os/os-error.ts';
import type { MemberLedgers } from '../port.ts';
import type { FarFiles } from './far-files.ts';
import type { KeptConnection } from './kept-connection.ts';

/** The ledgers of groups in a directory of the far node, one file each. */

const LIMIT_BYTES = 1024 * 1024;
const LIMIT_MS = 20_000;

/**
 * @param files what the last look has found there
 * @param why nothing may be written; undefined: it may
 */
export function farLedgers(
  connection: KeptConnection,
  files: FarFiles,
  directory: string,
  why: () => string | undefined,
): MemberLedgers {
  const readFile = createFileReader(LIMIT_BYTES, files);
  const at = (group: string): string => join(directory, `${group}.json`);
  const put = async (path: string, how: string, text: string): Promise<void> => {
    const answer = await connection.request('W', [path, how, text, ''], LIMIT_MS);
    if (!answer.ok) throw new Error(answer.detail);
    const written = answer.value[0];
    if (written?.kind !== 'written') throw new Error('no answer to it');
    if (written.code !== undefined) throw failed(written.code);
  };
  const replace = async (path: string, text: string): Promise<void> => {
    try {
      await put(path, 'r', text);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
      await put(directory, 'm', '');
      await put(path, 'r', text);
    }
  };
  const readBack = async (path: string, wanted: Buffer): Promise<void> => {
    const answer = await connection.request('L', [`f${path}`], LIMIT_MS);
    if (!answer.ok) throw new Error(answer.detail);
    files.merge(answer.value, (one) => one === path);
    if (files.bytes(path)?.equals(wanted) !== true) throw new Error('it reads back differently');
  };
  return {
    list() {
      try {
        return present(ledgersIn(files.names(directory)));
      } catch (error) {
        const why = missingBecause(error, directory);
        return why.why === 'absent' ? present([]) : why;
      }
    },
    read(group) {
      const path = at(group);
      const file = readFile(path);
      if (!file.ok) return file;
      const ledger = parseLedger(group, file.value.toString('utf8'));
      return ledger.ok ? ledger : missing(ledger.why, `${path}: ${ledger.detail}`);
    },
    async write(group, ledger) {
      const path = at(group);
      const text = ledgerText(group, ledger);
      const content = Buffer.from(text);
      try {
        const problem = why();
        if (problem !== undefined) throw new Error(problem);
        if (content.length > LIMIT_BYTES) throw new Error('it would be larger than 1 MiB');
        await replace(path, text);
        await readBack(path, content);
        return undefined;
      } catch (error) {
        const whose = 'The members of the group could not be written to';
        return `${whose} ${path} of the node: ${describeError(error)}`;
      }
    },
  };
}
