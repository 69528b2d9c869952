import { join } from 'node:path/posix';
import { setTimeout as wait } from 'node:timers/promises';
import type { Reading } from '../../../core/reading.ts';
import { missing, present } from '../../../core/reading.ts';
import { type Bytes, milliseconds, parseVmid, type Vmid } from '../../../core/units.ts';
import { parseJsonObject } from '../../../os/json-object.ts';
import { KERNEL_FILES_OF_THIS_HOST, type KernelFiles } from '../../../os/kernel-files.ts';
import { errorCode } from '../../../os/os-error.ts';
import { readRegularFile } from '../../../os/regular-file.ts';
import type { Clock, HighAnswer, HighLeft, MemoryHigh, WriteOutcome } from '../../port.ts';
import type { Paths } from '../paths.ts';
import {
  HIGH_DIRECTORY,
  type High,
  type HighPlace,
  highOf,
  namesIn,
  RECORD_BYTES,
  readLimit,
  removeRecord,
  saveRecord,
  writeHigh,
} from './high-file.ts';

/**
 * `memory.high` of containers, held down while a limit is lowered. One small file for each that is
 * held says what it was, and is written before the kernel's file: a process that is killed in
 * between leaves it, and the next one puts `memory.high` back by it.
 */

const PAUSE_MS = 50;
/** No change takes so long. What is older belongs to nobody, whoever has its process id by now. */
const LONGEST_MS = 600_000;

interface Held {
  /** Inode of the cgroup: a container that was restarted has another one, and its own limits. */
  readonly cgroup: number;
  readonly was: High;
  readonly heldAt: number;
  readonly pid: number;
  readonly sinceMs: number;
}

interface At extends HighPlace {
  readonly clock: Clock;
  /** Held by this process. */
  readonly own: Set<Vmid>;
}

/** @param directory where the records are, on this host; those of each node have their own */
export function createMemoryHigh(
  paths: Paths,
  clock: Clock,
  files: KernelFiles = KERNEL_FILES_OF_THIS_HOST,
  directory: string = paths.at(HIGH_DIRECTORY),
): MemoryHigh {
  const at: At = { paths, directory, files, clock, own: new Set() };
  return {
    hold: (vmid, bytes) => hold(at, vmid, bytes),
    release: (vmid) => release(at, vmid),
    releaseLeft: () => releaseLeft(at),
    pause: () => wait(PAUSE_MS),
  };
}

async function hold(at: At, vmid: Vmid, bytes: Bytes): Promise<HighAnswer> {
  const refused = (message: string): HighAnswer => ({ kind: 'refused', message });
  const now = await readLimit(at, vmid);
  if (!now.ok) return refused(now.detail);
  const { cgroup, value: was } = now.value;
  if (was !== 'max' && was <= bytes) return { kind: 'held' };
  const left = readRecord(at, vmid);
  if (left.ok && isAtWork(at, left.value))
    return refused(`process ${left.value.pid} holds it down`);
  if (left.ok && left.value.heldAt === was) {
    // It could not be put back after the change before; what it says is not what it was.
    const released = await release(at, vmid);
    return released.ok ? hold(at, vmid, bytes) : refused(released.message);
  }
  const { pid } = process;
  const sinceMs = at.clock.wallMs();
  const held: Held = { cgroup, was, heldAt: bytes, pid, sinceMs };
  const recorded = saveRecord(at, String(vmid), held);
  if (!recorded.ok) return refused(recorded.message);
  at.own.add(vmid);
  const written = await writeHigh(at, vmid, bytes, was);
  if (written.ok) return { kind: 'held' };
  await release(at, vmid);
  return refused(written.message);
}

async function release(at: At, vmid: Vmid): Promise<WriteOutcome> {
  at.own.delete(vmid);
  const held = readRecord(at, vmid);
  if (!held.ok && held.why === 'absent') return { ok: true };
  if (!held.ok && held.why !== 'malformed') return { ok: false, message: held.detail };
  const now = await readLimit(at, vmid);
  if (!now.ok && now.why !== 'absent') return { ok: false, message: now.detail };
  // A record that cannot be read was never whole, so that nothing was written by it.
  const isOurs =
    held.ok &&
    now.ok &&
    now.value.cgroup === held.value.cgroup &&
    now.value.value === held.value.heldAt;
  if (isOurs) {
    const written = await writeHigh(at, vmid, held.value.was);
    if (!written.ok) return written;
  }
  at.files.letGo(highOf(at, vmid));
  return removeRecord(at, String(vmid));
}

async function releaseLeft(at: At): Promise<readonly HighLeft[]> {
  const left: HighLeft[] = [];
  for (const name of namesIn(at.directory)) {
    const vmid = parseVmid(name);
    if (vmid === undefined || at.own.has(vmid)) continue;
    const held = readRecord(at, vmid);
    if (held.ok && isAtWork(at, held.value)) continue;
    const outcome = await release(at, vmid);
    left.push(outcome.ok ? { vmid } : { vmid, problem: outcome.message });
  }
  return left;
}

/** Whether another process, a rollback beside the daemon, is at its change still. */
function isAtWork({ clock }: At, { pid, sinceMs }: Held): boolean {
  if (pid === process.pid || Math.abs(clock.wallMs() - sinceMs) > LONGEST_MS) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

function readRecord({ directory }: At, vmid: Vmid): Reading<Held> {
  const path = join(directory, String(vmid));
  const file = readRegularFile(path, RECORD_BYTES);
  if (!file.ok) return file;
  const { cgroup, was, heldAt, pid, sinceMs } = parseJsonObject(file.value.toString('utf8')) ?? {};
  const numbers = [cgroup, heldAt, pid, sinceMs, was === 'max' ? 0 : was];
  if (!numbers.every((value) => Number.isSafeInteger(value))) {
    return missing('malformed', `${path}: not as it was written`);
  }
  return present({
    cgroup: Number(cgroup),
    heldAt: Number(heldAt),
    pid: Number(pid),
    was: was === 'max' ? 'max' : Number(was),
    sinceMs: milliseconds(Number(sinceMs)),
  });
}
