import type { LoopState } from '../core/loop-state.ts';
import type {
  CgroupSample,
  ContainerObservation,
  ContainerState,
  GuestConfig,
  HostObservation,
} from '../core/observation.ts';
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
}

/**
 * Reads every container and the host once, and turns counters into rates against the samples of
 * the cycle before. Missing only where the containers cannot be listed at all.
 */
export function observe(world: World, state: LoopState): Reading<Observed> {
  const guests = world.guests.list();
  if (!guests.ok) return guests;
  const host = world.host.observe();
  const containers: ContainerObservation[] = [];
  for (const [vmid, config] of [...guests.value].sort(([a], [b]) => a - b)) {
    containers.push({ vmid, config, state: observeContainer(world, state, vmid, config, host) });
  }
  forget(state, new Set(guests.value.keys()));
  return present({ atMs: world.clock.monotonicMs(), host, containers });
}

function observeContainer(
  { cgroups, clock }: World,
  state: LoopState,
  vmid: Vmid,
  config: Reading<GuestConfig>,
  host: HostObservation,
): ContainerState {
  const before = state.samples.get(vmid);
  const sample = cgroups.sample(vmid);
  if (!sample.ok) {
    state.samples.delete(vmid);
    if (sample.why !== 'absent') return { kind: 'unknown', reason: sample };
    forgetLife(state, vmid);
    return { kind: 'stopped' };
  }
  const now = sample.value;
  state.samples.set(vmid, now);
  if (before !== undefined && before.identity !== now.identity) forgetLife(state, vmid);
  const memory = memoryUsage(before, now);
  if (memory.ok && memory.value.newOomKills > 0) state.oomKills.set(vmid, clock.monotonicMs());
  return {
    kind: 'running',
    usage: {
      cpu: config.ok ? cpuUsage(before, now, config.value, host.cpus) : config,
      memory,
      cpusetCpus: cpusetOf(now),
      cpuPressure: now.cpuPressure,
      memoryPressure: now.memoryPressure,
    },
  };
}

const cpusetOf = (sample: CgroupSample): number | undefined =>
  sample.cpu.ok ? sample.cpu.value.cpusetCpus : undefined;

/** A container that stopped or was restarted begins a new life: nothing of the old one counts. */
function forgetLife(state: LoopState, vmid: Vmid): void {
  state.grants.delete(vmid);
  state.pendingCores.delete(vmid);
  state.oomKills.delete(vmid);
}

function forget(state: LoopState, here: ReadonlySet<Vmid>): void {
  const { samples, grants, failures, pendingCores, oomKills } = state;
  for (const map of [samples, grants, failures, pendingCores, oomKills]) {
    for (const vmid of map.keys()) if (!here.has(vmid)) map.delete(vmid);
  }
  for (const key of state.said.keys()) {
    if (!here.has(Number(key.split('/')[0]) as Vmid)) state.said.delete(key);
  }
}
