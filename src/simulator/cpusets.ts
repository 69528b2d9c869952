/** CPU numbers as the kernel writes them, and how Proxmox VE deals them out to containers. */

/** `0-1`, `0,2`, `0-3,7`; empty for none. */
export function cpuListText(cpus: readonly number[]): string {
  const sorted = [...cpus].sort((a, b) => a - b);
  const parts: string[] = [];
  let index = 0;
  while (index < sorted.length) {
    const first = sorted[index] ?? 0;
    let last = first;
    while (sorted[index + 1] === last + 1) {
      index += 1;
      last += 1;
    }
    parts.push(first === last ? `${first}` : `${first}-${last}`);
    index += 1;
  }
  return parts.join(',');
}

export const allCpus = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const coldest = (loads: readonly number[], among: readonly number[]): number | undefined =>
  [...among].sort((a, b) => (loads[a] ?? 0) - (loads[b] ?? 0) || a - b)[0];

const hottest = (loads: readonly number[], among: readonly number[]): number | undefined =>
  [...among].sort((a, b) => (loads[b] ?? 0) - (loads[a] ?? 0) || b - a)[0];

/** The CPUs of a container that is being started: the least used ones. */
export function chooseCpus(others: Iterable<readonly number[]>, count: number, hostCpus: number) {
  const loads = new Array<number>(hostCpus).fill(0);
  for (const set of others) for (const cpu of set) loads[cpu] = (loads[cpu] ?? 0) + 1;
  return resize([], Math.min(count, hostCpus), loads);
}

function resize(set: readonly number[], count: number, loads: number[]): number[] {
  const next = [...set];
  while (next.length > count) {
    const cpu = hottest(loads, next);
    if (cpu === undefined) break;
    next.splice(next.indexOf(cpu), 1);
    loads[cpu] = (loads[cpu] ?? 0) - 1;
  }
  while (next.length < count) {
    const free = allCpus(loads.length).filter((cpu) => !next.includes(cpu));
    const cpu = coldest(loads, free);
    if (cpu === undefined) break;
    next.push(cpu);
    loads[cpu] = (loads[cpu] ?? 0) + 1;
  }
  return next.sort((a, b) => a - b);
}

export interface CpusetWish {
  readonly vmid: number;
  readonly cpus: readonly number[];
  /** `cores:`, or all CPUs where there is no such line. */
  readonly cores: number;
}

/**
 * One pass of pvestatd: brings every set to its number of CPUs, and moves at most one container
 * from a crowded CPU to a freer one. Returns only the sets that change.
 */
export function rebalance(wishes: readonly CpusetWish[], hostCpus: number): Map<number, number[]> {
  const loads = new Array<number>(hostCpus).fill(0);
  for (const { cpus } of wishes) for (const cpu of cpus) loads[cpu] = (loads[cpu] ?? 0) + 1;
  const changed = new Map<number, number[]>();
  const sets = new Map<number, readonly number[]>();
  for (const { vmid, cpus, cores } of wishes) {
    const count = Math.min(cores, hostCpus);
    if (cpus.length !== count) changed.set(vmid, resize(cpus, count, loads));
    sets.set(vmid, changed.get(vmid) ?? cpus);
  }
  for (const [vmid, set] of sets) {
    const free = allCpus(hostCpus).filter((cpu) => !set.includes(cpu));
    const from = hottest(loads, set);
    const to = coldest(loads, free);
    if (from === undefined || to === undefined) continue;
    if ((loads[from] ?? 0) - (loads[to] ?? 0) < 2) continue;
    const moved = [...set.filter((cpu) => cpu !== from), to].sort((a, b) => a - b);
    changed.set(vmid, moved);
    break;
  }
  return changed;
}
