import { guestText } from './guest-text.ts';
import type { GuestSpec } from './machine.ts';
import type { DemandAt, HostSpec } from './plant.ts';
import { kernelBytesFor } from './plant-memory.ts';
import type { Trace, TraceSeries } from './traces.ts';

/** Turns a recorded trace into a host and its containers. */

const MIB = 1024 * 1024;
const FIRST_VMID = 101;
const MIN_CORES = 1;
const MAX_CORES = 8;
const MIN_MEMORY_MIB = 512;
const MAX_MEMORY_MIB = 16_384;
const MEMORY_STEP_MIB = 16;
/** Memory of a container whose trace has none. */
const PLAIN_MEMORY_MIB = 256;
const MOST_CPUS = 128;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

const clamp = (value: number, low: number, high: number): number =>
  Math.min(high, Math.max(low, value));

export interface StartAllocation {
  readonly cores: number;
  readonly memoryMib: number;
}

/** Twice the median demand, within the bounds that the traces are scored with. */
export function startAllocation(series: TraceSeries): StartAllocation {
  const cores = clamp(Math.ceil(2 * median(series.cpuCores)), MIN_CORES, MAX_CORES);
  const demand = series.memoryMib.length > 0 ? median(series.memoryMib) : PLAIN_MEMORY_MIB;
  const memory = clamp(2 * demand, MIN_MEMORY_MIB, MAX_MEMORY_MIB);
  return { cores, memoryMib: Math.ceil(memory / MEMORY_STEP_MIB) * MEMORY_STEP_MIB };
}

/** The value at a time, on a straight line between two samples; the ends hold. */
function valueAt(timesS: readonly number[], values: readonly number[], timeS: number): number {
  let low = 0;
  let high = timesS.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((timesS[middle] ?? 0) <= timeS) low = middle;
    else high = middle;
  }
  const from = timesS[low] ?? 0;
  const to = timesS[high] ?? from;
  const share = to > from ? clamp((timeS - from) / (to - from), 0, 1) : 0;
  const start = values[low] ?? 0;
  return start + ((values[high] ?? start) - start) * share;
}

/** Anonymous memory that, with the kernel's share that goes with it, makes up the demand. */
function anonFor(demandMib: number): number {
  const fixed = kernelBytesFor(0) / MIB;
  const perMib = (kernelBytesFor(MIB) - kernelBytesFor(0)) / MIB;
  return Math.max(1, (demandMib - fixed) / (1 + perMib));
}

export function demandOf(series: TraceSeries): DemandAt {
  const hasMemory = series.memoryMib.length > 0;
  return (timeMs) => {
    const timeS = timeMs / 1000;
    const anonMib = hasMemory
      ? anonFor(valueAt(series.timesS, series.memoryMib, timeS))
      : PLAIN_MEMORY_MIB;
    const cpuCores = valueAt(series.timesS, series.cpuCores, timeS);
    return { cpuCores, anonMib, fileSetMib: anonMib / 4 };
  };
}

export interface TraceNode {
  readonly host: HostSpec;
  readonly guests: readonly GuestSpec[];
}

/** A host that has room for the first so many containers of a trace, and the containers. */
export function traceNode(trace: Trace, containers: number = trace.series.length): TraceNode {
  const chosen = trace.series.slice(0, containers);
  const baseMemoryMib = 2048;
  let cores = 0;
  let memoryMib = baseMemoryMib * 2;
  const guests = chosen.map((series, index): GuestSpec => {
    const vmid = FIRST_VMID + index;
    const start = startAllocation(series);
    const peakMib = series.memoryMib.reduce((peak, mib) => Math.max(peak, mib), 0);
    cores += start.cores;
    memoryMib += Math.max(start.memoryMib, 1.5 * Math.min(peakMib, MAX_MEMORY_MIB));
    const conf = guestText({ vmid, name: series.name, ...start });
    return { vmid, demand: demandOf(series), conf };
  });
  const host: HostSpec = {
    cpus: clamp(cores, MAX_CORES, MOST_CPUS),
    memoryMib: Math.ceil(memoryMib / 1024) * 1024,
    swapMib: 8192,
    baseCores: 0.3,
    baseMemoryMib,
    pressure: true,
    kernelRelease: '6.8.12-4-pve',
  };
  return { host, guests };
}
