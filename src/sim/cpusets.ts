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

/** Reads a list as the kernel takes it; undefined if it is none. */
export function parseCpuList(text: string): number[] | undefined {
  const cpus = new Set<number>();
  for (const part of text.split(',')) {
    const [, from, to = from] = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part) ?? [];
    if (from === undefined) return undefined;
    for (let cpu = Number(from); cpu <= Number(to); cpu += 1) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

/**
 * The CPUs of a container that is being started: Proxmox VE takes CPUs away at random until as many
 * are left as `cores` says. What other containers have does not count.
 */
export function chooseCpus(count: number, hostCpus: number, random: () => number): number[] {
  const cpus = allCpus(hostCpus);
  while (cpus.length > Math.max(1, count)) cpus.splice(Math.floor(random() * cpus.length), 1);
  return cpus;
}

export interface CpusetWish {
  readonly vmid: number;
  readonly cpus: readonly number[];
  /** `cores:`; undefined if there is no such line: all CPUs. */
  readonly cores: number | undefined;
  /** A `cpuset.cpus` line of its own: pvestatd counts it and leaves it alone. */
  readonly pinned: boolean;
}

/** Fewer CPUs are the lowest that it has; more are the lowest that it has not. */
function resize(cpus: readonly number[], count: number, allowed: readonly number[]): number[] {
  if (count <= cpus.length) return cpus.slice(0, count);
  const more = allowed.filter((cpu) => !cpus.includes(cpu));
  return [...cpus, ...more.slice(0, count - cpus.length)].sort((a, b) => a - b);
}

/** The CPU to be on instead: the first with the least containers, and at least two fewer. */
function betterCpu(cpu: number, free: readonly number[], containers: readonly number[]): number {
  let best = cpu;
  for (const candidate of free) {
    if ((containers[candidate] ?? 0) < (containers[best] ?? 0) - 1) best = candidate;
  }
  return best;
}

/**
 * One pass of pvestatd, as `rebalance_lxc_containers` does it, over the CPUs that containers may
 * use (`cpuset.cpus.effective` around them): brings every set to its number of
 * CPUs, then moves containers to CPUs that have at least two containers fewer. It goes by how many
 * containers a CPU has, never by how busy it is. Returns only the sets that change.
 */
export function rebalance(
  wishes: readonly CpusetWish[],
  hostCpus: number,
  allowed: readonly number[] = allCpus(hostCpus),
): Map<number, number[]> {
  const containers = new Array<number>(hostCpus).fill(0);
  const sets = new Map<number, readonly number[]>();
  const movable: number[] = [];
  const changed = new Map<number, number[]>();
  // Perl sorts the ids as text.
  const inOrder = [...wishes].sort((a, b) => (String(a.vmid) < String(b.vmid) ? -1 : 1));
  for (const { vmid, cpus, cores, pinned } of inOrder) {
    const count = Math.min(cores ?? allowed.length, allowed.length);
    const sized = pinned || cpus.length === count ? cpus : resize(cpus, count, allowed);
    if (sized !== cpus) changed.set(vmid, [...sized]);
    sets.set(vmid, sized);
    if (!pinned && cores !== undefined && count !== allowed.length) movable.push(vmid);
    for (const cpu of sized) containers[cpu] = (containers[cpu] ?? 0) + 1;
  }
  const leastOf = (): number => Math.min(...allowed.map((cpu) => containers[cpu] ?? 0));
  let least = leastOf();
  for (const vmid of movable) {
    const set = sets.get(vmid) ?? [];
    const next = [...set];
    for (const [index, cpu] of set.entries()) {
      if ((containers[cpu] ?? 0) < least + 2) continue;
      const free = allowed.filter((other) => !next.includes(other));
      const best = betterCpu(cpu, free, containers);
      if (best === cpu) continue;
      containers[best] = (containers[best] ?? 0) + 1;
      containers[cpu] = (containers[cpu] ?? 0) - 1;
      least = leastOf();
      next[index] = best;
    }
    if (next.some((cpu, index) => cpu !== set[index])) {
      changed.set(
        vmid,
        next.sort((a, b) => a - b),
      );
    }
  }
  return changed;
}
