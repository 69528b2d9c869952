import { type Allocation, allocationOf, type Resource } from './allocation.ts';
import type { GuestRecord } from './guest-record.ts';
import type { GuestConfig } from './observation.ts';
import type { ContainerPolicy, Management } from './policy.ts';
import { cores, mib } from './units.ts';

/**
 * What an administrator gave a guest: as it was first seen, and later what somebody else than this
 * program set. Bounds can be a share of it: "never below what I gave it".
 */

/** Notes a first sight, or resources that somebody else has set. */
export function noteGiven(
  record: GuestRecord,
  now: Allocation,
  changed: readonly Resource[] = [],
): void {
  const before = record.given ?? now;
  const { cores: count, cpuLimit } = changed.includes('cores') ? now : before;
  const { memoryMib } = changed.includes('memory') ? now : before;
  record.given = { cores: count, cpuLimit, memoryMib };
}

/** The bounds of a policy that are shares of what was given, for this guest in numbers. */
export function withGiven(
  management: Management,
  config: GuestConfig,
  record: Pick<GuestRecord, 'given'> | undefined,
): Management {
  if (management.kind === 'ignored') return management;
  const { cpu, memory } = management.policy;
  if (cpu.ofGiven === undefined && memory.ofGiven === undefined) return management;
  // Not noted yet: what it has now, so that nothing is taken.
  const given = record?.given ?? allocationOf(config);
  return { ...management, policy: bounded(management.policy, given) };
}

function bounded(policy: ContainerPolicy, given: Allocation): ContainerPolicy {
  const { cpu, memory } = policy;
  const isLimit = cpu.unit === 'cpulimit';
  const count = (isLimit ? given.cpuLimit : null) ?? given.cores;
  const inUnit = (share: number): number =>
    isLimit ? Math.ceil((count ?? 0) * share * 10) / 10 : Math.ceil((count ?? 0) * share);
  // A container without a limit may use all CPUs: nothing bounds it then.
  const shares = count === null ? {} : (cpu.ofGiven ?? {});
  const { min: least, max: most } = memory.ofGiven ?? {};
  return {
    ...policy,
    cpu: {
      ...cpu,
      ...(shares.min !== undefined && { min: cores(inUnit(shares.min)) }),
      ...(shares.max !== undefined && { max: cores(inUnit(shares.max)) }),
    },
    memory: {
      ...memory,
      ...(least !== undefined && { minMib: mib(Math.ceil(given.memoryMib * least)) }),
      ...(most !== undefined && { maxMib: mib(Math.ceil(given.memoryMib * most)) }),
    },
  };
}
