import { keepPromise } from '../core/admission.ts';
import {
  type Between,
  begin,
  countedOn,
  SATURATED,
  type Saturated,
  saturationOf,
  shareOf,
  withSample,
} from '../core/between.ts';
import type { HandHold } from '../core/decide.ts';
import { forgetGuests } from '../core/forget.ts';
import { hostCpu } from '../core/host-state.ts';
import { isSameGuest } from '../core/identity.ts';
import { learnCores, learnMemory } from '../core/learning.ts';
import { type LoopState, noteFrozen } from '../core/loop-state.ts';
import type {
  CgroupSample,
  ContainerObservation,
  ContainerState,
  Controller,
  CpuUsage,
  GuestConfig,
  HostObservation,
  MemoryUsage,
} from '../core/observation.ts';
import { addSeen } from '../core/pace.ts';
import type { ContainerPolicy, Management } from '../core/policy.ts';
import type { Reading } from '../core/reading.ts';
import { present } from '../core/reading.ts';
import { isHeldBack, oomFloorMib } from '../core/shortage.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import { cpuUsage, isFrozen, memoryUsage } from '../core/usage.ts';
import type { Log, World } from '../ports.ts';
import { isAnotherGuest } from './recognise.ts';
import { tellDeparted } from './temporary.ts';

/** What one cycle saw, in the order of the ids. */
export interface Observed {
  readonly atMs: Milliseconds;
  readonly host: HostObservation;
  readonly containers: readonly ContainerObservation[];
  /** Containers that a person has taken in hand. */
  readonly holds: ReadonlyMap<Vmid, HandHold>;
}

export interface ObserveSettings {
  readonly manage: (config: GuestConfig) => Management;
  /** Only these: their decision is brought forward. */
  readonly urgent?: ReadonlySet<Vmid> | undefined;
}

/**
 * Reads every container and the host once, and turns counters into rates against the samples of
 * the cycle before. Missing only where the containers cannot be listed at all.
 *
 * @param settings whose `urgent`, if given, are the only ones, by what the last samples saw
 */
export function observe(
  world: World,
  state: LoopState,
  { urgent, manage }: ObserveSettings,
): Reading<Observed> {
  const guests = world.guests.list();
  if (!guests.ok) return guests;
  const host = world.host.observe();
  state.hostCpus = host.cpus.ok ? host.cpus.value : undefined;
  state.hostCpu = hostCpu(state.hostCpu, host.cpuTimes, world.clock.monotonicMs());
  const containers: ContainerObservation[] = [];
  const nowMs = world.clock.monotonicMs();
  for (const [vmid, config] of [...guests.value].sort(([a], [b]) => a - b)) {
    if (urgent?.has(vmid) === false) {
      // Not looked at now, but what it may have counts against the host's ceiling; also where it
      // was started since the last cycle.
      const runs = state.running.has(vmid) || world.cgroups.sample(vmid).ok;
      if (config.ok && runs) state.running.set(vmid, config.value);
      continue;
    }
    if (config.ok && isAnotherGuest(world, state, config.value)) endLife(state, vmid, nowMs);
    const seen = observeContainer(world, state, {
      vmid,
      config,
      host,
      urgent: urgent !== undefined,
      policy: policyFor(config, manage),
    });
    containers.push({ vmid, config, state: seen });
    if (seen.kind === 'stopped') state.running.delete(vmid);
    // What cannot be read now still has the limit that it had.
    else if (config.ok) state.running.set(vmid, config.value);
  }
  tellDeparted(world, state, (vmid) => guests.value.has(vmid));
  forgetGuests(state, (vmid) => !guests.value.has(vmid));
  learnOfKernel(world, state, containers);
  const holds = readHolds(world, state);
  return present({ atMs: world.clock.monotonicMs(), host, containers, holds });
}

const ABOUT = { room: 'observe' } as const;

const LACKING: Readonly<Record<Controller, string>> = {
  memory:
    'This kernel does not account memory for containers (no `memory` in cgroup.controllers), so ' +
    'no memory is scaled, while CPU is. On small boards (Raspberry Pi) `cgroup_enable=memory` ' +
    'on the kernel command line and a reboot enable it',
  cpuset:
    'This kernel has no cpusets for containers (no `cpuset` in cgroup.controllers), so `cores` ' +
    'cannot come into force and is left alone; `cpu_unit: cpulimit` works without. ' +
    '`cgroup_enable=cpuset` on the kernel command line and a reboot enable it',
  cpu:
    'This kernel limits no CPU time of containers (no `cpu` in cgroup.controllers), so a ' +
    'cpulimit cannot come into force and is left alone; `cpu_unit: cores` works without',
};

