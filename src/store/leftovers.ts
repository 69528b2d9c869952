import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path/posix';
import type { Milliseconds } from '../core/units.ts';
import type { Sysroot } from '../os/sysroot.ts';

/**
 * Temporary files of processes that were killed in the middle of a write. Most of them go with the
 * next write of the same file; some files are never written again, so that they go at a start.
 */

/** All that is in them is ours. */
const OWN = '/var/lib/lxc_autoscale';
const OWN_BELOW = ['.', 'holds', 'usage', 'leases'];
const NODES = 'nodes';
const OUTPUT = '/run/lxc_autoscale';

/** What is younger may be in the writing: a rollback by hand works beside the daemon. */
const OLDEST_WRITE_MS = 600_000;
/** Of a try whether anything can be written. */
const PROBE = '.lxc_autoscale.probe';

export interface LeftoversIn {
  readonly paths: Sysroot;
  /** On the wall clock. */
  readonly nowMs: Milliseconds;
  /** `backup_dir` and where logs lie, already under the sysroot. */
  readonly backups: string;
  readonly logs: readonly string[];
}

/** Removes them. What cannot be removed does no harm and is left; nothing is ever thrown. */
export function removeLeftovers({ paths, nowMs, backups, logs }: LeftoversIn): void {
  const isOld = olderThan(nowMs - OLDEST_WRITE_MS);
  const own = paths.at(OWN);
  // What is kept of a further node lies below its name, in the directory of each kind.
  const nodes = namesIn(join(own, NODES)).map((name) => join(NODES, name));
  for (const kind of OWN_BELOW) {
    for (const below of ['.', ...nodes]) clear(join(own, kind, below), TEMPORARY, isOld);
  }
  clear(paths.at(OUTPUT), COMMAND_OUTPUT, isOld);
  for (const directory of [backups, ...logs]) clear(directory, ONLY_PROBE, isOld);
  for (const below of ['.', ...nodes]) {
    for (const vmid of namesIn(join(backups, below))) {
      if (/^[1-9][0-9]{2,8}$/.test(vmid)) clear(join(backups, below, vmid), TEMPORARY, isOld);
    }
  }
}

const TEMPORARY = (name: string): boolean => /^\..+\.tmp$/.test(name) || name === PROBE;
const COMMAND_OUTPUT = (name: string): boolean => /^\.output-[0-9]+-[0-9]+$/.test(name);
const ONLY_PROBE = (name: string): boolean => name === PROBE;

const olderThan =
  (ms: number) =>
  (path: string): boolean => {
    const stat = lstatSync(path);
    return stat.isFile() && stat.mtimeMs < ms;
  };

function clear(
  directory: string,
  isTemporary: (name: string) => boolean,
  isOld: (path: string) => boolean,
): void {
  for (const name of namesIn(directory)) {
    if (!isTemporary(name)) continue;
    const path = join(directory, name);
    try {
      if (isOld(path)) rmSync(path, { force: true });
    } catch {
      // It has gone by itself, or it stays: neither hinders anybody.
    }
  }
}

/** None of a directory that is a link: it is not ours. */
function namesIn(directory: string): readonly string[] {
  try {
    return lstatSync(directory).isDirectory() ? readdirSync(directory) : [];
  } catch {
    return [];
  }
}
