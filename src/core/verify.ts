import { type Allocation, isSameCpuLimit } from './allocation.ts';
import type { GuestState } from './observation.ts';
import type { Reading } from './reading.ts';
import type { Cores, Mib } from './units.ts';

/** What the configuration and the kernel say after a change. */
export interface ReadBack {
  /** Of one that has stopped nothing is live: its configuration is all there is. */
  readonly state: GuestState;
  readonly config: Reading<Allocation>;
  /** The live CPU quota, undefined: none. */
  readonly liveCpuLimit: Reading<Cores | undefined>;
  /** The live memory limit, undefined: none. */
  readonly liveMemoryMib: Reading<Mib | undefined>;
  /** CPUs in the live cpuset. */
  readonly liveCpus: Reading<number | undefined>;
}

export type Verification =
  /** Configuration and kernel show the new values. */
  | { readonly kind: 'confirmed' }
  /** The configuration shows them; the cpuset follows when pvestatd next runs. */
  | { readonly kind: 'pending'; readonly liveCpus: number | undefined }
  /** Everything is as it was before. */
  | { readonly kind: 'unchanged' }
  /** Some of it was done: to be put back. */
  | { readonly kind: 'half-done'; readonly found: string }
  /** Neither the old values nor the new ones: somebody else changed it meanwhile. */
  | { readonly kind: 'changed-by-others'; readonly found: string }
  | { readonly kind: 'unknown'; readonly detail: string };

/**
 * Compares what was expected with what was read back. The memory limit and the cpulimit are live at
 * once; cores reach the cpuset only when pvestatd next rebalances (about 10 s), so they may be
 * pending.
 *
 * @param hostCpus CPUs online: more cores than that are capped by the kernel
 */
export function verify(
  before: Partial<Allocation>,
  expected: Partial<Allocation>,
  read: ReadBack,
  hostCpus: number,
): Verification {
  if (!read.config.ok) return { kind: 'unknown', detail: read.config.detail };
  const { cores, cpuLimit, memoryMib } = read.config.value;
  const live = liveMemory(read, memoryMib);
  const quota = liveCpuLimit(read, cpuLimit);
  if (live === 'unreadable' && expected.memoryMib !== undefined) {
    return { kind: 'unknown', detail: 'the live memory limit could not be read' };
  }
  const parts: Part[] = [];
  if (expected.cores !== undefined) parts.push(compare(cores, before.cores, expected.cores));
  if (expected.cpuLimit !== undefined) {
    if (quota === 'unreadable') {
      return { kind: 'unknown', detail: 'the live cpulimit could not be read' };
    }
    parts.push(compareCpuLimit(cpuLimit, before.cpuLimit, expected.cpuLimit));
    parts.push(compareCpuLimit(quota, before.cpuLimit, expected.cpuLimit));
  }
  if (expected.memoryMib !== undefined) {
    parts.push(compare(memoryMib, before.memoryMib, expected.memoryMib));
    parts.push(compare(live, before.memoryMib, expected.memoryMib));
  }
  const inForce = typeof live === 'number' ? `${live} MB` : live;
  const limits = `cpulimit ${cpuLimit ?? 'none'}, live cpulimit ${quota ?? 'none'}`;
  const found = [
    `cores ${cores ?? 'all'}`,
    ...(expected.cpuLimit === undefined ? [] : [limits]),
    `memory ${memoryMib} MB, live limit ${inForce}`,
  ].join(', ');
  if (parts.every((part) => part !== 'old' && part !== 'other')) {
    return expected.cores === undefined
      ? { kind: 'confirmed' }
      : cpusetVerdict(read, expected.cores, hostCpus);
  }
  if (parts.every((part) => part !== 'new' && part !== 'other')) return { kind: 'unchanged' };
  // A value that is neither was set by somebody else, and theirs is not ours to put back.
  if (parts.some((part) => part === 'other')) return { kind: 'changed-by-others', found };
  return { kind: 'half-done', found };
}

/** `same` counts for old and for new: a part that was asked to stay as it is. */
type Part = 'old' | 'new' | 'same' | 'other';

function compare<T>(found: T, before: T | undefined, expected: T): Part {
  if (found === expected) return before === expected ? 'same' : 'new';
  return found === before ? 'old' : 'other';
}

function compareCpuLimit(
  found: number | null,
  before: number | null | undefined,
  expected: number | null,
): Part {
  const isOld = before !== undefined && isSameCpuLimit(found, before);
  if (isSameCpuLimit(found, expected)) return isOld ? 'same' : 'new';
  return isOld ? 'old' : 'other';
}

function liveCpuLimit(read: ReadBack, configured: number | null): number | null | 'unreadable' {
  if (read.state.kind === 'stopped') return configured;
  return read.liveCpuLimit.ok ? (read.liveCpuLimit.value ?? null) : 'unreadable';
}

function liveMemory(read: ReadBack, configured: Mib): Mib | 'none' | 'unreadable' {
  if (read.state.kind === 'stopped') return configured;
  return read.liveMemoryMib.ok ? (read.liveMemoryMib.value ?? 'none') : 'unreadable';
}

function cpusetVerdict(
  { state, liveCpus: live }: ReadBack,
  expected: number | null,
  hostCpus: number,
): Verification {
  if (state.kind === 'stopped') return { kind: 'confirmed' };
  if (!live.ok) return pending(undefined);
  const cpus = Math.min(expected ?? hostCpus, hostCpus);
  return live.value === cpus ? { kind: 'confirmed' } : pending(live.value);
}

const pending = (liveCpus: number | undefined): Verification => ({ kind: 'pending', liveCpus });
