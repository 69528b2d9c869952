import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path/posix';
import type { Reading } from '../../../core/reading.ts';
import { missing, present } from '../../../core/reading.ts';
import { parseVmid, type Vmid } from '../../../core/units.ts';
import { makeDirectories, refuseLink } from '../../../os/directories.ts';
import { syncDirectory, temporaryName, writeDurably } from '../../../os/durable-file.ts';
import type { KernelFiles } from '../../../os/kernel-files.ts';
import { describeError } from '../../../os/os-error.ts';
import type { WriteOutcome } from '../../port.ts';
import type { Paths } from '../paths.ts';
import { parseSingleNumber, saysMax } from './cgroup-values.ts';

/** The file `memory.high` of a container, and records of what it was. */

/** Where the records are, to be put under the sysroot. */
export const HIGH_DIRECTORY = '/var/lib/lxc_autoscale/memory-high';

/** More is no record. */
export const RECORD_BYTES = 4096;

/** What it is; a number of bytes, or no limit. */
export type High = number | 'max';

export interface HighPlace {
  readonly paths: Paths;
  readonly files: KernelFiles;
  /** Of the records. */
  readonly directory: string;
}

export const highOf = ({ paths }: Pick<HighPlace, 'paths'>, vmid: Vmid): string =>
  `${paths.cgroup(vmid)}/memory.high`;

/** A file of a container that has bytes in it, or `max`. */
export async function readLimit(
  { paths, files }: HighPlace,
  vmid: Vmid,
  name: 'memory.high' | 'memory.max' = 'memory.high',
): Promise<Reading<{ readonly cgroup: number; readonly value: High }>> {
  const directory = paths.cgroup(vmid);
  const path = `${directory}/${name}`;
  const file = await files.read(path);
  const inode = await files.inode(directory);
  if (!file.ok) {
    if (file.why !== 'absent' || !inode.ok) return file;
    return missing('unreadable', `${path}: not there, though the container runs`);
  }
  if (!inode.ok) return inode;
  const text = file.value;
  const cgroup = inode.value;
  const number = parseSingleNumber(text, text.length);
  if (number >= 0) return present({ cgroup, value: number });
  if (saysMax(text, text.length)) return present({ cgroup, value: 'max' });
  return missing('malformed', `${path}: not in the form that the kernel writes`);
}

/** @param restore what it is to be if nobody is left to put it back */
export async function writeHigh(
  at: HighPlace,
  vmid: Vmid,
  high: High,
  restore?: High,
): Promise<WriteOutcome> {
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
  const now = await readLimit(at, vmid);
  if (!now.ok ? now.why === 'absent' : now.value.value === high) return { ok: true };
  return { ok: false, message: `${path}: it does not say ${high} though that was written` };
}

/** None where nothing was ever held; what cannot be listed is told by the next that is saved. */
export function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Containers with records of other nodes, which only a program that reaches these can use. */
export function recordsOfNodes(directory: string): ReadonlyMap<string, readonly Vmid[]> {
  const below = join(directory, NODES);
  const found = new Map<string, readonly Vmid[]>();
  for (const node of namesIn(below)) {
    const vmids = namesIn(join(below, node)).map((name) => parseVmid(name.replace('.guard', '')));
    const known = new Set(vmids.filter((vmid) => vmid !== undefined));
    if (known.size > 0) found.set(node, [...known]);
  }
  return found;
}

const NODES = 'nodes';

/** Where the records of another node are. */
export const highDirectoryOf = (directory: string, node: string): string =>
  join(directory, NODES, node);

export function saveRecord({ directory }: HighPlace, name: string, record: object): WriteOutcome {
  try {
    makeDirectories(directory, 0o700);
    refuseLink(directory);
    rmSync(join(directory, temporaryName(name)), { force: true });
    writeDurably(directory, name, Buffer.from(`${JSON.stringify(record)}\n`));
    syncDirectory(directory);
    return { ok: true };
  } catch (error) {
    return { ok: false, message: `${directory}: ${describeError(error)}` };
  }
}

export function removeRecord({ directory }: HighPlace, name: string): WriteOutcome {
  try {
    rmSync(join(directory, name), { force: true });
    return { ok: true };
  } catch (error) {
    return { ok: false, message: `${directory}/${name}: ${describeError(error)}` };
  }
}
