import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import type { Demand, DemandAt, HostSpec } from '../../src/sim/plant.ts';

/** What containers want over time, and the hosts that they live on. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** 16 CPUs and 64 GiB: more than the scenarios that are about one container ask for. */
export const LARGE_HOST: HostSpec = {
  cpus: 16,
  memoryMib: 65_536,
  swapMib: 8192,
  baseCores: 0.3,
  baseMemoryMib: 2048,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};

export interface Container {
  readonly cores?: number;
  readonly memoryMib?: number;
  readonly swapMib?: number;
  readonly cpuLimit?: number;
  readonly tags?: string;
  readonly name?: string;
  readonly lock?: string;
}

/** A running container of two cores and 2 GiB, without swap so that nothing is hidden in it. */
export function container(vmid: number, demand: DemandAt, own: Container = {}): GuestSpec {
  const { name = `ct-${vmid}`, cores = 2, memoryMib = 2048, swapMib = 0, ...rest } = own;
  return { vmid, demand, conf: guestText({ vmid, name, cores, memoryMib, swapMib, ...rest }) };
}

export const steady =
  (demand: Partial<Demand>): DemandAt =>
  () => ({ cpuCores: 0.5, anonMib: 800, fileSetMib: 200, ...demand });

/** High for half of each period, low for the other half, with no slope between them. */
export const squareWave =
  (periodMs: number, low: Demand, high: Demand): DemandAt =>
  (timeMs) =>
    timeMs % periodMs < periodMs / 2 ? low : high;

/** From one demand to another, on a straight line between two times. */
export const ramp =
  (fromMs: number, toMs: number, low: Demand, high: Demand): DemandAt =>
  (timeMs) => {
    const share = Math.min(1, Math.max(0, (timeMs - fromMs) / (toMs - fromMs)));
    const interval = (from: number, to: number): number => from + (to - from) * share;
    return {
      cpuCores: interval(low.cpuCores, high.cpuCores),
      anonMib: interval(low.anonMib, high.anonMib),
      shmemMib: interval(low.shmemMib ?? 0, high.shmemMib ?? 0),
      fileSetMib: interval(low.fileSetMib ?? 0, high.fileSetMib ?? 0),
    };
  };

/** Grows with the age of its process, from the beginning of the scenario; a kill sets it back. */
export const leak =
  (mibPerHour: number): DemandAt =>
  (timeMs, ageMs) => ({
    cpuCores: 0.3,
    anonMib: 400 + (mibPerHour * Math.min(ageMs, timeMs)) / HOUR,
    fileSetMib: 100,
  });

/** Quiet, and now and then a burst: `burst` for `burstMs` at the beginning of each period. */
export const bursts =
  (periodMs: number, burstMs: number, quiet: Demand, burst: Demand): DemandAt =>
  (timeMs) =>
    timeMs % periodMs < burstMs ? burst : quiet;

/** A day: quiet at night, one hill with its top at `topHour`. */
export const dayRhythm =
  (topHour: number, low: Demand, high: Demand): DemandAt =>
  (timeMs) => {
    const hour = (timeMs / HOUR) % 24;
    const away = Math.min(Math.abs(hour - topHour), 24 - Math.abs(hour - topHour));
    const share = Math.exp(-((away / 3) ** 2));
    const interval = (from: number, to: number): number => from + (to - from) * share;
    return {
      cpuCores: interval(low.cpuCores, high.cpuCores),
      anonMib: interval(low.anonMib, high.anonMib),
      fileSetMib: interval(low.fileSetMib ?? 0, high.fileSetMib ?? 0),
    };
  };