/** What the kernel cannot do for containers is said once, and not for each of them. */
function learnOfControllers({ cgroups, log }: World, state: LoopState, vmid: Vmid): void {
  const has = cgroups.controllers(vmid);
  if (!has.ok) return;
  const all: readonly Controller[] = ['cpu', 'cpuset', 'memory'];
  const lacking = all.filter((controller) => !has.value.has(controller));
  state.lacking = new Set(lacking);
  for (const controller of lacking) log.warn(LACKING[controller], ABOUT);
}

/** Asked until some container runs; the kernel does not change under us. */
function learnOfKernel(
  world: World,
  state: LoopState,
  containers: readonly ContainerObservation[],
): void {
  if (state.reclaimSupported !== undefined) return;
  const running = containers.find((container) => container.state.kind === 'running');
  if (running === undefined) return;
  const { reclaim, log } = world;
  learnOfControllers(world, state, running.vmid);
  state.reclaimSupported = reclaim.isSupported(running.vmid);
  const usage = running.state.kind === 'running' ? running.state.usage : undefined;
  if (usage?.cpuPressure.ok === false && usage.cpuPressure.why === 'absent') {
    log.info(
      'This kernel gives no pressure information (PSI), so waiting for CPU or memory is seen ' +
        'only as usage; `psi=1` on the kernel command line and a reboot enable it',
      ABOUT,
    );
  }
  if (state.reclaimSupported !== false || state.lacking.has('memory')) return;
  log.info(
    'This kernel has no memory.reclaim (Linux before 5.19), so it cannot be shown what a ' +
      'container could do without: memory is taken back in small steps only',
    ABOUT,
  );
}

function readHolds(
  { holds, clock, log }: World,
  { identities }: LoopState,
): ReadonlyMap<Vmid, HandHold> {
  const found = holds.read();
  for (const warning of found.warnings) log.warn(warning, ABOUT);
  const nowMs = clock.wallMs();
  const own = [...found.holds].filter(
    // One that names no guest is of an earlier release. It ends within the hour.
    ([vmid, { guest }]) => guest === undefined || isSameGuest(guest, identities.get(vmid)),
  );
  return new Map(
    own.map(([vmid, { reason, untilMs }]) => [vmid, { reason, leftMs: untilMs - nowMs }]),
  );
}

function policyFor(
  config: Reading<GuestConfig>,
  manage: ObserveSettings['manage'],
): ContainerPolicy | undefined {
  const management = config.ok ? manage(config.value) : undefined;
  return management?.kind === 'managed' ? management.policy : undefined;
}

interface ToObserve {
  readonly vmid: Vmid;
  readonly config: Reading<GuestConfig>;
  readonly host: HostObservation;
  readonly urgent: boolean;
  readonly policy: ContainerPolicy | undefined;
}

function observeContainer(
  { cgroups, clock, log }: World,
  state: LoopState,
  { vmid, config, host, urgent, policy }: ToObserve,
): ContainerState {
  const saturatedAt = policy && saturationOf(policy, 0).at;
  const between = state.between.get(vmid);
  const before = (urgent ? between?.previous : undefined) ?? state.samples.get(vmid);
  const sample = cgroups.sample(vmid);
  if (!sample.ok) {
    if (sample.why !== 'absent') return { kind: 'unknown', reason: sample };
    endLife(state, vmid, clock.monotonicMs());
    return { kind: 'stopped' };
  }
  const now = sample.value;
  if (now.life.ok && !now.life.value.populated) {
    endLife(state, vmid, clock.monotonicMs());
    return { kind: 'stopped', leftBehind: true };
  }
  const appeared = before === undefined && state.cycle > 1 && !state.startedMs.has(vmid);
  if (appeared || (before !== undefined && before.identity !== now.identity)) {
    endLife(state, vmid, clock.monotonicMs());
  }
  if (isFrozen(now)) {
    noteFrozen(state, vmid, now);
    return { kind: 'frozen' };
  }
  state.samples.set(vmid, now);
  const memory = memoryUsage(before, now);
  const cpu = config.ok ? cpuUsage(before, now, config.value, host.cpus) : config;
  const same = between?.last.identity === now.identity ? between : undefined;
  keepSeen(state, vmid, cpu, memory, urgent ? undefined : same);
  if (policy !== undefined) learnSeen(state, vmid, { cpu, memory, policy }, clock.wallMs());
  const share = shareOf(cpu);
  const counted = countSaturated({
    same,
    before,
    now,
    config,
    host,
    cpu,
    memory,
    urgent,
    saturatedAt,
  });
  state.between.set(
    vmid,
    counted === undefined ? begin(now) : begin(now, { share: share ?? 1, saturated: counted }),
  );
  if (memory.ok) {
    noteStarvation(state, vmid, memory.value, clock.monotonicMs());
    keepPromise(state, vmid, memory.value, clock.monotonicMs());
    tellKillsByHost(log, vmid, memory.value.newOtherKills.byHost);
  }
  return {
    kind: 'running',
    usage: {
      cpu,
      memory,
      cpusetCpus: now.cpu.ok ? now.cpu.value.cpusetCpus : undefined,
      effectiveCpus: now.cpu.ok ? now.cpu.value.effectiveCpus : undefined,
      life: now.life,
      cpuPressure: now.cpuPressure,
      memoryPressure: now.memoryPressure,
    },
  };
}

