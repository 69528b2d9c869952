import type { HostRow } from './status.ts';
import { signed, signedMemory } from './would.ts';

/** Promised against physical, and what is saved of what the guests were given: a sentence. */
export function allocatedWords({ allocated, cpus, memoryMib: physical }: HostRow): string {
  const { cores, memoryMib, savedCores, savedMemoryMib } = allocated;
  const given = `Allocated: ${cores} of ${cpus ?? '-'} CPUs${share(cores, cpus)}`;
  const memory = `${memoryMib} of ${physical ?? '-'} MB${share(memoryMib, physical)}`;
  if (savedCores === 0 && savedMemoryMib === 0) return `${given}, ${memory}.`;
  const less = `${signed(-savedCores)} cores, ${signedMemory(-savedMemoryMib)}`;
  return `${given}, ${memory}; against what was given: ${less}.`;
}

const share = (part: number, whole: number | null): string =>
  whole === null || whole === 0 ? '' : ` (${Math.round((part / whole) * 100)} %)`;
