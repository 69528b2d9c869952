import { type Budget, budget } from '../../src/core/admission.ts';
import type { Lever } from '../../src/core/allocation.ts';
import { type Capabilities, CONTROLLERS } from '../../src/core/capabilities.ts';
import type { DecideInput } from '../../src/core/decide.ts';
import type { Change, Hold, HoldReason, Measured } from '../../src/core/decision.ts';
import type { GuestLife, GuestRecord, ResourceRecord } from '../../src/core/guest-record.ts';
import type { Headroom } from '../../src/core/headroom.ts';
import { type GuestIdentity, guestIdentity } from '../../src/core/identity.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type {
  CgroupSample,
  ContainerObservation,
  ContainerUsage,
  CpuCounters,
  CpuUsage,
  GuestConfig,
  HostMemory,
  HostObservation,
  MemoryCounters,
  MemoryUsage,
  Pressure,
} from '../../src/core/observation.ts';
import type { Plan } from '../../src/core/plan.ts';
import type { ContainerPolicy, HostPolicy, Management } from '../../src/core/policy.ts';
import type { Reach } from '../../src/core/reach.ts';
import { type Missing, missing, present, type Reading } from '../../src/core/reading.ts';
import {
  bytes,
  cores,
  type Mib,
  mib,
  mibToBytes,
  microseconds,
  milliseconds,
  parseVmid,
  ratio,
  type Vmid,
} from '../../src/core/units.ts';

/** What tests of the core and of the loop are made of: ordinary values, varied where it matters. */

export function vmid(id: number): Vmid {
  const value = parseVmid(String(id));
  if (value === undefined) throw new Error(`${id} is no container id`);
  return value;
}

export const gone = (detail = 'it is gone'): Missing => missing('absent', detail);
export const broken = (detail = 'a bad line'): Missing => missing('malformed', detail);

const MIB = 1024 * 1024;
const band = { lower: ratio(0.2), upper: ratio(0.8) };

export interface PolicyNumbers {
  readonly minCores?: number;
  readonly maxCores?: number;
  readonly minMib?: number;
  readonly maxMib?: number | undefined;
  readonly lower?: number;
  readonly upper?: number;
  readonly stepFactor?: number;
}

/** The default configuration, and what differs from it. */
export function policy(numbers: PolicyNumbers = {}): ContainerPolicy {
  const { minCores = 1, maxCores = 8, minMib = 512, maxMib } = numbers;
  const own = { lower: ratio(numbers.lower ?? 0.2), upper: ratio(numbers.upper ?? 0.8) };
  return {
    source: 'DEFAULT',
    cpu: {
      unit: 'cores',
      band: own,
      min: cores(minCores),
      max: cores(maxCores),
      minIncrement: cores(1),
      maxIncrement: cores(4),
      raises: true,
    },
    memory: {
      band: own,
      minMib: mib(minMib),
      maxMib: maxMib === undefined ? undefined : mib(maxMib),
      minIncrementMib: mib(512),
      minDecreaseMib: mib(512),
      mayUseSwap: false,
      raises: true,
    },
    stepFactor: numbers.stepFactor ?? 1,
    timing: {
      cooldownUpMs: milliseconds(0),
      cooldownDownMs: milliseconds(0),
      periodsUp: 1,
      periodsDown: 1,
      startGraceMs: milliseconds(600_000),
      firstShrinkMs: milliseconds(0),
      manualHoldMs: milliseconds(3_600_000),
    },
    scaling: 'threshold',
    boost: {
      saturation: ratio(0.95),
      consecutiveSamples: 3,
      durationMs: milliseconds(120_000),
      factor: 1.5,
      fallbackFactor: 1.25,
    },
    priority: 50,
  };
}

export const hostPolicy: HostPolicy = {
  reserveCpu: ratio(0.1),
  reserveMemoryMib: mib(2048),
  overcommitRatio: 2,
  emergency: ratio(0.98),
  mostCpu: ratio(0.95),
  mostMemory: ratio(1),
};

/** Of the guest with this id; another `life` is another guest that was given the id later. */
export function identity(id: number, life = 0): GuestIdentity {
  const address = `hwaddr=BC:24:11:00:${life.toString(16).padStart(2, '0')}:01`;
  const value = guestIdentity(`local-lvm:vm-${id}-disk-0`, [address]);
  if (value === undefined) throw new Error(`${id} has no identity`);
  return value;
}

