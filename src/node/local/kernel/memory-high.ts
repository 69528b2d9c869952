import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path/posix';
import { setTimeout as wait } from 'node:timers/promises';
import type { Reading } from '../../../core/reading.ts';
import { missing, present } from '../../../core/reading.ts';
import { type Bytes, milliseconds, parseVmid, type Vmid } from '../../../core/units.ts';
import { makeDirectories, refuseLink } from '../../../os/directories.ts';
import { syncDirectory, temporaryName, writeDurably } from '../../../os/durable-file.ts';
import { parseJsonObject } from '../../../os/json-object.ts';
import { KERNEL_FILES_OF_THIS_HOST, type KernelFiles } from '../../../os/kernel-files.ts';
import { describeError, errorCode } from '../../../os/os-error.ts';
import { readRegularFile } from '../../../os/regular-file.ts';
import type { Clock, HighAnswer, HighLeft, MemoryHigh, WriteOutcome } from '../../port.ts';
import type { Paths } from '../paths.ts';
import { parseSingleNumber, saysMax } from './cgroup-values.ts';

/**
 * `memory.high` of containers, held down while a limit is lowered. One small file for each that is
 * held says what it was, and is written before the kernel's file: a process that is killed in
 * between leaves it, and the next one puts `memory.high` back by it.
 */

/** To be put under the sysroot. */
export const HIGH_DIRECTORY = '/var/lib/lxc_autoscale/memory-high';

const LIMIT_BYTES = 4096;
const PAUSE_MS = 50;
/** No change takes so long. What is older belongs to nobody, whoever has its process id by now. */
const LONGEST_MS = 600_000;

/** What `memory.high` was; a number of bytes, or no limit. */
type High = number | 'max';

interface Held {
  /** Inode of the cgroup: a container that was restarted has another one, and its own limits. */
  readonly cgroup: number;
  readonly was: High;
  readonly heldAt: number;
  readonly pid: number;
  readonly sinceMs: number;
}

interface At {
  readonly paths: Paths;
  readonly directory: string;
  readonly files: KernelFiles;
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
  const now = await readHigh(at, vmid);
  if (!now.ok) return refused(now.detail);
  const { cgroup, high: was } = now.value;
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
  const recorded = record(at, vmid, {
    cgroup,
    was,
    heldAt: bytes,
    pid,
    sinceMs: at.clock.wallMs(),
  });
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
  const now = await readHigh(at, vmid);
  if (!now.ok && now.why !== 'absent') return { ok: false, message: now.detail };
  // A record that cannot be read was never whole, so that nothing was written by it.
  const isOurs =
    held.ok &&
    now.ok &&
    now.value.cgroup === held.value.cgroup &&
    now.value.high === held.value.heldAt;
  if (isOurs) {
    const written = await writeHigh(at, vmid, held.value.was);
    if (!written.ok) return written;
  }
  at.files.letGo(highOf(at, vmid));
  try {
    rmSync(join(at.directory, String(vmid)), { force: true });
    return { ok: true };
  } catch (error) {
    return { ok: false, message: `${at.directory}/${vmid}: ${describeError(error)}` };
  }
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

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    // Nothing was ever held; or what was cannot be told, and the next hold says why.
    return [];
  }
}

const highOf = ({ paths }: Pick<At, 'paths'>, vmid: Vmid): string =>
  `${paths.cgroup(vmid)}/memory.high`;

async function readHigh(
  { paths, files }: At,
  vmid: Vmid,
): Promise<Reading<{ readonly cgroup: number; readonly high: High }>> {
  const directory = paths.cgroup(vmid);
  const path = highOf({ paths }, vmid);
  const file = await files.read(path);
  const inode = await files.inode(directory);
  if (!file.ok) {
    if (file.why !== 'absent' || !inode.ok) return file;
    return missing('unreadable', `${path}: not there, though the container runs`);
  }
  if (!inode.ok) return inode;
  const { value } = file;
  const cgroup = inode.value;
  const number = parseSingleNumber(value, value.length);
  if (number >= 0) return present({ cgroup, high: number });
  if (saysMax(value, value.length)) return present({ cgroup, high: 'max' });
  return missing('malformed', `${path}: not in the form that the kernel writes`);
}

/** @param restore what it is to be if nobody is left to put it back */
async function writeHigh(at: At, vmid: Vmid, high: High, restore?: High): Promise<WriteOutcome> {
  const path = highOf(at, vmid);
  try {
    const before = restore === undefined ? undefined : `${restore}\n`;
    await at.files.write(path, `${high}\n`, 'instead', before);
  } catch (error) {
    // A container that has stopped meanwhile has nothing that could be held or put back.
    const cgroup = await at.files.inode(at.paths.cgroup(vmid));
    const isGone = !cgroup.ok && cgroup.why === 'absent';
    return isGone ? { ok: true } : { ok: false, message: `${path}: ${describeError(error)}` };
  }
  const now = await readHigh(at, vmid);
  if (!now.ok ? now.why === 'absent' : now.value.high === high) return { ok: true };
  return { ok: false, message: `${path}: it does not say ${high} though that was written` };
}

function record({ directory }: At, vmid: Vmid, held: Held): WriteOutcome {
  const name = String(vmid);
  try {
    makeDirectories(directory, 0o700);
    refuseLink(directory);
    rmSync(join(directory, temporaryName(name)), { force: true });
    writeDurably(directory, name, Buffer.from(`${JSON.stringify(held)}\n`));
    syncDirectory(directory);
    return { ok: true };
  } catch (error) {
    return { ok: false, message: `${directory}: ${describeError(error)}` };
  }
}

function readRecord({ directory }: At, vmid: Vmid): Reading<Held> {
  const path = join(directory, String(vmid));
  const file = readRegularFile(path, LIMIT_BYTES);
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
