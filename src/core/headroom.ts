import type { Budget } from './admission.ts';
import type { GuestConfig } from './observation.ts';
import { leftOf, type Plan } from './plan.ts';
import { present, type Reading } from './reading.ts';
import { type Mib, mib, type Vmid } from './units.ts';

/** What the host can still give once a plan is carried out, and what was counted for that. */
export interface Headroom extends Budget {
  /** The limits of the containers that ran, as they are with the plan carried out. */
  readonly limitsMib: ReadonlyMap<Vmid, Mib>;
  readonly vmMemoryMib: Reading<Mib>;
}

/** What may run by now; containers whose limit was counted already may be left out. */
export interface RunningNow {
  readonly limitsMib: ReadonlyMap<Vmid, Mib>;
  readonly vmMemoryMib: Reading<Mib>;
}

export function headroomAfter(
  available: Budget,
  planned: Plan,
  running: ReadonlyMap<Vmid, GuestConfig>,
  vmMemoryMib: Reading<Mib>,
): Headroom {
  const limitsMib = new Map<Vmid, Mib>();
  for (const [vmid, { memoryMib }] of running) limitsMib.set(vmid, memoryMib);
  for (const { vmid, memory } of planned.changes) {
    // What is taken back may fail, and counts when it is seen to be gone.
    if (memory?.verdict === 'grow') limitsMib.set(vmid, mib(memory.after));
  }
  return { ...leftOf(available, planned), limitsMib, vmMemoryMib };
}

/**
 * By how much, in MiB, the limits of what runs now pass those that were counted: guests that were
 * started since, by whomever, and limits that an admin has raised.
 */
export function uncountedMib(headroom: Headroom, now: RunningNow): Reading<number> {
  const { vmMemoryMib } = now;
  if (!headroom.vmMemoryMib.ok) return headroom.vmMemoryMib;
  if (!vmMemoryMib.ok) return vmMemoryMib;
  let sum = 0;
  for (const [vmid, limit] of now.limitsMib) {
    sum += Math.max(0, limit - (headroom.limitsMib.get(vmid) ?? 0));
  }
  return present(sum + Math.max(0, vmMemoryMib.value - headroom.vmMemoryMib.value));
}
