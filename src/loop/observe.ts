import { afterObservation, type Observation } from '../core/after-observation.ts';
import { isAwayTooLong } from '../core/away.ts';
import { type Capabilities, CONTROLLERS } from '../core/capabilities.ts';
import { seeDay } from '../core/day-seen.ts';
import type { HandHold } from '../core/decide.ts';
import { TELLS_NEED } from '../core/explain.ts';
import { resumeLife } from '../core/follow-connection.ts';
import { endLife, type GuestRecord, noteFrozen } from '../core/guest-record.ts';
import { guestState, isStopped } from '../core/guest-state.ts';
import { guestLabel } from '../core/guest-words.ts';
import { hostCpu } from '../core/host-state.ts';
import { isSameGuest } from '../core/identity.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
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
import type { ContainerPolicy, Management } from '../core/policy.ts';
import type { Reading } from '../core/reading.ts';
import { present } from '../core/reading.ts';
import {
  begin,
  countedOn,
  riseWith,
  SATURATED,
  type SamplingInterval,
  type Saturated,
  saturationOf,
  shareOf,
  withSample,
} from '../core/sampling-interval.ts';
import { noteShortages } from '../core/shortages.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import { cpuUsage, memoryUsage } from '../core/usage.ts';
import type { Log, World } from '../ports.ts';
import { isAnotherGuest } from './recognise.ts';
import { logDeparted } from './temporary.ts';

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
  readonly handover?: Handover | undefined;
}

/** Further nodes of the same program, which take over what is known of a guest that goes there. */
export interface Handover {
  readonly nodes: ReadonlySet<string>;
  /** All of them have looked at their guests within that time. */
  readonly withinMs: Milliseconds;
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
  { urgent, manage, handover }: ObserveSettings,
): Reading<Observed> {
  const guests = world.guests.list();
  if (!guests.ok) return guests;
  const host = world.host.observe();
  state.hostCpus = host.cpus.ok ? host.cpus.value : undefined;
  state.hostCpu = hostCpu(state.hostCpu, host.cpuTimes, world.clock.monotonicMs());
  const containers: ContainerObservation[] = [];
  const nowMs = world.clock.monotonicMs();
  for (const [vmid, config] of [...guests.value].sort(([a], [b]) => a - b)) {
    const isMachine = world.guests.isMachine?.(vmid) === true;
    // A machine that cannot be read counts by what the node itself tells of it.
    const isCounted = isMachine && !config.ok;
    if (urgent?.has(vmid) === false) {
      // Not looked at now, but what it may have counts against the host's ceiling; even if it
      // was started since the last cycle.
      const record = recordOf(state, vmid);
      const runs = record.running !== undefined || !isStopped(world.cgroups.sample(vmid));
      if (config.ok && runs) record.running = config.value;
      if (isCounted) record.running = undefined;
      continue;
    }
    const isOther = config.ok && isAnotherGuest(world, state, config.value);
    const record = recordOf(state, vmid);
    if (isOther) endLife(record, nowMs);
    const seen = observeContainer(world, state, {
      vmid,
      record,
      config,
      host,
      urgent: urgent !== undefined,
      policy: policyFor(config, manage),
    });
    containers.push({ vmid, ...(isMachine && { kind: 'qemu' }), config, state: seen });
    if (seen.kind === 'stopped' || isCounted) record.running = undefined;
    // What cannot be read now still has the limit that it had.
    else if (config.ok) record.running = config.value;
  }
  forgetGone(world, state, (vmid) => guests.value.has(vmid), handover);
  learnOfKernel(world, state, containers);
  const holds = readHolds(world, state);
  return present({ atMs: world.clock.monotonicMs(), host, containers, holds });
}

function forgetGone(
  world: World,
  state: LoopState,
  isListed: (vmid: Vmid) => boolean,
  handover: Handover | undefined,
): void {
  const nowMs = world.clock.monotonicMs();
  for (const [vmid, record] of state.guests) {
    if (isListed(vmid)) {
      record.awaySinceMs = undefined;
      continue;
    }
    // Another node may look after it meanwhile: what it has later is nobody's hand.
    record.known = undefined;
    record.awaySinceMs ??= nowMs;
    // The connection that is in use for now may be shown fewer guests than the first.
    if (world.connection?.().why !== undefined) continue;
    const isGone = isAwayTooLong(record.awaySinceMs, nowMs, handover?.withinMs);
    if (!isGone && !isWithOthers(world, vmid, handover)) continue;
    logDeparted(world, record, vmid);
    state.guests.delete(vmid);
  }
}

