import { type Between, begin } from '../core/between.ts';
import type { HandHold } from '../core/decide.ts';
import type { LoopState } from '../core/loop-state.ts';
import type {
  CgroupSample,
  ContainerObservation,
  ContainerState,
  CpuUsage,
  GuestConfig,
  HostObservation,
  MemoryUsage,
} from '../core/observation.ts';
import { seenWith } from '../core/pace.ts';
import type { Reading } from '../core/reading.ts';
import { present } from '../core/reading.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import { cpuUsage, memoryUsage } from '../core/usage.ts';
import type { World } from '../ports.ts';

/** What one cycle saw, in the order of the ids. */
export interface Observed {
  readonly atMs: Milliseconds;
  readonly host: HostObservation;
  readonly containers: readonly ContainerObservation[];
  /** Containers that a person has taken in hand. */
  readonly holds: ReadonlyMap<Vmid, HandHold>;
}

/**
 * Reads every container and the host once, and turns counters into rates against the samples of
 * the cycle before. Missing only where the containers cannot be listed at all.
 *
 * @param urgent only these, by what the last samples saw: their decision is brought forward
 */
export function observe(
  world: World,
  state: LoopState,
  urgent?: ReadonlySet<Vmid>,
): Reading<Observed> {
  const guests = world.guests.list();
  if (!guests.ok) return guests;
  const host = world.host.observe();
  state.hostCpus = host.cpus.ok ? host.cpus.value : undefined;
  const containers: ContainerObservation[] = [];
  for (const [vmid, config] of [...guests.value].sort(([a], [b]) => a - b)) {
    if (urgent?.has(vmid) === false) continue;
    const seen = observeContainer(world, state, {
      vmid,
      config,
      host,
      urgent: urgent !== undefined,
    });
    containers.push({ vmid, config, state: seen });
    if (seen.kind === 'running' && config.ok) state.running.set(vmid, config.value);
    else state.running.delete(vmid);
  }
  forget(state, new Set(guests.value.keys()));
  learnOfReclaim(world, state, containers);
  const holds = readHolds(world);
  return present({ atMs: world.clock.monotonicMs(), host, containers, holds });
}

/** Asked until some container runs; the kernel does not change under us. */
function learnOfReclaim(
  { reclaim, log }: World,
  state: LoopState,
  containers: readonly ContainerObservation[],
): void {
  if (state.reclaimSupported !== undefined) return;
  const running = containers.find((container) => container.state.kind === 'running');
  if (running === undefined) return;
  state.reclaimSupported = reclaim.isSupported(running.vmid);
  if (state.reclaimSupported !== false) return;
  log.info(
    'This kernel has no memory.reclaim (Linux before 5.19), so it cannot be shown what a ' +
      'container could do without: memory is taken back in small steps only',
  );
}

function readHolds({ holds, clock, log }: World): ReadonlyMap<Vmid, HandHold> {
  const found = holds.read();
  for (const warning of found.warnings) log.warn(warning);
  const nowMs = clock.wallMs();
  return new Map(
    [...found.holds].map(([vmid, { reason, untilMs }]) => [
      vmid,
      { reason, leftMs: untilMs - nowMs },
    ]),
  );
}

interface ToObserve {
  readonly vmid: Vmid;
  readonly config: Reading<GuestConfig>;
  readonly host: HostObservation;
  readonly urgent: boolean;
}

function observeContainer(
  { cgroups, clock }: World,
  state: LoopState,
  { vmid, config, host, urgent }: ToObserve,
): ContainerState {
  const between = state.between.get(vmid);
  const before = (urgent ? between?.previous : undefined) ?? state.samples.get(vmid);
  const sample = cgroups.sample(vmid);
  if (!sample.ok) {
    if (sample.why !== 'absent') return { kind: 'unknown', reason: sample };
    endLife(state, vmid, clock.monotonicMs());
    return { kind: 'stopped' };
  }
  const now = sample.value;
  const appeared = before === undefined && state.cycle > 1 && !state.startedMs.has(vmid);
  if (appeared || (before !== undefined && before.identity !== now.identity)) {
    endLife(state, vmid, clock.monotonicMs());
  }
  state.samples.set(vmid, now);
  const memory = memoryUsage(before, now);
  const cpu = config.ok ? cpuUsage(before, now, config.value, host.cpus) : config;
  const whole = !urgent && between?.last.identity === now.identity ? between : undefined;
  keepSeen(state, vmid, cpu, memory, whole);
  state.between.set(vmid, begin(now, cpu.ok ? cpu.value.used / cpu.value.allowed : 1));
  if (memory.ok && memory.value.newOomKills > 0) state.oomKills.set(vmid, clock.monotonicMs());
  return {
    kind: 'running',
    usage: {
      cpu,
      memory,
      cpusetCpus: cpusetOf(now),
      cpuPressure: now.cpuPressure,
      memoryPressure: now.memoryPressure,
    },
  };
}

const cpusetOf = (sample: CgroupSample): number | undefined =>
  sample.cpu.ok ? sample.cpu.value.cpusetCpus : undefined;

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
    ? { used: cpu.value.used, peak: Math.max(cpu.value.used, cpuPeak) }
    : undefined;
  state.seenCores.set(vmid, seenWith(state.seenCores.get(vmid) ?? [], cores));
  const mib = memory.ok ? memory.value.workingSetMib : undefined;
  const held =
    mib === undefined
      ? undefined
      : { used: (memorySum + mib) / (memoryCount + 1), peak: Math.max(mib, memoryPeak) };
  state.seenMemory.set(vmid, seenWith(state.seenMemory.get(vmid) ?? [], held));
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
  state.startedMs.set(vmid, nowMs);
}

function forget(state: LoopState, here: ReadonlySet<Vmid>): void {
  const { samples, grants, failures, shrinkRetry, pendingCores, startedMs, oomKills } = state;
  const maps = [samples, grants, failures, shrinkRetry, pendingCores, startedMs, oomKills];
  const { seenCores, seenMemory, between, running } = state;
  for (const map of [...maps, seenCores, seenMemory, between, running]) {
    for (const vmid of map.keys()) if (!here.has(vmid)) map.delete(vmid);
  }
  for (const map of [state.said, state.changedMs]) {
    for (const key of map.keys()) {
      if (!here.has(Number(key.split('/')[0]) as Vmid)) map.delete(key);
    }
  }
}
