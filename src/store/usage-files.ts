import { constants, createReadStream, openSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path/posix';
import { StringDecoder } from 'node:string_decoder';
import type { GuestIdentity } from '../core/identity.ts';
import { present, type Reading } from '../core/reading.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import {
  dayOf,
  parseUsage,
  parseUsageFileName,
  type UsageFile,
  type UsageRecord,
  usageFileName,
} from '../core/usage-history.ts';
import { describeError, errorCode, missingBecause } from '../os/os-error.ts';
import type { Sysroot } from '../os/sysroot.ts';

/** The history of usage, read back: which files there are, and what they say. */

/** To be put under the sysroot. */
export const USAGE_DIRECTORY = '/var/lib/lxc_autoscale/usage';

/** The files from the oldest to the newest. Missing with `absent` where there is no history. */
export function listUsageFiles(directory: string): Reading<readonly UsageFile[]> {
  let names: readonly string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    return missingBecause(error, directory);
  }
  const files: UsageFile[] = [];
  for (const name of names) {
    const file = parseUsageFileName(name);
    if (file === undefined) continue;
    const stat = statSync(join(directory, name), { throwIfNoEntry: false });
    if (stat?.isFile() === true) files.push({ ...file, bytes: stat.size });
  }
  return present(files);
}

/**
 * Reads the history from `sinceMs` (since 1970) on, as a stream: memory does not grow with it. The
 * times of a container rise from record to record: what is there twice is left out, since the clock
 * was set back or a crash has left a file both packed and not. So are lines that were cut short.
 * A guest is named once a day and where another one begins; each record bears the last name.
 *
 * @param complain is told in a sentence of what is there and cannot be read
 */
export async function* readUsage(
  paths: Sysroot,
  sinceMs: Milliseconds,
  complain: (problem: string) => void,
): AsyncGenerator<UsageRecord> {
  const directory = paths.at(USAGE_DIRECTORY);
  const files = listUsageFiles(directory);
  if (!files.ok) {
    if (files.why !== 'absent') complain(files.detail);
    return;
  }
  const sinceS = sinceMs / 1000;
  const firstDay = dayOf(Math.max(0, sinceS));
  const latest = new Map<Vmid, number>();
  const guests = new Map<Vmid, GuestIdentity>();
  for (const file of files.value) {
    if (file.day < firstDay) continue;
    for await (const lines of linesOf(directory, file, complain)) {
      for (const line of lines) {
        const record = parseUsage(line);
        if (record === undefined) continue;
        if (record.guest !== undefined) guests.set(record.vmid, record.guest);
        if (record.timeS < sinceS) continue;
        if (record.timeS <= (latest.get(record.vmid) ?? -1)) continue;
        latest.set(record.vmid, record.timeS);
        const guest = guests.get(record.vmid);
        yield guest === undefined ? record : { ...record, guest };
      }
    }
  }
}

/** A line of ours has some 120 characters, and many more where it names a guest. */
const LONGEST_LINE = 4000;
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Whole lines only, many at a time: the last one may still be in the writing. */
async function* linesOf(
  directory: string,
  file: UsageFile,
  complain: (problem: string) => void,
): AsyncGenerator<readonly string[]> {
  let rest = '';
  const decoder = new StringDecoder('utf8');
  try {
    for await (const chunk of chunksOf(directory, file)) {
      const lines = (rest + decoder.write(chunk)).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LONGEST_LINE) rest = rest.slice(0, LONGEST_LINE);
      yield lines;
    }
  } catch (error) {
    const path = join(directory, usageFileName(file));
    const isDamaged = errorCode(error)?.startsWith('Z_') === true;
    const what = isDamaged ? 'it is damaged' : describeError(error);
    complain(`${path}: ${what}; what could be read of it counts`);
  }
}

async function* chunksOf(directory: string, file: UsageFile): AsyncGenerator<Buffer> {
  const { fd, packed } = openFile(directory, file);
  const source = createReadStream('', { fd });
  try {
    if (!packed) {
      yield* source;
      return;
    }
    const { createGunzip } = await import('node:zlib');
    const plain = createGunzip();
    source.on('error', (error) => plain.destroy(error));
    yield* source.pipe(plain);
  } finally {
    source.destroy();
  }
}

function openFile(directory: string, file: UsageFile): { fd: number; packed: boolean } {
  const { packed } = file;
  try {
    return { fd: openSync(join(directory, usageFileName(file)), FLAGS), packed };
  } catch (error) {
    // It may have been packed since the directory was read.
    if (packed || errorCode(error) !== 'ENOENT') throw error;
    return openFile(directory, { ...file, packed: true });
  }
}