export function guest(id: number, own: Partial<GuestConfig> = {}): GuestConfig {
  return {
    vmid: vmid(id),
    name: `guest-${id}`,
    cores: 2,
    cpuLimit: null,
    memoryMib: mib(1024),
    swapMib: mib(512),
    tags: [],
    lock: undefined,
    template: false,
    pendingKeys: [],
    digest: '0'.repeat(40),
    pins: [],
    identity: identity(id),
    ...own,
  };
}

type LiveReach = Extract<Reach, { readonly kind: 'live' }>;

/** A virtual machine whose levers all move while it runs, both ways. */
export function machine(
  id: number,
  own: Partial<GuestConfig> = {},
  levers: Partial<Record<Lever, Partial<LiveReach>>> = {},
): GuestConfig {
  const live = (lever: Lever, max: number): Reach => ({
    kind: 'live',
    min: 1,
    max,
    ...levers[lever],
  });
  return guest(id, {
    kind: 'qemu',
    cores: 4,
    memoryMib: mib(2048),
    assignedMib: mib(8192),
    swapMib: mib(0),
    reaches: {
      cores: live('cores', 4),
      cpuLimit: live('cpuLimit', 4),
      memoryMib: live('memoryMib', 8192),
    },
    ...own,
  });
}

const idle: Pressure = {
  someAvg10: ratio(0),
  someTotalUs: microseconds(0),
  fullAvg10: ratio(0),
  fullTotalUs: microseconds(0),
};

export function cpuCounters(own: Partial<CpuCounters> = {}): CpuCounters {
  const none = { usageUs: microseconds(0), throttledUs: microseconds(0) };
  return { ...none, cpusetCpus: 2, effectiveCpus: undefined, ...own };
}

export interface MemoryNumbers {
  readonly current?: number;
  readonly limit?: number | undefined;
  readonly swap?: number;
  readonly anon?: number;
  readonly shmem?: number;
  readonly active?: number;
  readonly inactive?: number;
  readonly unevictable?: number;
  readonly slab?: number;
  readonly refaults?: number;
  /** Slab that can be reclaimed. */
  readonly entries?: number;
  /** Of its own limit, so that the same is counted in all. */
  readonly limitHits?: number;
  readonly oomKills?: number;
  readonly highHits?: number;
  /** Of limits inside of it. */
  readonly nestedHits?: number;
  readonly nestedKills?: number;
  /** By the host. */
  readonly hostKills?: number;
  /** The kernel does not tell which events are its own. */
  readonly withoutOwn?: boolean;
}

/** In MiB: 400 in use without cache, under a limit of 1024, where nothing else is said. */
export function memoryCounters(own: MemoryNumbers = {}): MemoryCounters {
  const of = (mebibytes: number | undefined) => bytes((mebibytes ?? 0) * MIB);
  const current = own.current ?? 400;
  const limit = 'limit' in own ? own.limit : 1024;
  return {
    currentBytes: of(current),
    limitBytes: limit === undefined ? undefined : mibToBytes(mib(limit)),
    swapBytes: of(own.swap),
    anonBytes: of(own.anon ?? 0),
    shmemBytes: of(own.shmem),
    activeFileBytes: of(own.active),
    inactiveFileBytes: of(own.inactive),
    unevictableBytes: of(own.unevictable),
    slabUnreclaimableBytes: of(own.slab),
    slabReclaimableBytes: of(own.entries),
    refaults: own.refaults ?? 0,
    ...eventsOf(own),
  };
}

function eventsOf(numbers: MemoryNumbers) {
  const { limitHits = 0, oomKills = 0, highHits = 0, nestedHits = 0, nestedKills = 0 } = numbers;
  const own = { highHits, limitHits, ooms: oomKills };
  return {
    limitHits: limitHits + nestedHits,
    oomKills: oomKills + nestedKills + (numbers.hostKills ?? 0),
    ooms: oomKills + nestedKills,
    own: numbers.withoutOwn === true ? undefined : own,
  };
}

