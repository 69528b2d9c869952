import { budget } from '../core/admission.ts';
import { type GuestRecord, newGuestRecord } from '../core/guest-record.ts';
import { guestState, hasNoCgroup } from '../core/guest-state.ts';
import { type Headroom, uncountedMib } from '../core/headroom.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { HostPolicy } from '../core/policy.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import type { Mib, Vmid } from '../core/units.ts';
import type { Cgroups } from '../node/port.ts';
import type { World } from '../ports.ts';

/** What the host can still give, looked at again: others start guests and raise limits, too. */

/**
 * The limits, in MiB, of those that are not known to stand still, where they pass what was counted.
 * Whether one runs whose limit is counted already makes no difference, so it is left out.
 */
export function limitsNow(
  configured: Iterable<readonly [Vmid, Mib]>,
  headroom: Headroom | undefined,
  isStill: (vmid: Vmid) => boolean,
): ReadonlyMap<Vmid, Mib> {
  const limitsMib = new Map<Vmid, Mib>();
  for (const [vmid, memoryMib] of configured) {
    if ((headroom?.limitsMib.get(vmid) ?? 0) >= memoryMib || isStill(vmid)) continue;
    limitsMib.set(vmid, memoryMib);
  }
  return limitsMib;
}

/** Why no memory may be given any more, though it was planned; undefined if it may. */
export function whyNoHeadroom(
  { guests, cgroups, host }: Pick<World, 'guests' | 'cgroups' | 'host'>,
  headroom: Headroom,
): string | undefined {
  const list = guests.list();
  if (!list.ok) return list.detail;
  const configured = [...list.value].flatMap(([vmid, config]) =>
    config.ok ? [[vmid, config.value.memoryMib] as const] : [],
  );
  const limitsMib = limitsNow(configured, headroom, (vmid) => isStill(cgroups, vmid));
  const uncounted = uncountedMib(headroom, { limitsMib, vmMemoryMib: host.observe().vmMemoryMib });
  if (!uncounted.ok) return uncounted.detail;
  if (!headroom.wholeMib.ok) return headroom.wholeMib.detail;
  if (uncounted.value <= headroom.wholeMib.value) return undefined;
  return `${uncounted.value} MB were taken by others since the host was sampled`;
}

/**
 * Why a container must not be given so much memory by hand: the host has it not, or has promised it
 * to others. One that does not run is given nothing now, and only has to fit into the host.
 *
 * @param comingMib of guests that are about to run
 */
export function whyNotGiven(
  world: Pick<World, 'guests' | 'cgroups' | 'host' | 'clock'>,
  policy: HostPolicy,
  now: GuestConfig,
  toMib: Mib,
  comingMib = 0,
): string | undefined {
  if (toMib <= now.memoryMib) return undefined;
  const host = world.host.observe();
  if (!host.memory.ok) return host.memory.detail;
  const mostMib = host.memory.value.totalMib - policy.reserveMemoryMib;
  if (toMib > mostMib) {
    return `${toMib} MB are more than the ${mostMib} MB that the host has for its guests`;
  }
  if (isStill(world.cgroups, now.vmid)) return undefined;
  const running = runningNow(world);
  if (!running.ok) return running.detail;
  const { wholeMib } = budget({
    host,
    policy,
    containers: [],
    nowMs: world.clock.monotonicMs(),
    urgent: false,
    state: { guests: recordsOf(running.value), hostCpu: undefined },
  });
  if (!wholeMib.ok) return wholeMib.detail;
  const more = toMib - now.memoryMib;
  const leftMib = Math.max(0, wholeMib.value - comingMib);
  if (more <= leftMib) return undefined;
  return `${more} MB more are needed for it, and the host can still give ${leftMib} MB`;
}

/** Whether its limit is of no concern to the host. */
export const isStill = (cgroups: Cgroups, vmid: Vmid): boolean =>
  hasNoCgroup(guestState(cgroups.sample(vmid)));

/** Nothing else is known of them here. */
const recordsOf = (running: ReadonlyMap<Vmid, GuestConfig>): Map<Vmid, GuestRecord> =>
  new Map(Array.from(running, ([vmid, one]) => [vmid, { ...newGuestRecord(), running: one }]));

/** The configurations of what runs; missing if one of them cannot be read. */
function runningNow({
  guests,
  cgroups,
}: Pick<World, 'guests' | 'cgroups'>): Reading<Map<Vmid, GuestConfig>> {
  const list = guests.list();
  if (!list.ok) return list;
  const running = new Map<Vmid, GuestConfig>();
  for (const [vmid, config] of list.value) {
    if (isStill(cgroups, vmid)) continue;
    if (!config.ok) return missing(config.why, config.detail);
    running.set(vmid, config.value);
  }
  return present(running);
}
