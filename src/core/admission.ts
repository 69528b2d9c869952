import { MEMORY_QUANTUM_MIB } from './allocation.ts';
import type { HoldReason } from './decision.ts';
import type { GuestRecord, Refused } from './guest-record.ts';
import { hasNoCgroup } from './guest-state.ts';
import {
  availableMib,
  cpuSaturation,
  emergencyOf,
  type HostCpu,
  memoryFull,
  memoryStall,
} from './host-state.ts';
import type {
  ContainerObservation,
  HostMemory,
  HostObservation,
  MemoryUsage,
} from './observation.ts';
import type { HostPolicy } from './policy.ts';
import { type Missing, missing, present, type Reading } from './reading.ts';
import {
  bytesToMib,
  type Cores,
  cores,
  type Mib,
  type Milliseconds,
  mib,
  type Vmid,
} from './units.ts';
import { workingSetBytes } from './usage.ts';

/** What the host can still give, with its reserves held back. */
export interface Budget {
  /** The most cores that one container may have. CPU is shared, so this is no sum. */
  readonly coresCeiling: Reading<Cores>;
  /** Memory that may be handed out in this cycle. */
  readonly memoryMib: Reading<Mib>;
  /** The same with what is kept for members of groups on their way, for whom it is. */
  readonly wholeMib: Reading<Mib>;
  /** Why there is no more memory: little is free, or the limits together are at their ceiling. */
  readonly memoryBound: 'free' | 'overcommit';
  /** What others wait for, who are not asked now: it is not given to those who come after them. */
  readonly kept: readonly Kept[];
  /** Why nothing at all grows; undefined if it may. */
  readonly coresRefused: HoldReason | undefined;
  readonly memoryRefused: HoldReason | undefined;
}

export interface Kept extends Refused {
  readonly vmid: Vmid;
}

export interface BudgetInput {
  readonly host: HostObservation;
  readonly policy: HostPolicy;
  readonly containers: readonly ContainerObservation[];
  readonly state: {
    readonly guests: ReadonlyMap<Vmid, GuestRecord>;
    readonly hostCpu: HostCpu | undefined;
  };
  readonly nowMs: Milliseconds;
  /** Not all containers are asked. */
  readonly urgent: boolean;
  /** What members of groups that are made, and not started yet, will have. */
  readonly comingMib?: number;
}

/**
 * Memory is handed out from what is really available, less the reserve, less what this program
 * granted before and is not in use yet: a limit raised a minute ago is a promise that the container
 * may call in at any time, though the host still counts it as available. And the limits of all
 * running guests together stay below a multiple of the host's memory less the reserve.
 */
export function budget(input: BudgetInput): Budget {
  const { host, policy, state } = input;
  const coresCeiling = host.cpus.ok
    ? present(cores(Math.max(1, Math.floor(host.cpus.value * (1 - policy.reserveCpu) + 1e-9))))
    : host.cpus;
  const refused = { ...refusals(host, policy, state), kept: keptFor(input) };
  const free = freeMib(input);
  const none = (memoryMib: Missing) => ({ memoryMib, wholeMib: memoryMib });
  if (!free.ok) return { coresCeiling, ...none(free), memoryBound: 'free', ...refused };
  const room = overcommitHeadroomMib(host, policy, input.containers, state);
  if (!room.ok) return { coresCeiling, ...none(room), memoryBound: 'overcommit', ...refused };
  const least = Math.min(free.value, room.value);
  return {
    coresCeiling,
    memoryMib: present(wholeSteps(least - (input.comingMib ?? 0))),
    wholeMib: present(wholeSteps(least)),
    memoryBound: room.value < free.value ? 'overcommit' : 'free',
    ...refused,
  };
}

/** No tolerance for fractions here: what is handed out may not pass the ceiling by a byte. */
const wholeSteps = (most: number): Mib =>
  mib(Math.max(0, Math.floor(most / MEMORY_QUANTUM_MIB) * MEMORY_QUANTUM_MIB));

function refusals(
  host: HostObservation,
  policy: HostPolicy,
  { hostCpu }: BudgetInput['state'],
): Pick<Budget, 'coresRefused' | 'memoryRefused'> {
  const because = (
    kind: 'host-busy' | 'host-pressure' | 'host-full' | 'host-emergency',
    share: number | undefined,
  ): HoldReason | undefined => (share === undefined ? undefined : { kind, share });
  return {
    coresRefused: because('host-busy', cpuSaturation(hostCpu, policy)),
    memoryRefused:
      because('host-emergency', emergencyOf(host, policy)) ??
      because('host-full', memoryFull(host, policy)) ??
      because('host-pressure', memoryStall(host)),
  };
}

function keptFor({ urgent, state }: BudgetInput): readonly Kept[] {
  const kept: Kept[] = [];
  if (!urgent) return kept;
  for (const [vmid, { refused }] of state.guests) {
    if (refused !== undefined) kept.push({ vmid, ...refused });
  }
  return kept;
}

function freeMib(input: BudgetInput): Reading<number> {
  const { policy } = input;
  const { memory } = input.host;
  if (!memory.ok) return memory;
  const promised = promisedMib(input);
  return finite(availableMib(memory.value) - policy.reserveMemoryMib - promised);
}