export function sample(own: Partial<CgroupSample> = {}): CgroupSample {
  return {
    atMs: milliseconds(0),
    identity: 1,
    life: present({ populated: true, frozen: false }),
    cpu: present(cpuCounters()),
    memory: present(memoryCounters()),
    cpuPressure: present(idle),
    memoryPressure: present(idle),
    ...own,
  };
}

export function cpuUse(used: number, allowed: number): CpuUsage {
  return {
    used: cores(used),
    allowed: cores(allowed),
    demand: cores(used),
    pressure: ratio(0),
    overMs: milliseconds(300_000),
    throttled: ratio(0),
  };
}

export function memoryUse(workingSet: number, own: Partial<MemoryUsage> = {}): MemoryUsage {
  return {
    workingSetMib: mib(workingSet),
    currentMib: mib(workingSet),
    activeFileMib: mib(0),
    cacheMib: mib(0),
    swapMib: mib(0),
    lockedMib: mib(0),
    refaultMibPerS: 0,
    swapGrowthMib: mib(0),
    pressure: ratio(0),
    limitMib: mib(1024),
    newOomKills: 0,
    newLimitHits: 0,
    // What shows a want of memory is taken to be of its own limit, where a test says nothing else.
    newOtherKills: { nested: 0, byHost: 0 },
    nearLimit: true,
    slabMib: mib(0),
    ...own,
  };
}

export function usage(own: Partial<ContainerUsage> = {}): ContainerUsage {
  return {
    cpu: present(cpuUse(1, 2)),
    memory: present(memoryUse(512)),
    cpusetCpus: 2,
    effectiveCpus: undefined,
    life: present({ populated: true, frozen: false }),
    cpuPressure: present(idle),
    memoryPressure: present(idle),
    ...own,
  };
}

/** A running container in the middle of its bands. */
export function container(
  config: GuestConfig,
  own: Partial<ContainerUsage> = {},
): ContainerObservation {
  const inForce = { limitMib: config.memoryMib };
  const all = usage({
    cpu: present(cpuUse((config.cores ?? 1) / 2, config.cores ?? 1)),
    memory: present(memoryUse(config.memoryMib / 2, inForce)),
    cpusetCpus: config.cores ?? undefined,
    ...own,
  });
  return {
    vmid: config.vmid,
    config: present(config),
    state: { kind: 'running', usage: all },
  };
}

export interface HostNumbers {
  readonly cpus?: Reading<number>;
  readonly totalMib?: number;
  readonly availableMib?: number;
}

/** In MiB. Without ZFS, with nothing swapped. */
export function hostMemory(totalMib: number, availableMib: number): HostMemory {
  const rest = { arcReclaimableMib: mib(0), swapFreeMib: mib(8192) };
  return { totalMib: mib(totalMib), availableMib: mib(availableMib), ...rest };
}

/** 16 CPUs, 64 GiB of memory with 32 GiB available. */
export function host(own: HostNumbers = {}): HostObservation {
  const { totalMib = 65_536, availableMib = 32_768 } = own;
  return {
    cpus: own.cpus ?? present(16),
    memory: present(hostMemory(totalMib, availableMib)),
    cpuTimes: present({ busyTicks: 0, totalTicks: 0 }),
    vmMemoryMib: present(mib(0)),
    load1: present(1),
    cpuPressure: present(idle),
    memoryPressure: present(idle),
  };
}

/** Every container is managed by the same policy. */
export const everyone = (own: ContainerPolicy = policy()) => ({
  manage: (): Management => ({ kind: 'managed', policy: own, mode: 'act', because: 'DEFAULT' }),
});

export function decideInput(
  containers: readonly ContainerObservation[],
  own: Partial<DecideInput> = {},
): DecideInput {
  return {
    containers,
    host: host(),
    hostPolicy,
    state: newLoopState(),
    ...everyone(),
    nowMs: milliseconds(10_000_000),
    holds: new Map(),
    offPeak: false,
    ...own,
  };
}

export function measured(own: Partial<Record<keyof Measured, number>> = {}): Measured {
  const { before = 2, used = 1.9, min = 1, max = 8, need = 3 } = own;
  return { before, used, share: ratio(own.share ?? used / before), band, min, max, need };
}

