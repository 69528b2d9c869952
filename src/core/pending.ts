import type { Allocation, Lever } from './allocation.ts';
import type { GuestConfig } from './observation.ts';
import { mib } from './units.ts';

/**
 * What a change of a virtual machine may leave pending: what its guest refuses waits for the next
 * start. It is told from what an administrator has pending by the keys of the configuration.
 */

/** By which key each lever of a virtual machine is set; memory has two, see `memoryKeys`. */
export const MACHINE_KEYS = {
  cores: 'vcpus',
  cpuLimit: 'cpulimit',
  memoryMib: 'balloon',
} as const satisfies Record<Lever, string>;

/** Also what this program has left pending is of these, whatever a saved state says. */
export const KEYS_THAT_ARE_SET: ReadonlySet<string> = new Set([
  ...Object.values(MACHINE_KEYS),
  'memory',
]);

/** What is beyond its modules is plugged in. Without a balloon the last module is taken out. */
export function memoryKeys(
  { reaches, assignedMib = mib(0) }: Pick<GuestConfig, 'reaches' | 'assignedMib'>,
  memoryMib: number,
): readonly string[] {
  const reach = reaches?.memoryMib;
  const hasBalloon = reach?.kind === 'live' && reach.oneWay === undefined;
  const isByModules = memoryMib > assignedMib || (!hasBalloon && memoryMib < assignedMib);
  return [...(hasBalloon ? ['balloon'] : []), ...(isByModules ? ['memory'] : [])];
}

/**
 * The keys that a change writes. Those that are pending already are somebody else's, also if the
 * change is of the same ones.
 *
 * @param decidedOn its configuration before the change
 */
export function ownKeys(decidedOn: GuestConfig, target: Partial<Allocation>): readonly string[] {
  const { cores, cpuLimit, memoryMib } = target;
  const keys = [
    ...(cores === undefined ? [] : [MACHINE_KEYS.cores]),
    ...(cpuLimit === undefined ? [] : [MACHINE_KEYS.cpuLimit]),
    ...(memoryMib === undefined ? [] : memoryKeys(decidedOn, memoryMib)),
  ];
  return keys.filter((key) => !decidedOn.pendingKeys.includes(key));
}

/** Those of them that wait for the next start. */
export const stillPending = (
  { pendingKeys }: GuestConfig,
  keys: readonly string[],
): readonly string[] => keys.filter((key) => pendingKeys.includes(key));

/** A `qm set` is given no longer, and one that its caller has left may be at work for so long. */
export const LONGEST_QM_MS = 900_000;
