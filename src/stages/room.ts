import type { Reading } from '../core/reading.ts';
import { type Room, uncountedMib } from '../core/room.ts';
import type { Mib, Vmid } from '../core/units.ts';
import type { World } from '../ports.ts';

/** What the host can still give, looked at again: others start guests and raise limits, too. */

/**
 * The limits, in MiB, of those that are not known to stand still, where they pass what was counted.
 * Whether one runs whose limit is counted already makes no difference, so it is left out.
 */
export function limitsNow(
  configured: Iterable<readonly [Vmid, Mib]>,
  room: Room | undefined,
  isStill: (vmid: Vmid) => boolean,
): ReadonlyMap<Vmid, Mib> {
  const limitsMib = new Map<Vmid, Mib>();
  for (const [vmid, memoryMib] of configured) {
    if ((room?.limitsMib.get(vmid) ?? 0) >= memoryMib || isStill(vmid)) continue;
    limitsMib.set(vmid, memoryMib);
  }
  return limitsMib;
}

export const standsStill = (sample: Reading<unknown>): boolean =>
  !sample.ok && sample.why === 'absent';

/** Why no memory may be given any more, though it was planned; undefined where it may. */
export function whyNoRoom(
  { guests, cgroups, host }: Pick<World, 'guests' | 'cgroups' | 'host'>,
  room: Room,
): string | undefined {
  const list = guests.list();
  if (!list.ok) return list.detail;
  const configured = [...list.value].flatMap(([vmid, config]) =>
    config.ok ? [[vmid, config.value.memoryMib] as const] : [],
  );
  const limitsMib = limitsNow(configured, room, (vmid) => standsStill(cgroups.sample(vmid)));
  const uncounted = uncountedMib(room, { limitsMib, vmMemoryMib: host.observe().vmMemoryMib });
  if (!uncounted.ok) return uncounted.detail;
  if (!room.wholeMib.ok) return room.wholeMib.detail;
  if (uncounted.value <= room.wholeMib.value) return undefined;
  return `${uncounted.value} MB were taken by others since the host was looked at`;
}