/** A change of memory in MiB. */
export function memoryChange(
  id: number,
  before: number,
  after: number,
  own: Partial<Change> = {},
  numbers: Partial<Record<keyof Measured, number>> = {},
): Change {
  const grows = after > before;
  return {
    vmid: vmid(id),
    name: `guest-${id}`,
    resource: 'memory',
    verdict: grows ? 'grow' : 'shrink',
    after,
    priority: 50,
    rule: grows ? 'above-upper' : 'below-lower',
    limits: [],
    measured: measured({
      before,
      used: before * (grows ? 0.9 : 0.1),
      min: 512,
      max: 65_536,
      need: 64,
      ...numbers,
    }),
    ...own,
  };
}

export function coresChange(
  id: number,
  before: number,
  after: number,
  own: Partial<Change> = {},
  numbers: Partial<Record<keyof Measured, number>> = {},
): Change {
  const used = before * (after > before ? 0.9 : 0.1);
  const changed = { min: 1, max: 64, need: 1, used, ...numbers };
  return {
    ...memoryChange(id, before, after),
    resource: 'cores',
    measured: measured({ before, ...changed }),
    ...own,
  };
}

export function hold(id: number, because: HoldReason, own: Partial<Hold> = {}): Hold {
  return {
    vmid: vmid(id),
    name: `guest-${id}`,
    resource: 'memory',
    verdict: 'hold',
    because,
    ...own,
  };
}

export function budgetOf(coresCeiling: number, memoryMib: number): Budget {
  return {
    coresCeiling: present(cores(coresCeiling)),
    memoryMib: present(mib(memoryMib)),
    wholeMib: present(mib(memoryMib)),
    memoryBound: 'free',
    coresRefused: undefined,
    memoryRefused: undefined,
    kept: [],
  };
}

/** Of which nobody can take all. */
export const AMPLE_ROOM: Headroom = {
  ...budgetOf(64, 1_000_000),
  limitsMib: new Map(),
  vmMemoryMib: present(mib(0)),
};

/** What the host can give to these, the running ones of which are all that run on it. */
export function budgetWith(
  around: HostObservation,
  own: HostPolicy,
  containers: readonly ContainerObservation[],
  grants: ReadonlyMap<Vmid, Mib>,
): Budget {
  const state = newLoopState();
  for (const [id, grant] of grants) recordOf(state, id).grantMib = grant;
  for (const { vmid: id, config, state: now } of containers) {
    if (config.ok && now.kind === 'running') recordOf(state, id).running = config.value;
  }
  const when = { nowMs: milliseconds(10_000_000), urgent: false };
  return budget({ host: around, policy: own, containers, state, ...when });
}

export function grantedMib({ changes }: Plan): number {
  const growths = changes.map(({ memory }) =>
    memory?.verdict === 'grow' ? memory.after - memory.measured.before : 0,
  );
  return growths.reduce((sum, growth) => sum + growth, 0);
}

type OfGuest = Exclude<keyof GuestRecord, 'life' | 'cores' | 'memory'>;
type OfLife = Exclude<keyof GuestLife, 'seen'>;
type Field = OfGuest | OfLife | keyof ResourceRecord;
type Value<F extends Field> = NonNullable<
  F extends OfGuest
    ? GuestRecord[F]
    : F extends OfLife
      ? GuestLife[F]
      : F extends keyof ResourceRecord
        ? ResourceRecord[F]
        : never
>;
type Key<F extends Field> = F extends keyof ResourceRecord ? string : Vmid;

/**
 * What is remembered in one field of all records, where it is: under the id of the guest, or under
 * `101/cores` for a field of a resource.
 */
export function remembered<F extends Field>(
  { guests }: Pick<LoopState, 'guests'>,
  field: F,
): Map<Key<F>, Value<F>> {
  const found = new Map<unknown, unknown>();
  const put = (key: unknown, holder: object): void => {
    const value = (holder as Record<string, unknown>)[field as string];
    if (value !== undefined) found.set(key, value);
  };
  for (const [id, record] of guests) {
    put(id, record);
    put(id, record.life);
    put(`${id}/cores`, record.cores);
    put(`${id}/memory`, record.memory);
  }
  return found as Map<Key<F>, Value<F>>;
}

/** A node that can do all that a node can, but for what is said. */
export const able = (own: Partial<Capabilities> = {}): Capabilities => ({
  proof: true,
  pressure: true,
  workingSet: true,
  liveLimits: new Set(CONTROLLERS),
  ...own,
});
