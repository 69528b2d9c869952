import type { CgroupSample } from '../../core/observation.ts';
import { countedMemory } from '../../core/pvestatd-memory.ts';
import { missing, present } from '../../core/reading.ts';
import { type Mib, mibToBytes, microseconds } from '../../core/units.ts';
import type { SeenGuest } from './resources.ts';
import type { Total } from './totals.ts';

/**
 * Less is used by QEMU itself while its machine is paused. The kernel of a guest that runs uses
 * more for its clock alone.
 */
const LEAST_CORES = 0.002;

const MAY_BE_PAUSED = missing(
  'absent',
  'it uses no CPU: it may be paused, which the API does not tell in one look at the cluster',
);
const NOT_TOLD = missing('absent', 'the API does not tell how long a virtual machine waited');

/**
 * What the API tells of a virtual machine that runs: its CPU, and of its memory what pvestatd says.
 *
 * @param targetMib of its balloon, where it is taken to stand
 */
export const machineSample = (seen: SeenGuest, total: Total, targetMib: Mib): CgroupSample => ({
  atMs: total.atMs,
  identity: total.life,
  life:
    seen.cpu * seen.maxCpus >= LEAST_CORES
      ? present({ populated: true, frozen: false })
      : MAY_BE_PAUSED,
  cpu: present({
    usageUs: total.usageUs,
    throttledUs: microseconds(0),
    cpusetCpus: seen.maxCpus,
    effectiveCpus: undefined,
  }),
  memory: present(countedMemory(seen.memory, mibToBytes(targetMib))),
  cpuPressure: NOT_TOLD,
  memoryPressure: NOT_TOLD,
});
