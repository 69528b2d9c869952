import { isEmpty, LEAST_MEMORY_MIB, MOST_CORES, roundCpuLimit } from '../../core/allocation.ts';
import type { SetRequest } from '../port.ts';

/** A change of a container in the settings of Proxmox VE, however they get there. */
export interface LxcChange {
  readonly set: ReadonlyMap<string, string>;
  /** Lines to be deleted. */
  readonly remove: readonly string[];
}

/** Of a running container `cpulimit: 0` fails; to delete the line is what lifts the limit. */
export function changeOf({ cores, cpuLimit, memoryMib }: SetRequest): LxcChange {
  const set = new Map<string, string>();
  if (typeof cores === 'number') set.set('cores', String(cores));
  if (typeof cpuLimit === 'number') set.set('cpulimit', String(roundCpuLimit(cpuLimit)));
  if (memoryMib !== undefined) set.set('memory', String(memoryMib));
  const lines = [cores === null ? 'cores' : '', cpuLimit === null ? 'cpulimit' : ''];
  return { set, remove: lines.filter((line) => line !== '') };
}

/** What Proxmox VE would refuse anyway, or would take for something else. */
export function whatIsWrongWith(request: SetRequest): string | undefined {
  const { cores, cpuLimit, memoryMib, digest } = request;
  if (isEmpty(request)) return 'nothing is to be changed';
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
