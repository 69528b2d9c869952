import type { HoldReason } from '../core/decision.ts';
import type { GroupPolicy } from '../core/groups/group-policy.ts';
import type { ClusterView, GroupGuest, GroupView, MemberLife } from '../core/groups/group-view.ts';
import type { GroupLedger } from '../core/groups/ledger.ts';
import { guestState } from '../core/guest-state.ts';
import { type Headroom, uncountedMib } from '../core/headroom.ts';
import { availableMib } from '../core/host-state.ts';
import type { CgroupSample, GuestState, HostObservation } from '../core/observation.ts';
import { cpuPin, memoryPin } from '../core/pins.ts';
import type { HostPolicy, Management } from '../core/policy.ts';
import { type Missing, missing, present, type Reading } from '../core/reading.ts';
import { type Mib, ratio, type Vmid } from '../core/units.ts';
import { cpuUsage, memoryUsage } from '../core/usage.ts';
import { isStill, limitsNow } from '../loop/headroom.ts';
import type { GroupWorld } from '../ports.ts';

/** What is there, for the reconciliation: configurations, cgroups, and what the host can give. */

export interface GroupSettings {
  readonly policies: readonly GroupPolicy[];
  readonly manage: (config: GroupGuest['config']) => Management;
  readonly hostPolicy: HostPolicy;
  readonly dryRun: boolean;
  /** What the last cycle has left of the host; undefined before the first. */
  readonly headroom: () => Headroom | undefined;
  /** Memory of the host for others that are about to run: it is given to no member. */
  readonly othersMib?: () => number;
}

/** Of the groups that are worked on here, by label. */
export type Ledgers = ReadonlyMap<string, GroupLedger>;

/** A load is a mean over so long, or a third of the grace period where that is shorter. */
const LONGEST_WINDOW_MS = 60_000;
const SHORTEST_WINDOW_MS = 1000;

/** The samples of the last minute of each container that is of interest to some group. */
export class Lives {
  readonly #samples = new Map<Vmid, CgroupSample[]>();

