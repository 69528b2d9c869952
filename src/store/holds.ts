import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path/posix';
import { parseGuestIdentity } from '../core/identity.ts';
import type { ManualHold } from '../core/manual-hold.ts';
import { plainText } from '../core/plain-text.ts';
import { type Milliseconds, milliseconds, parseVmid, type Vmid } from '../core/units.ts';
import type { Clock, WriteOutcome } from '../node/port.ts';
import { makeDirectories, refuseLink } from '../os/directories.ts';
import { syncDirectory, temporaryName, writeDurably } from '../os/durable-file.ts';
import { parseJsonObject } from '../os/json-object.ts';
import { describeError, errorCode } from '../os/os-error.ts';
import { readRegularFile } from '../os/regular-file.ts';
import type { Holds, HoldsRead } from '../ports.ts';

/**
 * Containers that a person has taken in hand, one small file each, named after the container. It is
 * written by commands that run beside the daemon, and tells it to leave the container alone.
 */

/** To be put under the sysroot. */
export const HOLDS_DIRECTORY = '/var/lib/lxc_autoscale/holds';

const LIMIT_BYTES = 4096;
const LONGEST_REASON = 300;
const DAMAGED = 'it is ignored; please remove it';

export interface HoldsOptions {
  /** Already under the sysroot. */
  readonly directory: string;
  readonly clock: Clock;
}

export function createHolds({ directory, clock }: HoldsOptions): Holds {
  return {
    read: () => readHolds(directory, clock.wallMs()),
    write: (vmid, hold) => writeHold(directory, vmid, hold),
  };
}

/** One look at the directory; one that is not there holds nothing. Removes what has expired. */
function readHolds(directory: string, nowMs: Milliseconds): HoldsRead {
  const holds = new Map<Vmid, ManualHold>();
  const warnings: string[] = [];
  for (const name of namesIn(directory, warnings)) {
    const vmid = parseVmid(name);
    if (vmid === undefined) continue;
    const path = join(directory, name);
    const file = readRegularFile(path, LIMIT_BYTES);
    if (!file.ok) {
      if (file.why !== 'absent') warnings.push(`Hold ${file.detail}; ${DAMAGED}`);
      continue;
    }
    const hold = parseHold(file.value.toString('utf8'));
    if (hold === undefined) warnings.push(`Hold ${path}: does not say until when; ${DAMAGED}`);
    else if (hold.untilMs > nowMs) holds.set(vmid, hold);
    else removeExpired(path, warnings);
  }
  return { holds, warnings };
}

function namesIn(directory: string, warnings: string[]): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') {
      warnings.push(`Holds cannot be read: ${directory}: ${describeError(error)}`);
    }
    return [];
  }
}

function removeExpired(path: string, warnings: string[]): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    warnings.push(`Hold ${path} has expired and cannot be removed: ${describeError(error)}`);
  }
}

const ISO_TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?Z$/;

function parseHold(text: string): ManualHold | undefined {
  const object = parseJsonObject(text);
  const until = object?.['until'];
  const reason = object?.['reason'];
  const untilMs =
    typeof until === 'string' && ISO_TIME.test(until) ? Date.parse(until) : Number.NaN;
  if (Number.isNaN(untilMs)) return undefined;
  const words = typeof reason === 'string' ? plainText(reason, LONGEST_REASON) : 'paused by hand';
  const guest = parseGuestIdentity(object?.['guest']);
  if (guest === undefined && object?.['guest'] !== undefined) return undefined;
  return { untilMs: milliseconds(untilMs), reason: words, ...(guest && { guest }) };
}

/** In place of an earlier hold of the guest. */
function writeHold(
  directory: string,
  vmid: Vmid,
  { untilMs, reason, guest }: ManualHold,
): WriteOutcome {
  const name = String(vmid);
  const content = { until: new Date(untilMs).toISOString(), reason, guest };
  try {
    makeDirectories(directory, 0o700);
    refuseLink(directory);
    rmSync(join(directory, temporaryName(name)), { force: true });
    writeDurably(directory, name, Buffer.from(`${JSON.stringify(content)}\n`));
    syncDirectory(directory);
    return { ok: true };
  } catch (error) {
    const what = `The hold of guest ${vmid} could not be written to ${directory}`;
    return { ok: false, message: `${what}: ${describeError(error)}` };
  }
}
