import { existsSync } from 'node:fs';
import { join } from 'node:path/posix';
import { plainHigh } from '../../../core/memory-guard.ts';
import { type Missing, missing, present, type Reading } from '../../../core/reading.ts';
import { type Bytes, bytes, bytesToMib, parseVmid, type Vmid } from '../../../core/units.ts';
import { parseJsonObject } from '../../../os/json-object.ts';
import { KERNEL_FILES_OF_THIS_HOST, type KernelFiles } from '../../../os/kernel-files.ts';
import { readRegularFile } from '../../../os/regular-file.ts';
import type { GuardAnswer, GuardEnd, MemoryGuards } from '../../port.ts';
import type { Paths } from '../paths.ts';
import {
  HIGH_DIRECTORY,
  type High,
  type HighPlace,
  namesIn,
  RECORD_BYTES,
  readLimit,
  removeRecord,
  saveRecord,
  writeHigh,
} from './high-file.ts';

/**
 * `memory.high` of containers, held a little below their limits. One small file beside those of
 * `memory-high.ts` says what each was set to: what says something else by now was set by others.
 */

interface Guarded {
  /** Inode of the cgroup: a container that was restarted has another one, and its own limits. */
  readonly cgroup: number;
  readonly at: number;
  /** Where it was before that: if `at` was never written, this still is ours. */
  readonly from?: number;
}

/** @param directory where the records are, on this host; those of each node have their own */
export function createMemoryGuards(
  paths: Paths,
  files: KernelFiles = KERNEL_FILES_OF_THIS_HOST,
  directory: string = paths.at(HIGH_DIRECTORY),
): MemoryGuards {
  const place: HighPlace = { paths, files, directory };
  return {
    set: (vmid, at) => set(place, vmid, at),
    end: (vmid) => end(place, vmid),
    standing: () => standing(place),
  };
}

const nameOf = (vmid: Vmid): string => `${vmid}.guard`;
const mibOf = (high: High): number | undefined =>
  high === 'max' ? undefined : bytesToMib(bytes(high));

async function set(place: HighPlace, vmid: Vmid, at: Bytes): Promise<GuardAnswer> {
  const refused = async (message: string): Promise<GuardAnswer> => {
    return { kind: 'refused', message, standsMib: await standsMib(place, vmid) };
  };
  // `memory-high.ts` puts back what it has found.
  if (existsSync(join(place.directory, String(vmid)))) return refused('a change is under way');
  const high = await readLimit(place, vmid);
  const max = await readLimit(place, vmid, 'memory.max');
  if (!high.ok) return refused(high.detail);
  if (!max.ok) return refused(max.detail);
  const { cgroup, value: now } = high.value;
  const record = readRecord(place, vmid);
  const isOurs = isSet(record, cgroup, now);
  if (isOurs && now === at) return { kind: 'kept' };
  if (!isOurs && !isPlain(now, max.value.value)) {
    if (isUnreadable(record)) return refused(unknownWords(record, now));
    const message = `memory.high is ${wordsOf(now)}, which was not set from here`;
    return { kind: 'others', message };
  }
  // Whatever ends this process, or the write: one of the two is what is there.
  const guarded: Guarded = { cgroup, at, ...(isOurs && now !== 'max' && { from: now }) };
  const recorded = saveRecord(place, nameOf(vmid), guarded);
  if (!recorded.ok) return refused(recorded.message);
  const written = await writeHigh(place, vmid, at);
  if (!written.ok) {
    // What was written by half is put back. A guard that stood stays.
    if (!isOurs) await end(place, vmid);
    return refused(written.message);
  }
  return { kind: 'set', wasMib: mibOf(now) };
}

/** Where a guard stands, in MiB, or may stand if that cannot be read. */
async function standsMib(place: HighPlace, vmid: Vmid): Promise<number | undefined> {
  const record = readRecord(place, vmid);
  if (!record.ok) return undefined;
  const high = await readLimit(place, vmid);
  if (high.ok) {
    const { cgroup, value } = high.value;
    return isSet(record, cgroup, value) ? mibOf(value) : undefined;
  }
  const { at, from = at } = record.value;
  return high.why === 'absent' ? undefined : mibOf(Math.min(at, from));
}

async function end(place: HighPlace, vmid: Vmid): Promise<GuardEnd> {
  const record = readRecord(place, vmid);
  if (!record.ok && record.why === 'absent') return { ok: true, isPutBack: false };
  const high = await readLimit(place, vmid);
  if (!high.ok && high.why !== 'absent') return { ok: false, message: high.detail };
  const max = await readLimit(place, vmid, 'memory.max');
  if (!max.ok && max.why !== 'absent') return { ok: false, message: max.detail };
  let isPutBack = false;
  if (high.ok && max.ok && !isPlain(high.value.value, max.value.value)) {
    const { cgroup, value: now } = high.value;
    if (isUnreadable(record)) return { ok: false, message: unknownWords(record, now) };
    const { value } = max.value;
    if (isSet(record, cgroup, now)) {
      const written = await writeHigh(place, vmid, value === 'max' ? 'max' : plainPages(value));
      if (!written.ok) return written;
      isPutBack = true;
    }
  }
  const removed = removeRecord(place, nameOf(vmid));
  return removed.ok ? { ok: true, isPutBack } : removed;
}

function standing({ directory }: HighPlace): readonly Vmid[] {
  const guarded = namesIn(directory).filter((name) => name.endsWith('.guard'));
  return guarded.flatMap((name) => parseVmid(name.slice(0, -'.guard'.length)) ?? []);
}

const isSet = (record: Reading<Guarded>, cgroup: number, now: High): boolean =>
  record.ok &&
  record.value.cgroup === cgroup &&
  (record.value.at === now || record.value.from === now);

const isUnreadable = (record: Reading<Guarded>): record is Missing =>
  !record.ok && record.why !== 'absent';

const wordsOf = (high: High): string =>
  high === 'max' ? 'max' : `${Math.round(bytesToMib(bytes(high)))} MB`;

const unknownWords = ({ detail }: Missing, now: High): string =>
  `${detail}. So it is not known who has set memory.high to ${wordsOf(now)}; ` +
  'a restart of the container sets it anew';

/** As Proxmox VE sets it with the limit, or nearer to it: it holds nothing. */
const isPlain = (high: High, max: High): boolean =>
  high === 'max' || (max !== 'max' && high >= plainPages(max));

const PAGE_BYTES = 4096;
/** The kernel counts in pages. */
const plainPages = (max: number): number => Math.floor(plainHigh(max) / PAGE_BYTES) * PAGE_BYTES;

function readRecord({ directory }: HighPlace, vmid: Vmid): Reading<Guarded> {
  const path = join(directory, nameOf(vmid));
  const file = readRegularFile(path, RECORD_BYTES);
  if (!file.ok) return file;
  const { cgroup, at, from = at } = parseJsonObject(file.value.toString('utf8')) ?? {};
  if (![cgroup, at, from].every((value) => Number.isSafeInteger(value))) {
    return missing('malformed', `${path}: not as it was written`);
  }
  return present({ cgroup: Number(cgroup), at: Number(at), from: Number(from) });
}