/** It is the host that has too little, and no larger limit of the container would help. */
function tellKillsByHost(log: Log, vmid: Vmid, kills: number): void {
  if (kills === 0) return;
  const what = kills === 1 ? 'a process' : `${kills} processes`;
  log.warn(
    `Container ${vmid}: the host was out of memory and ended ${what} in it; ` +
      'its own limit was not the cause, so it is not raised for that',
    { room: 'observe', vmid, event: 'killed-by-host' },
  );
}

function noteStarvation(
  state: LoopState,
  vmid: Vmid,
  memory: MemoryUsage,
  atMs: Milliseconds,
): void {
  const { newOomKills, newOtherKills } = memory;
  if (newOomKills + newOtherKills.byHost > 0 || isHeldBack(memory)) state.oomKills.set(vmid, atMs);
  if (newOomKills === 0 || memory.limitMib === undefined) return;
  const floor = oomFloorMib(state.oomFloors.get(vmid), atMs);
  if (floor < memory.limitMib) state.oomFloors.set(vmid, { limitMib: memory.limitMib, atMs });
}

interface ToCount extends Pick<ToObserve, 'config' | 'host' | 'urgent'> {
  readonly saturatedAt: number | undefined;
  /** The interval that ends, where it is one of the same life. */
  readonly same: Between | undefined;
  readonly before: CgroupSample | undefined;
  readonly now: CgroupSample;
  /** Since `before`. */
  readonly cpu: Reading<CpuUsage>;
  readonly memory: Reading<MemoryUsage>;
}

/** The sample of a cycle counts as those between the cycles do. */
function countSaturated(one: ToCount): Saturated | undefined {
  const { same, config, host, saturatedAt = SATURATED } = one;
  // What was brought forward follows a sample at once, which has been counted already.
  if (same === undefined || one.urgent || !config.ok || !host.cpus.ok) return same?.saturated;
  if (same.last === one.before) {
    return countedOn(same.saturated, one.cpu, one.memory, config.value, saturatedAt);
  }
  return withSample(same, one.now, config.value, host.cpus.value, saturatedAt).saturated;
}

/** A reading that is missing ends the window: a step never rests on a series with a gap. */
function keepSeen(
  state: LoopState,
  vmid: Vmid,
  cpu: Reading<CpuUsage>,
  memory: Reading<MemoryUsage>,
  between: Between | undefined,
): void {
  const { cpuPeak = 0, memorySum = 0, memoryCount = 0, memoryPeak = 0 } = between ?? {};
  const cores = cpu.ok
    ? {
        used: cpu.value.used,
        peak: Math.max(cpu.value.used, cpuPeak),
        demand: cpu.value.demand,
      }
    : undefined;
  addSeen(state.seenCores, vmid, cores);
  const mib = memory.ok ? memory.value.workingSetMib : undefined;
  const held =
    mib === undefined
      ? undefined
      : { used: (memorySum + mib) / (memoryCount + 1), peak: Math.max(mib, memoryPeak) };
  addSeen(state.seenMemory, vmid, held);
}

interface Lesson {
  readonly cpu: Reading<CpuUsage>;
  readonly memory: Reading<MemoryUsage>;
  readonly policy: ContainerPolicy;
}

/**
 * Takes into what is learnt of a container what was just kept of it: of memory in every mode, of
 * CPU where something is decided by it.
 */
function learnSeen(
  { learnt, seenCores, seenMemory }: LoopState,
  vmid: Vmid,
  { cpu, memory, policy }: Lesson,
  wallMs: Milliseconds,
): void {
  const cores = policy.scaling === 'adaptive' ? seenCores.get(vmid)?.at(-1) : undefined;
  if (cpu.ok && cores !== undefined) learnCores(learnt, vmid, cpu.value, wallMs);
  const mib = seenMemory.get(vmid)?.at(-1);
  if (memory.ok && mib !== undefined) learnMemory(learnt, vmid, memory.value, mib.peak, wallMs);
}

/**
 * A container that stopped or was restarted begins a new life: what was seen of the old one does
 * not count. What was granted does: the raised limit is still its own, to be called in again.
 */
function endLife(state: LoopState, vmid: Vmid, nowMs: Milliseconds): void {
  state.samples.delete(vmid);
  state.between.delete(vmid);
  state.seenCores.delete(vmid);
  state.seenMemory.delete(vmid);
  state.pendingCores.delete(vmid);
  state.oomKills.delete(vmid);
  state.shrinkRetry.delete(vmid);
  state.shrunk.delete(vmid);
  state.grantUsedMs.delete(vmid);
  state.startedMs.set(vmid, nowMs);
}