/** By how much the limits of all running guests, VMs too, may grow together. */
function overcommitHeadroomMib(
  { memory, vmMemoryMib }: HostObservation,
  policy: HostPolicy,
  containers: readonly ContainerObservation[],
  { guests }: BudgetInput['state'],
): Reading<number> {
  if (!memory.ok) return memory;
  if (!vmMemoryMib.ok) return vmMemoryMib;
  let limits: number = vmMemoryMib.value;
  for (const { running } of guests.values()) limits += running?.memoryMib ?? 0;
  for (const container of containers) {
    // The node has counted a machine whose configuration could not be read.
    const isCounted = container.kind === 'qemu' && !container.config.ok;
    if (isCounted || hasNoCgroup(container.state)) continue;
    if (guests.get(container.vmid)?.running !== undefined) continue;
    const limit = limitOf(container);
    if (!limit.ok) return limit;
    limits += limit.value;
  }
  return finite(ceilingMib(memory.value, policy) - limits);
}

/** The limit of one that could not be read as a whole. */
function limitOf({ config, state }: ContainerObservation): Reading<number> {
  if (config.ok) return present(config.value.memoryMib);
  const memory = state.kind === 'running' ? state.usage.memory : config;
  if (!memory.ok) return memory;
  return memory.value.limitMib === undefined ? config : present(memory.value.limitMib);
}

const ceilingMib = ({ totalMib }: HostMemory, policy: HostPolicy): number =>
  Math.max(0, totalMib - policy.reserveMemoryMib) * policy.overcommitRatio;

const finite = (value: number): Reading<number> =>
  Number.isFinite(value) ? present(value) : missing('malformed', 'the host memory is no number');

/** What the OOM killer has ended begins anew, and soon uses again what it had. */
const RETURNS_MS = 600_000;

/** A grant of which nothing was used for so long is not called in any more. */
const PROMISED_MS = 3 * 3_600_000;

/**
 * Forgets a grant that was not used for hours: kept as promised, it would starve the neighbours of
 * a container that asked for more once. Its limit stays as it is.
 */
export function keepPromise(
  record: GuestRecord,
  { workingSetMib, limitMib }: MemoryUsage,
  nowMs: Milliseconds,
): void {
  const { life, grantMib: granted } = record;
  const usedMs = life.grantUsedMs;
  if (granted === undefined) {
    life.grantUsedMs = undefined;
    return;
  }
  const isUsed = limitMib === undefined || workingSetMib > limitMib - granted;
  if (isUsed || usedMs === undefined) {
    life.grantUsedMs = nowMs;
    return;
  }
  if (nowMs - Math.max(usedMs, record.memory.grownMs ?? 0) < PROMISED_MS) return;
  record.grantMib = undefined;
  life.grantUsedMs = undefined;
}

/**
 * What a machine has not taken yet of the target of its balloon. It will: its kernel fills what it
 * has with cache, and QEMU never gives that back by itself, as a container's cache can be taken.
 */
function untakenMib({ running, life }: GuestRecord): number {
  const reach = running?.reaches?.memoryMib;
  if (running === undefined || reach?.kind !== 'live' || reach.oneWay !== undefined) return 0;
  const held = life.sample?.heldBytes;
  return held === undefined ? 0 : Math.max(0, running.memoryMib - bytesToMib(held));
}

/** Whether the OOM killer has ended something in it lately. */
const isBackSoon = ({ oomKillMs, interval }: GuestRecord['life'], nowMs: Milliseconds): boolean =>
  (interval?.oomKills ?? 0) > 0 || (oomKillMs !== undefined && nowMs - oomKillMs <= RETURNS_MS);

/** By the last sample of one that is not asked now, or cannot be read; all of it if none tells. */
function unusedLately({ running, grantMib, life }: GuestRecord): number {
  if (running === undefined) return grantMib ?? 0;
  const last = [life.interval?.last, life.sample].find((each) => each?.memory.ok)?.memory;
  const usedMib = last?.ok ? bytesToMib(workingSetBytes(last.value)) : 0;
  return Math.max(0, running.memoryMib - usedMib);
}

/**
 * The part of earlier grants that is not in use yet; all of one whose usage cannot be read. And
 * what machines have not taken yet.
 */
function promisedMib({ containers, state: loop, nowMs }: BudgetInput): number {
  let sum = 0;
  const states = new Map(containers.map(({ vmid, state }) => [vmid, state]));
  for (const [vmid, record] of loop.guests) {
    const { grantMib, life } = record;
    const untaken = untakenMib(record);
    if (untaken > 0) {
      sum += untaken;
      continue;
    }
    const state = states.get(vmid);
    if (state?.kind === 'stopped') continue;
    // Not looked at in a decision that was brought forward: it may not be in use yet.
    const memory = state?.kind === 'running' ? state.usage.memory : undefined;
    const unused =
      memory?.ok && memory.value.limitMib !== undefined
        ? Math.max(0, memory.value.limitMib - memory.value.workingSetMib)
        : undefined;
    if (isBackSoon(life, nowMs)) sum += unused ?? unusedLately(record);
    else if (grantMib !== undefined) sum += Math.min(grantMib, unused ?? grantMib);
  }
  return sum;
}
