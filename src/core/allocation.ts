import type { Mib } from './units.ts';

export type Resource = 'cores' | 'memory';

/**
 * What a guest has, or shall have, of all that this program sets. `null` says that there is no such
 * line in its configuration. Of a `Partial<Allocation>` what is left out is not meant: it is not
 * part of a change, and stays as it is.
 */
export interface Allocation {
  /** Whole CPUs; null: all CPUs of the host. */
  readonly cores: number | null;
  /** CPUs, with fractions; null: no limit. */
  readonly cpuLimit: number | null;
  readonly memoryMib: Mib;
}

export type Lever = keyof Allocation;
export const LEVERS: readonly Lever[] = ['cores', 'cpuLimit', 'memoryMib'];

export const resourceOf = (lever: Lever): Resource => (lever === 'memoryMib' ? 'memory' : 'cores');

/** Bounds of `pct set`. */
export const MOST_CORES = 8192;
export const LEAST_CPU_LIMIT = 0.01;
export const LEAST_MEMORY_MIB = 16;
/** `pct` takes whole MiB; steps of 16, in which memory is given and taken, are readable. */
export const MEMORY_QUANTUM_MIB = 16;

/** As fine as it is set: a hundredth of a core is 1 ms of the kernel's period of 100 ms. */
export const roundCpuLimit = (cpuLimit: number): number => Math.round(cpuLimit * 100) / 100;

/** Half of the step that `pct set` is given; a limit with more decimals comes back rounded. */
const CPU_LIMIT_TOLERANCE = 0.005;

/** Whether two cpulimits, null being none, are the same as far as this program sets them. */
export function isSameCpuLimit(one: number | null, other: number | null): boolean {
  if (one === null || other === null) return one === other;
  // 0.13 - 0.125 comes out a little above 0.005.
  return Math.abs(one - other) <= CPU_LIMIT_TOLERANCE + 1e-9;
}

/** Whether two values of a lever are the same; one that is not known is the same as none. */
export function isSameValue(
  lever: Lever,
  one: number | null,
  other: number | null | undefined,
): boolean {
  if (other === undefined) return false;
  return lever === 'cpuLimit' ? isSameCpuLimit(one, other) : one === other;
}

/** Whether they are the same to the last digit. Asked for every guest in every cycle. */
export const isExactly = (one: Allocation, other: Allocation): boolean =>
  one.cores === other.cores && one.cpuLimit === other.cpuLimit && one.memoryMib === other.memoryMib;

export const isEmpty = (part: Partial<Allocation>): boolean =>
  LEVERS.every((lever) => part[lever] === undefined);

/** Nothing but the values, of a configuration for example. */
export const allocationOf = ({ cores, cpuLimit, memoryMib }: Allocation): Allocation => ({
  cores,
  cpuLimit,
  memoryMib,
});

export const pick = (from: Allocation, levers: readonly Lever[]): Partial<Allocation> =>
  Object.fromEntries(levers.map((lever) => [lever, from[lever]]));

/** In which levers they differ. */
export const differing = (one: Allocation, other: Allocation): readonly Lever[] =>
  LEVERS.filter((lever) => !isSameValue(lever, one[lever], other[lever]));

/** No line at all is more than any number. */
export const isMore = (one: number | null, than: number | null): boolean =>
  (one ?? Number.POSITIVE_INFINITY) > (than ?? Number.POSITIVE_INFINITY);

/** From what to what each lever goes that a change is of. */
export type AllocationDiff = {
  readonly [L in Lever]?: { readonly from: Allocation[L]; readonly to: Allocation[L] };
};

export function diffOf(before: Partial<Allocation>, target: Partial<Allocation>): AllocationDiff {
  const { cores, cpuLimit, memoryMib } = target;
  return {
    ...(cores !== undefined && { cores: { from: before.cores ?? null, to: cores } }),
    ...(cpuLimit !== undefined && { cpuLimit: { from: before.cpuLimit ?? null, to: cpuLimit } }),
    ...(memoryMib !== undefined &&
      before.memoryMib !== undefined && { memoryMib: { from: before.memoryMib, to: memoryMib } }),
  };
}

/** The values that a change leads to. */
export function withDiff(before: Allocation, diff: AllocationDiff): Allocation {
  const { cores, cpuLimit, memoryMib } = diff;
  return {
    cores: cores === undefined ? before.cores : cores.to,
    cpuLimit: cpuLimit === undefined ? before.cpuLimit : cpuLimit.to,
    memoryMib: memoryMib === undefined ? before.memoryMib : memoryMib.to,
  };
}

/** `cores 4 -> 2, cpulimit none -> 0.5, memory 2048 -> 1024 MB`. */
export function describeDiff(before: Partial<Allocation>, target: Partial<Allocation>): string {
  const words: string[] = [];
  if (target.cores !== undefined) {
    words.push(`cores ${before.cores ?? 'all'} -> ${target.cores ?? 'all'}`);
  }
  if (target.cpuLimit !== undefined) {
    words.push(`cpulimit ${before.cpuLimit ?? 'none'} -> ${target.cpuLimit ?? 'none'}`);
  }
  if (target.memoryMib !== undefined) {
    words.push(`memory ${before.memoryMib} -> ${target.memoryMib} MB`);
  }
  return words.join(', ');
}
