import type { HostSpec } from '../../src/sim/plant.ts';

/** A host for a few guests, on which nothing else runs. */
export const SMALL_HOST: HostSpec = {
  cpus: 8,
  memoryMib: 16_384,
  swapMib: 0,
  baseCores: 0,
  baseMemoryMib: 1024,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};
