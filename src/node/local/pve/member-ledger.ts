import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path/posix';
import { ledgersIn, ledgerText, parseLedger } from '../../../core/groups/ledger.ts';
import { missing, present } from '../../../core/reading.ts';
import { makeDirectories, refuseLink } from '../../../os/directories.ts';
import { temporaryName, writeDurably } from '../../../os/durable-file.ts';
import { describeError, missingBecause } from '../../../os/os-error.ts';
import { readRegularFile } from '../../../os/regular-file.ts';
import type { LedgersHere } from '../../port.ts';
import type { Paths } from '../paths.ts';

/**
 * The ledgers of groups, one file each below `/etc/pve/priv`: the cluster file system lets root
 * alone in there, and has it on every node. Its files are of 1 MiB at most; renaming is atomic.
 */

const LIMIT_BYTES = 1024 * 1024;

export function createLedgers(paths: Paths): LedgersHere {
  const { ledgers: directory } = paths;
  const read = (group: string) => {
    const path = paths.ledger(group);
    const file = readRegularFile(path, LIMIT_BYTES);
    if (!file.ok) return file;
    const ledger = parseLedger(group, file.value.toString('utf8'));
    return ledger.ok ? ledger : missing(ledger.why, `${path}: ${ledger.detail}`);
  };
  return {
    list() {
      try {
        return present(ledgersIn(readdirSync(directory)));
      } catch (error) {
        const why = missingBecause(error, directory);
        return why.why === 'absent' ? present([]) : why;
      }
    },
    read,
    write(group, ledger) {
      const name = `${group}.json`;
      const content = Buffer.from(ledgerText(group, ledger));
      try {
        if (content.length > LIMIT_BYTES) throw new Error('it would be larger than 1 MiB');
        makeDirectories(directory, 0o700);
        refuseLink(directory);
        // Of a process that was killed while it wrote; the lease keeps all others out.
        rmSync(join(directory, temporaryName(name)), { force: true });
        writeDurably(directory, name, content);
        const back = readRegularFile(join(directory, name), LIMIT_BYTES);
        if (!back.ok || !back.value.equals(content)) throw new Error('it reads back differently');
        return undefined;
      } catch (error) {
        const path = paths.ledger(group);
        const why = describeError(error);
        return `The record of what was made here could not be written to ${path}: ${why}`;
      }
    },
  };
}
