import { type Allocation, isSameValue, LEVERS, type Lever, pick } from './allocation.ts';
import type { GuestConfig, GuestState } from './observation.ts';
import type { Reading } from './reading.ts';
import type { Cores, Mib } from './units.ts';

/**
 * What has become of a change of a virtual machine. It is made piece by piece, a CPU or a module at
 * a time, and the configuration says after each piece how far it is. What could not be done waits
 * for the next start (`[PENDING]`), where nobody expects it.
 */

export interface MachineReadBack {
  /** Of one that has stopped nothing is live: its configuration is all there is. */
  readonly state: GuestState;
  readonly config: Reading<GuestConfig>;
  /** The live CPU quota; undefined: none. */
  readonly liveCpuLimit: Reading<Cores | undefined>;
  /** What QEMU has plugged in; undefined if that is not told. */
  readonly hardwareMib?: Mib | undefined;
}

export type MachineVerdict =
  | { readonly kind: 'confirmed' }
  | { readonly kind: 'unchanged' }
  /** Some levers, or some pieces of one, are where they should be; `now` has all of the change. */
  | { readonly kind: 'partly'; readonly found: string; readonly now: Partial<Allocation> }
  | { readonly kind: 'changed-by-others'; readonly found: string }
  /** Its configuration is not on this node any more: it was migrated, or removed. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'unknown'; readonly detail: string };

/**
 * | lever  | before | target | found | is                             |
 * | ------ | ------ | ------ | ----- | ------------------------------ |
 * | cores  | 4      | 1      | 1     | done                           |
 * | cores  | 4      | 1      | 4     | as before                      |
 * | cores  | 4      | 1      | 3     | partly: the guest has kept two |
 * | cores  | 4      | 1      | 5     | changed by somebody else       |
 */
export function verifyMachine(
  before: Partial<Allocation>,
  target: Partial<Allocation>,
  { state, config, liveCpuLimit, hardwareMib }: MachineReadBack,
): MachineVerdict {
  if (!config.ok) {
    return config.why === 'absent' ? { kind: 'gone' } : { kind: 'unknown', detail: config.detail };
  }
  const levers = LEVERS.filter((lever) => target[lever] !== undefined);
  const parts = levers.map((lever) =>
    partOf(lever, before[lever], target[lever] ?? null, config.value[lever]),
  );
  if (target.cpuLimit !== undefined && state.kind !== 'stopped') {
    if (!liveCpuLimit.ok) return { kind: 'unknown', detail: liveCpuLimit.detail };
    const live = liveCpuLimit.value ?? null;
    parts.push(partOf('cpuLimit', before.cpuLimit, target.cpuLimit, live));
  }
  const found = levers
    .map((lever) => `${NAMES[lever]} ${config.value[lever] ?? 'none'}`)
    .join(', ');
  if (parts.includes('other')) return { kind: 'changed-by-others', found };
  if (parts.every((part) => part === 'new')) {
    const isAssigned =
      target.memoryMib !== undefined && config.value.assignedMib === target.memoryMib;
    if (state.kind === 'stopped' || !isAssigned || hardwareMib === undefined) return CONFIRMED;
    if (hardwareMib === target.memoryMib) return CONFIRMED;
    return {
      kind: 'unknown',
      detail: `QEMU has ${hardwareMib} MB, its configuration says ${found}`,
    };
  }
  if (parts.every((part) => part === 'old')) return { kind: 'unchanged' };
  return { kind: 'partly', found, now: pick(config.value, levers) };
}

const CONFIRMED = { kind: 'confirmed' } as const;
const NAMES: Readonly<Record<Lever, string>> = {
  cores: 'vcpus',
  cpuLimit: 'cpulimit',
  memoryMib: 'memory',
};

function partOf(
  lever: Lever,
  before: number | null | undefined,
  target: number | null,
  found: number | null,
): 'new' | 'old' | 'between' | 'other' {
  if (isSameValue(lever, target, found)) return 'new';
  if (before === undefined) return 'old';
  if (isSameValue(lever, before, found)) return 'old';
  return isBetween(lever, before, target, found) ? 'between' : 'other';
}

/** Whether some pieces of a change have been done, and not all. A cpulimit has no pieces. */
export function isBetween(
  lever: Lever,
  before: number | null,
  target: number | null,
  found: number | null,
): boolean {
  if (lever === 'cpuLimit' || before === null || target === null || found === null) return false;
  return (found - before) * (found - target) < 0;
}
