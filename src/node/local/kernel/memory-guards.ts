import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path/posix';
import { plainHigh } from '../../../core/memory-guard.ts';
import { missing, present, type Reading } from '../../../core/reading.ts';
import { type Bytes, bytes, bytesToMib, parseVmid, type Vmid } from '../../../core/units.ts';
import { parseJsonObject } from '../../../os/json-object.ts';
import { KERNEL_FILES_OF_THIS_HOST, type KernelFiles } from '../../../os/kernel-files.ts';
import { readRegularFile } from '../../../os/regular-file.ts';
import type { GuardAnswer, MemoryGuards, WriteOutcome } from '../../port.ts';
import type { Paths } from '../paths.ts';
import {
  HIGH_DIRECTORY,
  type High,
  type HighPlace,
  readLimit,
  removeRecord,
  saveRecord,
  writeHigh,
} from './high-file.ts';

/**
 * `memory.high` of containers, held a little below their limits. One small file beside those of
 * `memory-high.ts` says what each was set to: what says something else by now was set by others.
 */

const LIMIT_BYTES = 4096;

interface Guarded {
  /** Inode of the cgroup: a container that was restarted has another one, and its own limits. */
  readonly cgroup: number;
  readonly at: number;
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
const refused = (message: string): GuardAnswer => ({ kind: 'refused', message });

async function set(place: HighPlace, vmid: Vmid, at: Bytes): Promise<GuardAnswer> {
  // `memory-high.ts` puts back what it has found.
  if (existsSync(join(place.directory, String(vmid)))) return refused('a change is under way');
  const high = await readLimit(place, vmid);
  const max = await readLimit(place, vmid, 'memory.max');
  if (!high.ok) return refused(high.detail);
  if (!max.ok) return refused(max.detail);
  const { cgroup, value: now } = high.value;
  const isOurs = isSet(readRecord(place, vmid), cgroup, now);
  if (isOurs && now === at) return { kind: 'kept' };
  if (!isOurs && !isPlain(now, max.value.value)) {
    const mib = Math.round(bytesToMib(bytes(Number(now))));
    return { kind: 'others', message: `memory.high is ${mib} MB, which was not set from here` };
  }
  const guarded: Guarded = { cgroup, at };
  const recorded = saveRecord(place, nameOf(vmid), guarded);
  if (!recorded.ok) return refused(recorded.message);
  const written = await writeHigh(place, vmid, at);
  if (!written.ok) {
    // What was written by half is put back; what could not be written is as it was.
    await end(place, vmid);
    return refused(written.message);
  }
  return { kind: 'set', wasMib: now === 'max' ? undefined : bytesToMib(bytes(now)) };
}

async function end(place: HighPlace, vmid: Vmid): Promise<WriteOutcome> {
  const record = readRecord(place, vmid);
  if (!record.ok && record.why === 'absent') return { ok: true };
  const high = await readLimit(place, vmid);
  if (!high.ok && high.why !== 'absent') return { ok: false, message: high.detail };
  if (high.ok && isSet(record, high.value.cgroup, high.value.value)) {
    const max = await readLimit(place, vmid, 'memory.max');
    if (!max.ok && max.why !== 'absent') return { ok: false, message: max.detail };
    if (max.ok) {
      const { value } = max.value;
      const written = await writeHigh(place, vmid, value === 'max' ? 'max' : plainPages(value));
      if (!written.ok) return written;
    }
  }
  return removeRecord(place, nameOf(vmid));
}

function standing({ directory }: HighPlace): readonly Vmid[] {
  let names: readonly string[] = [];
  try {
    names = readdirSync(directory);
  } catch {
    // Nothing was ever held; or what was cannot be told, and the next one that is set says why.
  }
  const guarded = names.filter((name) => name.endsWith('.guard'));
  return guarded.flatMap((name) => parseVmid(name.slice(0, -'.guard'.length)) ?? []);
}

const isSet = (record: Reading<Guarded>, cgroup: number, now: High): boolean =>
  record.ok && record.value.cgroup === cgroup && record.value.at === now;

/** As Proxmox VE sets it with the limit, or nearer to it: it holds nothing. */
const isPlain = (high: High, max: High): boolean =>
  high === 'max' || (max !== 'max' && high >= plainPages(max));

const PAGE_BYTES = 4096;
/** The kernel counts in pages. */
const plainPages = (max: number): number => Math.floor(plainHigh(max) / PAGE_BYTES) * PAGE_BYTES;

function readRecord({ directory }: HighPlace, vmid: Vmid): Reading<Guarded> {
  const path = join(directory, nameOf(vmid));
  const file = readRegularFile(path, LIMIT_BYTES);
  if (!file.ok) return file;
  const { cgroup, at } = parseJsonObject(file.value.toString('utf8')) ?? {};
  if (![cgroup, at].every((value) => Number.isSafeInteger(value))) {
    return missing('malformed', `${path}: not as it was written`);
  }
  return present({ cgroup: Number(cgroup), at: Number(at) });
}
