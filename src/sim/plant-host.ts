import type { CpuLimits, CpuState } from './plant-cpu.ts';
import { advancePressure, newPressure, type StallShares } from './pressure.ts';

/** The host's own meters: busy time of each CPU, load averages and pressure. */

export interface HostMemoryUse {
  readonly totalBytes: number;
  readonly swapTotalBytes: number;
  /** What the host itself holds. */
  readonly baseBytes: number;
  /** What virtual machines hold. */
  readonly vmBytes: number;
  /** What the ZFS cache holds now, and what it keeps whatever happens. */
  readonly arcBytes: number;
  readonly arcMinBytes: number;
  /** Sums over the containers. */
  readonly anonBytes: number;
  readonly shmemBytes: number;
  readonly kernelBytes: number;
  readonly fileBytes: number;
  readonly swapBytes: number;
}

interface Busy {
  readonly cpu: CpuState;
  readonly limits: CpuLimits;
}

export class HostGauges {
  readonly cpus: number;
  /** Busy milliseconds of each CPU, and all milliseconds that passed. */
  readonly busyMs: number[];
  elapsedMs = 0;
  usedCores = 0;
  readonly load: [number, number, number] = [0, 0, 0];
  readonly cpuPressure = newPressure();
  readonly memoryPressure = newPressure();
  readonly ioPressure = newPressure();

  constructor(cpus: number) {
    this.cpus = cpus;
    this.busyMs = new Array<number>(cpus).fill(0);
  }

  /** @param perCpu how busy each CPU is, 0 to 1 */
  advanceCpu(
    containers: readonly Busy[],
    perCpu: readonly number[],
    baseCores: number,
    elapsedMs: number,
  ): void {
    let waiting = 0;
    let runnable = baseCores;
    this.usedCores = baseCores;
    for (const { cpu, limits } of containers) {
      const unthrottled = Math.min(cpu.wantedCores, limits.cpuLimit ?? cpu.wantedCores);
      waiting += Math.max(0, unthrottled - cpu.usedCores);
      runnable += unthrottled;
      this.usedCores += cpu.usedCores;
    }
    for (const [number, cores] of perCpu.entries()) {
      this.busyMs[number] = (this.busyMs[number] ?? 0) + cores * elapsedMs;
    }
    this.elapsedMs += elapsedMs;
    for (const [index, windowMs] of [60_000, 300_000, 900_000].entries()) {
      const keep = Math.exp(-elapsedMs / windowMs);
      this.load[index] = (this.load[index] ?? 0) * keep + runnable * (1 - keep);
    }
    advancePressure(this.cpuPressure, { some: Math.min(1, waiting), full: 0 }, elapsedMs);
  }

  /** Some task stalls where any container's do; all of them only where the memory is short. */
  advanceMemory(stalls: readonly StallShares[], use: HostMemoryUse, elapsedMs: number): void {
    const calm = stalls.reduce((rest, stall) => rest * (1 - stall.some), 1);
    const guests = use.anonBytes + use.shmemBytes + use.kernelBytes + use.vmBytes;
    const held = use.baseBytes + guests + use.arcMinBytes;
    const short = held > use.totalBytes * 0.98 ? 0.3 : 0;
    const some = Math.max(1 - calm, short);
    advancePressure(this.memoryPressure, { some, full: short }, elapsedMs);
    advancePressure(this.ioPressure, { some: some * 0.8, full: short }, elapsedMs);
  }
}
