import { isEmpty, LEAST_MEMORY_MIB, MOST_CORES, roundCpuLimit } from '../../core/allocation.ts';
import { LONGEST_NOTES } from '../../core/guest-notes.ts';
import type { SetRequest } from '../port.ts';

/** A change of a container in the settings of Proxmox VE, however they get there. */
export interface LxcChange {
  readonly set: ReadonlyMap<string, string>;
  /** Lines to be deleted. */
  readonly remove: readonly string[];
}

/** Of a running container `cpulimit: 0` fails; to delete the line is what lifts the limit. */
export function changeOf({ cores, cpuLimit, memoryMib, notes }: SetRequest): LxcChange {
  const set = new Map<string, string>();
  if (notes === '') return { set, remove: ['description'] };
  if (notes !== undefined) set.set('description', notes);
  if (typeof cores === 'number') set.set('cores', String(cores));
  if (typeof cpuLimit === 'number') set.set('cpulimit', String(roundCpuLimit(cpuLimit)));
  if (memoryMib !== undefined) set.set('memory', String(memoryMib));
  const lines = [cores === null ? 'cores' : '', cpuLimit === null ? 'cpulimit' : ''];
  return { set, remove: lines.filter((line) => line !== '') };
}

export const NO_NOTES = 'no such notes can be handed over to Proxmox VE';

/** An argument has no end in it, and what is longer than Proxmox VE takes is never cut. */
export const areNotes = (notes: string): boolean =>
  !notes.includes('\0') && [...notes].length <= LONGEST_NOTES;

/** What Proxmox VE would refuse anyway, or would take for something else. */
export function whatIsWrongWith(request: SetRequest): string | undefined {
  const { cores, cpuLimit, memoryMib, digest, notes } = request;
  if (!isEmpty(request) === (notes !== undefined)) {
    return notes === undefined ? 'nothing is to be changed' : 'notes are written alone';
  }
  if (notes !== undefined && !areNotes(notes)) return NO_NOTES;
  if (
    typeof cores === 'number' &&
    !(Number.isInteger(cores) && cores >= 1 && cores <= MOST_CORES)
  ) {
    return `cores must be a whole number from 1 to ${MOST_CORES}, not ${cores}`;
  }
  if (typeof cpuLimit === 'number' && !(roundCpuLimit(cpuLimit) > 0 && cpuLimit <= MOST_CORES)) {
    return `cpulimit must be a number of cores from 0.01 to ${MOST_CORES}, not ${cpuLimit}`;
  }
  if (
    memoryMib !== undefined &&
    !(Number.isSafeInteger(memoryMib) && memoryMib >= LEAST_MEMORY_MIB)
  ) {
    return `memory must be a whole number of MiB from ${LEAST_MEMORY_MIB}, not ${memoryMib}`;
  }
  if (!/^[0-9a-f]{40}$/.test(digest)) return 'the digest of the configuration is not a SHA-1';
  return undefined;
}