/** What a node of another program has is not here. */
function isWithOthers({ temporary }: World, vmid: Vmid, handover: Handover | undefined): boolean {
  const read = temporary?.nodeOf(vmid);
  const node = read?.ok === true ? read.value : undefined;
  return node !== undefined && node !== temporary?.node && handover?.nodes.has(node) !== true;
}

const ABOUT = { component: 'observe' } as const;

const LACKING: Readonly<Record<Controller, string>> = {
  memory:
    'This kernel does not account memory for containers (no `memory` in cgroup.controllers), so ' +
    'no memory is scaled, while CPU is. On small boards (Raspberry Pi) `cgroup_enable=memory` ' +
    'on the kernel command line and a reboot enable it',
  cpuset:
    'This kernel has no cpusets for containers (no `cpuset` in cgroup.controllers), so `cores` ' +
    'cannot take effect and is not scaled; `cpu_unit: cpulimit` works without. ' +
    '`cgroup_enable=cpuset` on the kernel command line and a reboot enable it',
  cpu:
    'This kernel limits no CPU time of containers (no `cpu` in cgroup.controllers), so a ' +
    'cpulimit cannot take effect and is not scaled; `cpu_unit: cores` works without',
};

/** Asked until some container runs; the kernel does not change under us. */
function learnOfKernel(
  { cgroups, log }: World,
  state: LoopState,
  containers: readonly ContainerObservation[],
): void {
  if (state.capabilities !== undefined) return;
  for (const container of containers) {
    if (container.state.kind !== 'running') continue;
    state.capabilities = cgroups.capabilities(container.vmid);
    if (state.capabilities === undefined) continue;
    logLacking(log, state.capabilities);
    return;
  }
}

/** What the kernel cannot do for containers is said once, and not for each of them. */
function logLacking(log: Log, capabilities: Capabilities): void {
  const { proof, pressure, liveLimits, workingSet } = capabilities;
  if (!workingSet) {
    log.info(NO_WORKING_SET, ABOUT);
    return;
  }
  for (const controller of CONTROLLERS) {
    if (!liveLimits.has(controller)) log.warn(LACKING[controller], ABOUT);
  }
  if (!pressure) log.info(NO_PRESSURE, ABOUT);
  if (!proof && liveLimits.has('memory')) log.info(NO_PROOF, ABOUT);
}

const NO_WORKING_SET =
  'What containers need of their memory cannot be seen from here, nor whether they wait: ' +
  'memory is taken back only if `memory_shrink: unproven` says so; memory grows, and CPU goes ' +
  'both ways';

const NO_PRESSURE =
  'This kernel gives no pressure information (PSI), so waiting for CPU or memory is seen ' +
  'only as usage; `psi=1` on the kernel command line and a reboot enable it';

const NO_PROOF =
  'This kernel has no memory.reclaim (Linux before 5.19), so it cannot be shown what a ' +
  'container could do without: memory is taken back in small steps only';