  /** Reads the cgroups of members and sources that are on this node. */
  look(
    { cgroups }: GroupWorld,
    settings: GroupSettings,
    cluster: ClusterView,
    ledgers: Ledgers,
    host: HostObservation,
  ): ReadonlyMap<Vmid, MemberLife> {
    const lives = new Map<Vmid, MemberLife>();
    for (const [vmid, reading] of cluster.guests) {
      if (!reading.ok || reading.value.node !== cluster.node) continue;
      const policy = settings.policies.find((one) => concerns(one, vmid, ledgers));
      if (policy === undefined) continue;
      const sample = cgroups.sample(vmid);
      lives.set(vmid, this.#life(reading.value, sample, policy, settings, host));
    }
    for (const vmid of this.#samples.keys()) if (!lives.has(vmid)) this.#samples.delete(vmid);
    return lives;
  }

  #life(
    { vmid, config }: GroupGuest,
    sample: Reading<CgroupSample>,
    policy: GroupPolicy,
    settings: GroupSettings,
    host: HostObservation,
  ): MemberLife {
    const atLimit = limitsReached(config, settings, host);
    const state = guestState(sample);
    if (!sample.ok || state.kind !== 'running') {
      this.#samples.delete(vmid);
      return { ...standing(state), load: sample.ok ? whyNoLoad(state) : sample, atLimit };
    }
    const now = sample.value;
    const wanted = Math.max(SHORTEST_WINDOW_MS, policy.outGraceMs / 3);
    const windowMs = Math.min(LONGEST_WINDOW_MS, wanted);
    const known =
      this.#samples.get(vmid)?.filter(({ identity }) => identity === now.identity) ?? [];
    const young = known.filter(({ atMs }) => now.atMs - atMs <= windowMs);
    const kept = young.length > 0 ? young : known.slice(-1);
    this.#samples.set(vmid, [...kept, now]);
    return { running: true, load: loadOf(kept[0], now, config, host), atLimit };
  }
}

const standing = ({ kind }: GuestState): Pick<MemberLife, 'running' | 'frozen'> => ({
  running: kind === 'unknown' ? undefined : kind !== 'stopped',
  ...(kind === 'frozen' && { frozen: true }),
});

const whyNoLoad = ({ kind }: GuestState): Missing =>
  kind === 'frozen'
    ? missing('frozen', 'it is frozen')
    : missing('absent', 'its cgroup was left behind, with no process in it');

function concerns(policy: GroupPolicy, vmid: Vmid, ledgers: Ledgers): boolean {
  if (vmid === policy.source || ledgers.get(policy.label)?.members.has(vmid)) return true;
  return policy.listed.some(({ from, to }) => vmid >= from && vmid <= to);
}

function loadOf(
  before: CgroupSample | undefined,
  now: CgroupSample,
  config: GroupGuest['config'],
  host: HostObservation,
): MemberLife['load'] {
  const cpu = cpuUsage(before, now, config, host.cpus);
  if (!cpu.ok) return cpu;
  const memory = memoryUsage(before, now);
  if (!memory.ok) return memory;
  const { workingSetMib, limitMib } = memory.value;
  return present({
    cpu: ratio(cpu.value.demand / cpu.value.allowed),
    memory: ratio(workingSetMib / (limitMib ?? config.memoryMib)),
  });
}

/** Whether a container has all that it may have itself. One that is not scaled always has. */
function limitsReached(
  config: GroupGuest['config'],
  { manage, hostPolicy }: GroupSettings,
  host: HostObservation,
): MemberLife['atLimit'] {
  const management = manage(config);
  if (management.kind === 'ignored' || management.mode === 'observe') {
    return { cpu: true, memory: true };
  }
  const { cpu, memory, only } = management.policy;
  const pinned = { cpu: cpuPin(config, cpu.unit), memory: memoryPin(config) };
  const cpus = host.cpus.ok ? Math.floor(host.cpus.value * (1 - hostPolicy.reserveCpu)) : cpu.max;
  const most = Math.min(cpu.max, Math.max(1, cpus));
  const has = cpu.unit === 'cores' ? config.cores : config.cpuLimit;
  return {
    cpu: only === 'memory' || pinned.cpu !== undefined || has === null || has >= most,
    memory:
      only === 'cores' ||
      pinned.memory !== undefined ||
      (memory.maxMib !== undefined && config.memoryMib >= memory.maxMib),
  };
}

/**
 * What another container may have of the host's memory, those on their way counted: below zero, not
 * even they fit.
 *
 * @param limitsMib of the containers of this node that may run, at least where they pass what the
 *   last cycle has counted
 */
export function hostRoom(
  comingMib: number,
  limitsMib: ReadonlyMap<Vmid, Mib>,
  host: HostObservation,
  { headroom, hostPolicy }: GroupSettings,
): Reading<number> {
  const last = headroom();
  if (last === undefined) return missing('first-sample', 'no cycle has sampled the host yet');
  const busy = whyBusy(last);
  if (busy !== undefined) return missing('implausible', busy);
  if (!host.memory.ok) return host.memory;
  if (!last.wholeMib.ok) return last.wholeMib;
  const free = availableMib(host.memory.value) - hostPolicy.reserveMemoryMib;
  const { vmMemoryMib } = host;
  const uncounted = uncountedMib(last, { limitsMib, vmMemoryMib });
  if (!uncounted.ok) return uncounted;
  return present(Math.min(free, last.wholeMib.value - uncounted.value) - comingMib);
}

/** Another member would only take from those that are there. */
function whyBusy({ memoryRefused, coresRefused }: Headroom): string | undefined {
  const percentOf = (reason: HoldReason): string =>
    'share' in reason ? `${Math.round(reason.share * 100)} %` : 'too';
  if (memoryRefused?.kind === 'host-pressure') {
    return `programs wait for the host's memory ${percentOf(memoryRefused)} of the time`;
  }
  if (memoryRefused !== undefined) return `the host's memory is ${percentOf(memoryRefused)} in use`;
  if (coresRefused !== undefined) return `the host's CPUs are ${percentOf(coresRefused)} busy`;
  return undefined;
}

/** The limits of this node's containers that may run, where they pass what was counted. */
export function runningLimits(
  { guests, node }: ClusterView,
  { cgroups }: Pick<GroupWorld, 'cgroups'>,
  headroom: Headroom | undefined,
): ReadonlyMap<Vmid, Mib> {
  const here = [...guests].flatMap(([vmid, reading]) =>
    reading.ok && reading.value.node === node ? [[vmid, reading.value.memoryMib] as const] : [],
  );
  return limitsNow(here, headroom, (vmid) => isStill(cgroups, vmid));
}

/** What those will have that are made and not started yet, and those that are about to be made. */
export function comingMib(
  { guests }: ClusterView,
  lives: GroupView['lives'],
  groups: readonly { readonly source: Vmid; readonly ledger: GroupLedger }[],
): number {
  let coming = 0;
  for (const { source, ledger } of groups) {
    for (const { vmid, state } of ledger.members.values()) {
      if (state !== 'cloning' && state !== 'new') continue;
      if (lives.get(vmid)?.running === true) continue;
      // What is not there yet will have what its source has.
      const reading = guests.get(vmid) ?? guests.get(source);
      if (reading?.ok === true) coming += reading.value.memoryMib;
    }
  }
  return coming;
}
