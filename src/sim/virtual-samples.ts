import { guestIdentity } from '../core/identity.ts';
import type {
  CgroupSample,
  CpuCounters,
  GuestConfig,
  HostObservation,
  MemoryCounters,
  Pressure,
} from '../core/observation.ts';
import { pinnedBy } from '../core/pins.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import {
  bytes,
  bytesToMib,
  mib,
  microseconds,
  milliseconds,
  percentToRatio,
  type Vmid,
} from '../core/units.ts';
import { digestOf, effectiveLimits, parseConf } from './guest-conf.ts';
import type { Plant, PlantContainer } from './plant.ts';
import { currentBytes, type MemoryState } from './plant-memory.ts';
import type { PressureState } from './pressure.ts';
import { hostMemoryFigures } from './proc-text.ts';

/**
 * The plant's state as the core's types, without the files in between: what `cgroup-text.ts` and
 * `proc-text.ts` print, read as the program reads it.
 */

/** The part of the kernel's memory that `memory.stat` counts as slab that cannot be reclaimed. */
const SLAB_UNRECLAIMABLE_SHARE = 0.2;
const USER_TICK_MS = 10;
const NO_PSI = missing('absent', 'this kernel has no pressure files');

export interface SampleContext {
  readonly atMs: number;
  /** Another one for each life of a container. */
  readonly identity: number;
  /** Whether the kernel has pressure files. */
  readonly pressure: boolean;
  /** How many CPUs of its cpuset it can really use. */
  readonly usableCpus: number;
}

export function sampleOf(
  container: PlantContainer,
  { atMs, identity, pressure, usableCpus }: SampleContext,
): CgroupSample {
  return {
    atMs: milliseconds(atMs),
    identity,
    life: present({ populated: true, frozen: container.frozen }),
    cpu: present(cpuOf(container, usableCpus)),
    memory: present(memoryOf(container)),
    cpuPressure: pressureOf(container.cpuPressure, pressure),
    memoryPressure: pressureOf(container.memoryPressure, pressure),
  };
}

function cpuOf({ cpu, limits }: PlantContainer, effectiveCpus: number): CpuCounters {
  const count = limits.cpus.length;
  return {
    usageUs: microseconds(Math.floor(cpu.usageUs)),
    throttledUs: microseconds(Math.floor(cpu.throttledUs)),
    cpusetCpus: count > 0 ? count : undefined,
    effectiveCpus,
  };
}

function memoryOf({ memory, limits }: PlantContainer): MemoryCounters {
  const { memoryMaxBytes } = limits;
  return {
    currentBytes: bytes(currentBytes(memory)),
    limitBytes: Number.isFinite(memoryMaxBytes) ? bytes(memoryMaxBytes) : undefined,
    swapBytes: bytes(memory.swapBytes),
    anonBytes: bytes(Math.floor(memory.anonBytes)),
    shmemBytes: bytes(Math.floor(memory.shmemBytes)),
    activeFileBytes: bytes(Math.floor(memory.activeFileBytes)),
    inactiveFileBytes: bytes(Math.floor(memory.inactiveFileBytes)),
    unevictableBytes: bytes(Math.floor(memory.unevictableBytes)),
    slabUnreclaimableBytes: bytes(slabUnreclaimable(memory)),
    slabReclaimableBytes: bytes(Math.floor(memory.slabBytes)),
    refaults: Math.floor(memory.counts.refaultAnon) + Math.floor(memory.counts.refaultFile),
    limitHits: Math.floor(memory.events.max + memory.nestedEvents.max),
    oomKills: Math.floor(memory.events.oomKill + memory.nestedEvents.oomKill),
    ooms: Math.floor(memory.events.oom + memory.nestedEvents.oom),
    own: {
      highHits: Math.floor(memory.events.high),
      limitHits: memory.events.max,
      ooms: memory.events.oom,
    },
  };
}

const slabUnreclaimable = (memory: MemoryState): number =>
  Math.floor(Math.floor(memory.kernelBytes) * SLAB_UNRECLAIMABLE_SHARE);

function pressureOf({ some, full }: PressureState, there: boolean): Reading<Pressure> {
  if (!there) return NO_PSI;
  return present({
    someAvg10: percentToRatio(some.avg10),
    someTotalUs: microseconds(Math.floor(some.totalUs)),
    fullAvg10: percentToRatio(full.avg10),
    fullTotalUs: microseconds(Math.floor(full.totalUs)),
  });
}

/** What no limit may go below, in MiB: anon, shared memory, unevictable and unreclaimable slab. */
export function floorMib({ memory }: PlantContainer): number {
  const held = Math.max(memory.anonBytes + memory.shmemBytes, memory.unevictableBytes);
  return bytesToMib(bytes(held + slabUnreclaimable(memory)));
}

export function hostOf(plant: Plant): HostObservation {
  const { host, gauges } = plant;
  const use = plant.memoryUse();
  const busyMs = gauges.busyMs.reduce((sum, ms) => sum + ms, 0);
  return {
    cpus: present(host.cpus - plant.unusableCpus.size),
    memory: present({
      totalMib: bytesToMib(bytes(use.totalBytes)),
      availableMib: bytesToMib(bytes(hostMemoryFigures(use).availableBytes)),
      arcReclaimableMib: mib(0),
      swapFreeMib: bytesToMib(bytes(Math.max(0, use.swapTotalBytes - use.swapBytes))),
    }),
    load1: present(gauges.load[0]),
    cpuTimes: present({
      busyTicks: Math.floor(busyMs / USER_TICK_MS),
      totalTicks: Math.floor((gauges.elapsedMs * gauges.cpus) / USER_TICK_MS),
    }),
    vmMemoryMib: present(mib(0)),
    cpuPressure: pressureOf(gauges.cpuPressure, host.pressure),
    memoryPressure: pressureOf(gauges.memoryPressure, host.pressure),
  };
}

/** A configuration as the program reads it. */
export function guestConfigOf(vmid: Vmid, content: string): GuestConfig {
  const { main, pending } = parseConf(vmid, content);
  const limits = effectiveLimits(main);
  const pendingKeys = [...pending.values].flatMap(([key, value]) =>
    key === 'delete' ? namesIn(value) : [key],
  );
  return {
    vmid,
    name: main.values.get('hostname') ?? `CT${vmid}`,
    cores: limits.cores ?? null,
    cpuLimit: limits.cpuLimit ?? null,
    memoryMib: mib(limits.memoryMib),
    swapMib: mib(limits.swapMib),
    tags: namesIn(main.values.get('tags') ?? ''),
    lock: main.values.get('lock'),
    template: main.values.get('template') === '1',
    pendingKeys,
    digest: digestOf(content),
    pins: main.raw.flatMap(([key, value]) => {
      const what = pinnedBy(key);
      return what === undefined ? [] : [{ what, line: `${key}: ${value}` }];
    }),
    identity: guestIdentity(
      main.values.get('rootfs'),
      [...main.values].filter(([key]) => /^net\d+$/.test(key)).map(([, value]) => value),
    ),
  };
}

const namesIn = (list: string): string[] => list.split(/[;, ]+/).filter((name) => name !== '');
