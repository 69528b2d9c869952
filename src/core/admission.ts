import { roundDown } from './guards.ts';
import type { LoopState } from './loop-state.ts';
import type { ContainerObservation, HostObservation } from './observation.ts';
import type { HostPolicy } from './policy.ts';
import { missing, present, type Reading } from './reading.ts';
import { type Cores, cores, type Mib, mib } from './units.ts';

/** What the host can still give, with its reserves held back. */
export interface Budget {
  /** The most cores that one container may have. CPU is shared, so this is no sum. */
  readonly coresCeiling: Reading<Cores>;
  /** Memory that may be handed out in this cycle. */
  readonly memoryMib: Reading<Mib>;
}

/**
 * Memory is handed out from what is really available (`MemAvailable`), less the reserve, less what
 * this program granted before and is not in use yet: a limit raised a minute ago is a promise that
 * the container may call in at any time, though the host still counts it as available.
 */
export function budget(
  host: HostObservation,
  policy: HostPolicy,
  containers: readonly ContainerObservation[],
  grants: LoopState['grants'],
): Budget {
  const coresCeiling = host.cpus.ok
    ? present(cores(Math.max(1, Math.floor(host.cpus.value * (1 - policy.reserveCpu) + 1e-9))))
    : host.cpus;
  if (!host.memory.ok) return { coresCeiling, memoryMib: host.memory };
  const promised = promisedMib(containers, grants);
  const free = host.memory.value.availableMib - policy.reserveMemoryMib - promised;
  if (!Number.isFinite(free)) {
    return { coresCeiling, memoryMib: missing('malformed', 'the host memory is no number') };
  }
  return { coresCeiling, memoryMib: present(mib(Math.max(0, roundDown(free, 16)))) };
}

/** The part of earlier grants that is not in use yet; all of one whose usage cannot be read. */
function promisedMib(
  containers: readonly ContainerObservation[],
  grants: LoopState['grants'],
): number {
  let sum = 0;
  const states = new Map(containers.map(({ vmid, state }) => [vmid, state]));
  for (const [vmid, granted] of grants) {
    const state = states.get(vmid);
    if (state === undefined) {
      // Not looked at in a decision that was brought forward: it may not be in use yet.
      sum += granted;
      continue;
    }
    if (state.kind === 'stopped') continue;
    const memory = state.kind === 'running' ? state.usage.memory : state.reason;
    const unused =
      memory.ok && memory.value.limitMib !== undefined
        ? Math.max(0, memory.value.limitMib - memory.value.workingSetMib)
        : granted;
    sum += Math.min(granted, unused);
  }
  return sum;
}