function readHolds(
  { holds, clock, log }: World,
  { guests }: LoopState,
): ReadonlyMap<Vmid, HandHold> {
  const found = holds.read();
  for (const warning of found.warnings) log.warn(warning, ABOUT);
  const nowMs = clock.wallMs();
  const own = [...found.holds].filter(
    // One that names no guest is of an earlier release. It ends within the hour.
    ([vmid, { guest }]) => guest === undefined || isSameGuest(guest, guests.get(vmid)?.identity),
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
  readonly record: GuestRecord;
  readonly config: Reading<GuestConfig>;
  readonly host: HostObservation;
  readonly urgent: boolean;
  readonly policy: ContainerPolicy | undefined;
}

function observeContainer(
  { cgroups, clock, log }: World,
  state: LoopState,
  { vmid, record, config, host, urgent, policy }: ToObserve,
): ContainerState {
  const saturatedAt = policy && saturationOf(policy, 0).at;
  const { interval, sample: decided } = record.life;
  // A decision brought forward goes by the latest rate, and by all that was met since the last one.
  const before = (urgent ? interval?.previous : undefined) ?? decided;
  const sample = cgroups.sample(vmid);
  const seen = guestState(sample);
  if (seen.kind === 'stopped') endLife(record, clock.monotonicMs());
  if (seen.kind === 'stopped' || seen.kind === 'unknown') return seen;
  if (!sample.ok) return { kind: 'unknown', reason: sample };
  const now = sample.value;
  const isResumed = resumeLife(record, state.connection?.by, now);
  const isNew = !isResumed && record.life.startedMs === undefined;
  const appeared = before === undefined && state.cycle > 1 && isNew;
  if (appeared || (before !== undefined && before.identity !== now.identity)) {
    endLife(record, clock.monotonicMs());
  }
  noteShortages(record, now, clock.wallMs());
  if (seen.kind === 'frozen') {
    noteFrozen(record, now);
    return seen;
  }
  record.life.sample = now;
  const memory = memoryUsage(before, now, decided, record.life.guard?.atMib);
  const cpu = config.ok ? cpuUsage(before, now, config.value, host.cpus) : config;
  const same = interval?.last.identity === now.identity ? interval : undefined;
  afterObservation(record, {
    cpu,
    memory,
    policy,
    interval: same,
    early: urgent,
    nowMs: clock.monotonicMs(),
    wallMs: clock.wallMs(),
  });
  noteDay(record, now, { memory, policy, interval: same, wallMs: clock.wallMs() });
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
  const rise = same && config.ok ? riseWith(same, now, memory, config.value) : undefined;
  record.life.interval =
    counted === undefined
      ? begin(now)
      : begin(now, { share: share ?? 1, saturated: counted, rise });
  if (memory.ok && config.ok) logMemory(log, config.value, memory.value, decided);
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

/** Only where it may be needed: a day takes the place of a proof that cannot be had. */
function noteDay(
  record: GuestRecord,
  { upMs }: CgroupSample,
  {
    memory,
    policy,
    interval,
    wallMs,
  }: Pick<Observation, 'memory' | 'policy' | 'interval' | 'wallMs'>,
): void {
  if (upMs === undefined || policy?.memory.unproven !== true) record.day = undefined;
  else if (memory.ok) {
    const usedMib = Math.max(memory.value.workingSetMib, interval?.memoryPeak ?? 0);
    record.day = seeDay(record.day, { usedMib, upMs, wallMs });
  }
}

/** Whose figure it is is said once, when it comes to be of pvestatd. */
function logMemory(
  log: Log,
  guest: GuestConfig,
  { countsCache, newOtherKills }: MemoryUsage,
  before: CgroupSample | undefined,
): void {
  logKillsByHost(log, guest, newOtherKills.byHost);
  if (countsCache === undefined || (before?.memory.ok && before.memory.value.countsCache)) return;
  const told = 'its guest does not tell what it needs of its memory. What is known of it';
  const limits = 'so nothing is taken back, and little given';
  log.warn(
    `${guestLabel(guest)} (${guest.name}): ${told} is what pvestatd says, ` +
      `which counts page cache as used, ${limits}. ${TELLS_NEED}`,
    { component: 'observe', vmid: guest.vmid, event: 'counts-cache' },
  );
}

/** It is the host that has too little, and no larger limit of the container would help. */
function logKillsByHost(log: Log, guest: GuestConfig, kills: number): void {
  if (kills === 0) return;
  const what = kills === 1 ? 'a process' : `${kills} processes`;
  log.warn(
    `${guestLabel(guest)}: the host was out of memory and ended ${what} in it; ` +
      'its own limit was not the cause, so it is not raised for that',
    { component: 'observe', vmid: guest.vmid, event: 'killed-by-host' },
  );
}

interface ToCount extends Pick<ToObserve, 'config' | 'host' | 'urgent'> {
  readonly saturatedAt: number | undefined;
  /** The interval that ends, if it is one of the same life. */
  readonly same: SamplingInterval | undefined;
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
  if (same.last === one.before && same.glance === undefined) {
    return countedOn(same.saturated, one.cpu, one.memory, config.value, saturatedAt);
  }
  return withSample(same, one.now, config.value, host.cpus.value, saturatedAt).saturated;
}
