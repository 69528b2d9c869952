import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path/posix';
import type { Allocation } from '../core/allocation.ts';
import { type MadeFor, parseBackupId, type StoredBackup } from '../core/backup.ts';
import type { GuestConfig } from '../core/observation.ts';
import { type Missing, missing, present, type Reading } from '../core/reading.ts';
import { mib, parseVmid, type Vmid } from '../core/units.ts';
import { GUEST_CONFIG_LIMIT_BYTES, parseGuestConfig } from '../node/guests/lxc-conf.ts';
import { isMachineConfig, parseMachineConfig } from '../node/guests/qemu.ts';
import { refuseLink } from '../os/directories.ts';
import { asObject, parseJsonObject } from '../os/json-object.ts';
import { describeError, errorCode } from '../os/os-error.ts';
import { readRegularFile } from '../os/regular-file.ts';

/** What lies in the directory of the backups. Only reads. */

export interface BackupListing {
  /** The newest first. */
  readonly backups: readonly StoredBackup[];
  /** Directories that could not be read. */
  readonly problems: readonly Missing[];
}

const DESCRIPTION_LIMIT_BYTES = 64 * 1024;

/**
 * The backups of one container, or of all. Links are not followed. A copy or description that
 * cannot be read is listed as such; missing as a whole only where the directory cannot be read.
 *
 * @param directory `backup_dir`, already under the sysroot; one that is not there is empty
 */
export function listBackups(directory: string, only?: Vmid): Reading<BackupListing> {
  const vmids = only === undefined ? vmidsIn(directory) : present([only]);
  if (!vmids.ok) return vmids;
  const backups: StoredBackup[] = [];
  const problems: Missing[] = [];
  for (const vmid of vmids.value) {
    const own = join(directory, String(vmid));
    const names = namesIn(own);
    if (!names.ok) problems.push(names);
    else for (const name of names.value) backups.push(...storedBackup(vmid, own, name));
  }
  backups.sort((a, b) => b.takenAtMs - a.takenAtMs || a.vmid - b.vmid);
  return present({ backups, problems });
}

function vmidsIn(directory: string): Reading<Vmid[]> {
  const names = listDirectory(directory);
  if (!names.ok) return names;
  return present(names.value.map(parseVmid).filter((vmid): vmid is Vmid => vmid !== undefined));
}

/** The names in a container's own directory. */
function namesIn(directory: string): Reading<readonly string[]> {
  return listDirectory(directory, () => refuseLink(directory));
}

function listDirectory(directory: string, check = (): void => {}): Reading<readonly string[]> {
  try {
    check();
    return present(readdirSync(directory));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return present([]);
    return missing('unreadable', `${directory}: ${describeError(error)}`);
  }
}

/** The backup that a name stands for; none for the name of another thing. */
function storedBackup(vmid: Vmid, directory: string, name: string): StoredBackup[] {
  const id = name.endsWith('.conf') ? name.slice(0, -'.conf'.length) : '';
  const parsed = parseBackupId(id);
  if (parsed === undefined) return [];
  const path = join(directory, name);
  const config = readCopy(vmid, path, parsed.digestStart);
  const madeFor = readDescription(join(directory, `${id}.json`));
  return [{ vmid, id, path, takenAtMs: parsed.takenAtMs, config, madeFor }];
}

function readCopy(vmid: Vmid, path: string, digestStart: string): Reading<GuestConfig> {
  const file = readRegularFile(path, GUEST_CONFIG_LIMIT_BYTES);
  if (!file.ok) return file;
  const digest = createHash('sha1').update(file.value).digest('hex');
  if (digest.startsWith(digestStart)) {
    return isMachineConfig(file.value)
      ? parseMachineConfig(vmid, file.value.toString('utf8'), digest)
      : parseGuestConfig(vmid, file.value);
  }
  return missing('malformed', `${path}: is no longer what was written (its digest differs)`);
}

function readDescription(path: string): Reading<MadeFor> {
  const file = readRegularFile(path, DESCRIPTION_LIMIT_BYTES);
  if (!file.ok) return file;
  const about = parseJsonObject(file.value.toString('utf8'));
  const reason = about?.['reason'];
  if (about === undefined || typeof reason !== 'string') {
    return missing('malformed', `${path}: is damaged`);
  }
  const cores = fromTo(about['cores']);
  const cpuLimit = fromTo(about['cpuLimit']);
  const memory = fromTo(about['memoryMib']);
  const [from, to] = [memory?.from ?? undefined, memory?.to ?? undefined];
  const own = knownValues(about['own']);
  return present({
    kind: kindOf(about),
    reason,
    ...(cores && { cores }),
    ...(cpuLimit && { cpuLimit }),
    ...(from !== undefined && to !== undefined && { memoryMib: { from: mib(from), to: mib(to) } }),
    ...(own && { own }),
  });
}

/** Of the copies that the loop makes, only those from before a change name values. */
function kindOf(about: Readonly<Record<string, unknown>>): MadeFor['kind'] {
  if (about['rollbackTo'] !== undefined) return 'rollback';
  if (about['notes'] === true) return 'notes';
  const named = [about['cores'], about['cpuLimit'], about['memoryMib']];
  return named.every((value) => value === undefined) ? 'half-done' : 'change';
}

interface FromTo {
  readonly from: number | null;
  readonly to: number | null;
}

function fromTo(value: unknown): FromTo | undefined {
  const object = asObject(value);
  const from = object?.['from'];
  const to = object?.['to'];
  return isAmount(from) && isAmount(to) ? { from, to } : undefined;
}

function knownValues(value: unknown): Allocation | undefined {
  const object = asObject(value);
  const cores = object?.['cores'];
  const cpuLimit = object?.['cpuLimit'];
  const memory = object?.['memoryMib'];
  if (!isAmount(cores) || !isAmount(cpuLimit) || typeof memory !== 'number') return undefined;
  return { cores, cpuLimit, memoryMib: mib(memory) };
}

const isAmount = (value: unknown): value is number | null =>
  value === null || typeof value === 'number';
